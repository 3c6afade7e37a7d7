import Logging
import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct SpoolSinkTests {
    /// By this an input sees that it is ahead of the outputs or of the disk, through whatever lies between it and the spool.
    @Test func aGateTellsWhatIsAheadOfABatch() throws {
        let directory = TemporaryDirectory()
        let logger = Logger(label: "spool", factory: { _ in SwiftLogNoOpLogHandler() })
        let spool = try Spool.open(SpoolConfiguration(directory: directory("spool")), logger: logger)
        let sink = SpoolSink(
            spool: spool, pool: BatchPool(blockCapacity: 1 << 16, limit: 2), roster: InputRoster(), logger: logger)
        let gate = InputGate(sink)
        #expect(gate.prospect == SinkProspect())
        let batch = try #require(gate.take(timeoutMilliseconds: 1000))
        batch.context = RecordContext(host: "h", source: "/a.log", input: "files").encoded
        let start = try #require([UInt8](repeating: 7, count: 10_000).withUnsafeBytes(batch.copyIn))
        batch.append(RecordEntry(start: start, length: 10_000))
        #expect(gate.append(batch))
        #expect(spool.flush())
        #expect(gate.prospect.backlog >= 10_000)
        spool.release(below: spool.committed)
        #expect(gate.prospect.backlog == 0)
        spool.change(maximumSize: 1 << 30, sync: .interval(.milliseconds(70)), minimumFree: nil)
        #expect(gate.prospect.syncInterval == .milliseconds(70))
        spool.close()
    }
}
