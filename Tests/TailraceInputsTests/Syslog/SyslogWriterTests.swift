import Glibc
import TailraceSpool
import Testing

@testable import TailraceInputs

@Suite struct SyslogWriterTests {
    /// A spool that is closed before a batch is taken, or between that and its end.
    private final class ClosingSink: BatchSink {
        let givesBatches: Bool
        init(givesBatches: Bool) { self.givesBatches = givesBatches }
        var prospect: SinkProspect { SinkProspect() }
        func take(timeoutMilliseconds: Int) -> RecordBatch? { givesBatches ? RecordBatch(capacity: 1 << 20) : nil }
        func append(_ batch: RecordBatch) -> Bool { false }
    }

    /// What is received and what is counted must add up: a record that tells of losses was never received.
    @Test(arguments: [true, false]) func whatTheClosedSpoolDoesNotTakeIsCountedWithoutItsNotices(givesBatches: Bool) {
        var configuration = SyslogConfiguration(name: "net", listen: [])
        configuration.maximumMessage = 4096
        let queue = IntakeQueue(maximumMessage: 4096, buffer: 1 << 20)
        let counters = IntakeCounters()
        let writer = SyslogWriter(
            configuration, host: "here", places: ["udp://127.0.0.1:1"], queue: queue, counters: counters,
            sink: ClosingSink(givesBatches: givesBatches), mark: StageMark("writer"), isGivenUp: { true })
        guard let chunk = queue.take(.datagrams) else {
            Issue.record("no chunk")
            return
        }
        let text = Array("<13>one".utf8)
        for kind in [IntakeChunk.Head.Kind.message, .kernelLoss, .message, .memoryLoss] {
            let length = kind == .message ? text.count : 0
            text.withUnsafeBytes {
                chunk.append(
                    .init(
                        length: UInt32(length), originalLength: UInt32(length), time: 0, peer: PeerAddress(),
                        listener: 0,
                        kind: kind, lost: kind == .message ? 0 : 5), $0.baseAddress)
            }
        }
        queue.put(chunk, .datagrams)
        queue.close()
        writer.run()
        #expect(counters.stopLosses.load(ordering: .relaxed) == 2)
    }
}
