import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

/// When a commit frame tells that what is before it is durable: not while the next frame soon tells the same.
@Suite struct CommitFrameTests {
    private final class Counts: Sendable {
        let now = Atomic<UInt64>(1)
        let writes = Atomic<Int>(0)
        let disk = Mutex<FaultyDisk?>(nil)
        var written: Int { writes.load(ordering: .relaxed) }
    }

    private static func open(
        _ directory: TemporaryDirectory, _ counts: Counts, _ change: (inout SpoolConfiguration) -> Void = { _ in }
    ) throws -> Spool {
        var settings = configuration(directory)
        change(&settings)
        let disk = FaultyDisk { operation, path in
            if operation == .write, path.hasSuffix(".spool") { counts.writes.add(1, ordering: .relaxed) }
            return 0
        }
        counts.disk.withLock { $0 = disk }
        settings.environment = SpoolEnvironment(
            disk: disk,
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

    /// Where no commit frame finds room, nothing but frames lies there either.
    @Test(arguments: [0, 8, 16, 72]) func aSegmentThatIsFullIsNothingToRecover(_ rest: Int) throws {
        let directory = TemporaryDirectory()
        let counts = Counts()
        var spool = try Self.open(directory, counts)
        try spool.append(batch(["first"]))
        _ = Self.settle(spool)
        // Frames begin at multiples of 8.
        func end() throws -> Int { try (#require(framePlaces(directory("spool")).last).range.upperBound + 7) & ~7 }
        let room = try (16 << 10) - end() - rest
        let others = FrameSize(of: batch([[]])).length
        try spool.append(batch([[UInt8](repeating: 0x61, count: room - others)]))
        _ = Self.settle(spool)
        #expect(try end() == (16 << 10) - rest)
        spool.close()
        spool = try Self.open(directory, counts)
        #expect(spool.recovery.isClean, "\(spool.recovery)")
        #expect(spool.statistics().nextSequence == 2)
        spool.close()
    }

    /// And read back as if it had been written in one go. The disk is told to begin with all pieces but the last, which is
    /// synced at once, and with none where no sync follows.
    @Test(arguments: [(1, SyncPolicy.always), (1, .never), (1 << 20, .always)])
    func aLargeGroupIsWrittenInPieces(_ limit: Int, _ sync: SyncPolicy) throws {
        let directory = TemporaryDirectory()
        let counts = Counts()
        let spool = try Self.open(directory, counts) {
            $0.writePieceLimit = limit
            $0.sync = sync
        }
        let before = counts.written
        let bodies = (0..<3).map { [UInt8](repeating: $0, count: 100 + Int($0)) }
        for body in bodies { try spool.append(batch([body])) }
        _ = Self.settle(spool)
        #expect(spool.committed == 3)
        #expect(counts.written == before + (limit == 1 ? 3 : 1))
        #expect(spool.statistics().groups == 1)
        let begun = bodies.dropLast().reduce(0) { $0 + FrameSize(of: batch([$1])).length }
        #expect(counts.disk.withLock { $0?.begunBytes } == (limit == 1 && sync == .always ? begun : 0))
        #expect(try readAll(spool).map(\.body) == bodies)
        spool.close()
    }
}
