import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

/// When a commit frame tells that what is before it is durable: not while the next frame soon tells the same.
@Suite struct CommitFrameTests {
    private final class Counts: Sendable {
        let now = Atomic<UInt64>(1)
        let writes = Atomic<Int>(0)
        var written: Int { writes.load(ordering: .relaxed) }
    }

    private static func open(_ directory: TemporaryDirectory, _ counts: Counts) throws -> Spool {
        var settings = configuration(directory)
        settings.environment = SpoolEnvironment(
            disk: FaultyDisk { operation, path in
                if operation == .write, path.hasSuffix(".spool") { counts.writes.add(1, ordering: .relaxed) }
                return 0
            },
            clocks: Clocks(
                nanoseconds: { counts.now.load(ordering: .relaxed) }, instant: { .now }, wallMilliseconds: { 0 }),
            hasThreads: false)
        return try openSpool(settings)
    }

    /// Until it waits; for what time.
    private static func settle(_ spool: Spool) -> UInt64? {
        while true {
            switch spool.step() {
            case .again: break
            case .wait(let time): return time
            case .ended: return nil
            }
        }
    }

    private static func hasCommitFrame(_ directory: TemporaryDirectory) throws -> Bool {
        try framePlaces(directory("spool")).last?.header.kind == .commit
    }

    @Test func aTrickleIsWrittenOnceAndAPauseMarked() throws {
        let directory = TemporaryDirectory()
        let counts = Counts()
        let spool = try Self.open(directory, counts)
        try spool.append(batch(["first"]))
        _ = Self.settle(spool)
        let before = counts.written
        var due: UInt64?
        for index in 1...10 {
            counts.now.add(100_000_000, ordering: .relaxed)
            try spool.append(batch(["\(index)"]))
            due = Self.settle(spool)
            #expect(spool.committed == UInt64(index + 1))
        }
        #expect(counts.written == before + 10)
        #expect(try !Self.hasCommitFrame(directory))
        // Nothing before a second is over, and then one more.
        let now = counts.now.load(ordering: .relaxed)
        #expect(due == now + 1_000_000_000)
        counts.now.store(now + 1_000_000_000, ordering: .relaxed)
        #expect(Self.settle(spool) == nil)
        #expect(counts.written == before + 11)
        #expect(try Self.hasCommitFrame(directory))
        spool.abandon()
    }

    @Test func aFlushAndTheEndAreMarkedAtOnce() throws {
        let directory = TemporaryDirectory()
        let spool = try Self.open(directory, Counts())
        try spool.append(batch(["flushed"]))
        #expect(spool.flush())
        #expect(try Self.hasCommitFrame(directory))
        try spool.append(batch(["closed"]))
        _ = Self.settle(spool)
        #expect(try !Self.hasCommitFrame(directory))
        spool.close()
        #expect(try Self.hasCommitFrame(directory))
    }
}
