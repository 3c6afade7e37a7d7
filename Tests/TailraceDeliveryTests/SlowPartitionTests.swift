import Logging
import Producing
import Synchronization
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceDelivery

/// Partitions whose service is slow or stuck: the others go on, and nothing of theirs is lost, doubled or out of order.
///
/// Spool, ledger and drain are stepped here, on a clock of the test's own.
@Suite struct SlowPartitionTests {
    /// One that only moves when it is told.
    private final class ManualClock: Sendable {
        private let start = ContinuousClock.now
        private let passed = Mutex(Duration.zero)

        func advance(by time: Duration) { passed.withLock { $0 += time } }

        var clocks: Clocks {
            Clocks(
                nanoseconds: { self.passed.withLock { UInt64($0 / .nanoseconds(1)) + 1 } },
                instant: { self.start.advanced(by: self.passed.withLock { $0 }) },
                wallMilliseconds: { 1_700_000_000_000 })
        }
    }

    private final class Bench {
        let directory = TemporaryDirectory("slow")
        let clock = ManualClock()
        let hub: FakeHub
        /// Partitions that answer nothing.
        let stuck: Watched<Set<Int>>
        /// While it is away, how often it was asked.
        let outage = Watched((isOn: false, attempts: 0))
        private(set) var spool: Spool
        private(set) var ledger: Ledger
        private(set) var drain: Drain<FakeHub>
        private(set) var floor = Watched<UInt64>(0)
        /// Ids per partition.
        var expected: [[UInt64]]
        private var next: UInt64 = 0

        private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

        init(partitions: Int) throws {
            stuck = Watched([])
            hub = FakeHub(partitions: partitions, maximumSize: 4000) { [stuck, outage] _, partition in
                guard outage.value.isOn else { return stuck.value.contains(partition) ? nil : (.accepted, true) }
                outage.update { $0.attempts += 1 }
                let isSilent = outage.value.attempts % 2 == 0
                return (isSilent ? .unknown(reason: "no answer") : .retry(reason: "not now"), false)
            }
            expected = Array(repeating: [], count: partitions)
            (spool, ledger, drain) = try Self.open(directory, clock, hub, floor)
        }

        private static func open(
            _ directory: TemporaryDirectory, _ clock: ManualClock, _ hub: FakeHub, _ floor: Watched<UInt64>
        ) throws -> (Spool, Ledger, Drain<FakeHub>) {
            var configuration = SpoolConfiguration(directory: directory("spool"))
            configuration.segmentSize = 64 << 10
            configuration.maximumSize = 64 << 20
            configuration.sync = .never
            configuration.environment = SpoolEnvironment(clocks: clock.clocks, hasThreads: false)
            let spool = try Spool.open(configuration, logger: quiet)
            let ledger = try Ledger.open(
                directory: directory("spool"), name: "out.ledger", firstSequence: spool.statistics().firstSequence,
                environment: configuration.environment, logger: quiet)
            var settings = DrainConfiguration(name: "out", partition: Workbench.partition)
            settings.key = .source
            settings.laneLimit = 20_000
            settings.memoryLimit = 100_000
            let drain = try Drain(
                settings, destination: hub, spool: spool, ledger: ledger,
                deadLetters: DeadLetterArea(
                    output: "out", directory: directory("dead-letter"), main: spool, logger: quiet), logger: quiet,
                release: { new in
                    floor.update { $0 = new }
                    spool.release(below: new)
                })
            return (spool, ledger, drain)
        }

        /// Ends the process, as it were, and begins the next one.
        func restart() throws {
            spool.abandon()
            hub.held.update { $0 = [] }
            (spool, ledger, drain) = try Self.open(directory, clock, hub, floor)
        }

        /// A frame of a few records for a partition.
        func append(_ partition: Int, records: Int) throws {
            let batch = RecordBatch(capacity: records * 500)
            for index in 0..<records {
                let body = Array("\(next + UInt64(index)) ".utf8) + [UInt8](repeating: 0x78, count: 400)
                guard let start = body.withUnsafeBytes(batch.copyIn) else { preconditionFailure("capacity") }
                batch.append(RecordEntry(start: start, length: UInt32(body.count)))
            }
            batch.context = RecordContext(host: "host", source: "p\(partition)/log", input: "test").encoded
            expected[partition] += (next..<(next + UInt64(records)))
            next += UInt64(records)
            while !spool.tryAppend(batch) { _ = spool.step() }
        }

        /// Lets everything happen that can in `time`.
        func run(for time: Duration, every pause: Duration = .milliseconds(10)) {
            for _ in 0..<Int(time / pause) {
                while case .again = spool.step() {}
                while case .again = ledger.step() {}
                while case .again = drain.step() {}
                clock.advance(by: pause)
            }
        }

        /// The service takes the oldest batch that it holds of a partition; false when there is none.
        @discardableResult
        func take(one partition: Int) -> Bool {
            let taken = hub.held.update { held in
                held.firstIndex { $0.partition == partition }.map { held.remove(at: $0) }
            }
            taken?.answer(.accepted)
            return taken != nil
        }

        /// The partition answers again, for what it held back too.
        func unstick(_ partition: Int) {
            stuck.update { _ = $0.remove(partition) }
            let held = hub.held.update { held in
                let mine = held.filter { $0.partition == partition }
                held.removeAll { $0.partition == partition }
                return mine
            }
            for transmission in held { transmission.answer(.accepted) }
        }

        /// The ledger's file as it is now.
        func ledgerBytes() throws -> [UInt8] {
            let file = try SpoolDirectory(path: directory("spool")).open("out.ledger", .read)
            return try file.read(file.size(), at: 0)
        }

        func has(_ partition: Int) -> [UInt64] { hub.stored.value.partitions[partition].map(\.sequence) }
    }

    @Test func aStuckPartitionKeepsNobodyWaitingAndGetsAllOfItsOwnLater() throws {
        let bench = try Bench(partitions: 4)
        // All have had something: who never did waits for nothing.
        for partition in 0..<4 { try bench.append(partition, records: 1) }
        bench.run(for: .milliseconds(20))
        bench.stuck.update { $0 = [2] }
        for round in 0..<300 { try bench.append(round % 4, records: 1 + round % 5) }
        bench.run(for: .seconds(2))
        for partition in [0, 1, 3] { #expect(bench.has(partition) == bench.expected[partition]) }
        #expect(bench.has(2) == [2])
        var statistics = bench.drain.statistics
        #expect(statistics.balances && statistics.passedOver > 0)
        #expect(statistics.waiting(committed: bench.spool.committed) == statistics.passedOver)
        #expect(statistics.partitions.map(\.passedOver) == [nil, nil, statistics.passedOver, nil])
        // Who keeps account of them in their order heard of them in time.
        #expect(bench.hub.passed.value == bench.expected[2].suffix(Int(statistics.passedOver)))
        // Its own are still wanted, and so kept.
        #expect(statistics.floor == bench.expected[2][1] && bench.floor.value <= bench.expected[2][1])
        // What comes now passes it by as well.
        try bench.append(0, records: 3)
        bench.run(for: .milliseconds(20))
        #expect(bench.has(0) == bench.expected[0])

        bench.unstick(2)
        bench.run(for: .milliseconds(500))
        #expect(bench.has(2) == bench.expected[2])
        statistics = bench.drain.statistics
        #expect(statistics.balances && statistics.passedOver == 0 && statistics.queued == 0)
        #expect(statistics.partitions.allSatisfy { $0.passedOver == nil })
        #expect(statistics.floor == bench.spool.committed)
        // It keeps up again, in order with what it caught up with.
        for partition in 0..<4 { try bench.append(partition, records: 2) }
        bench.run(for: .milliseconds(50))
        for partition in 0..<4 { #expect(bench.has(partition) == bench.expected[partition]) }
    }

    /// Most of all records are for one, and its lane is full nearly always. But the service takes as many batches as ever while
    /// only that has any: it is not slow, and nobody would have more of it if the spool were read twice.
    @Test func aPartitionWithMuchToSendIsNotPassedOver() throws {
        let bench = try Bench(partitions: 4)
        for partition in 0..<4 { try bench.append(partition, records: 1) }
        bench.run(for: .milliseconds(20))
        bench.stuck.update { $0 = [0, 1, 2, 3] }
        for round in 0..<2000 { try bench.append(round % 5 < 2 ? 0 : round % 5 - 1, records: 9) }
        var wasFull = 0
        for step in 0..<20_000 where bench.hub.stored.value.count < 18_004 {
            // One at a time, of all that have one in turns.
            _ = (step..<(step + 4)).contains { bench.take(one: $0 % 4) }
            bench.run(for: .milliseconds(10))
            #expect(bench.drain.statistics.passedOver == 0)
            if bench.drain.statistics.queuedBytes >= 20_000 { wasFull += 1 }
        }
        #expect(wasFull > 500)
        for partition in 0..<4 { #expect(bench.has(partition) == bench.expected[partition]) }
        #expect(bench.drain.statistics.balances)
    }

    /// It moves all the time, but by itself and no faster than each of the others: they do not wait for it.
    @Test func aPartitionThatLagsMovingKeepsNobodyWaiting() throws {
        let bench = try Bench(partitions: 4)
        for partition in 0..<4 { try bench.append(partition, records: 1) }
        bench.run(for: .milliseconds(20))
        bench.stuck.update { $0 = [0, 1, 2, 3] }
        for round in 0..<2000 { try bench.append(round % 10 < 7 ? 0 : round % 10 - 6, records: 9) }
        // 200 batches of nine records for each of the others, and as much time as they take.
        for _ in 0..<300 {
            for partition in 0..<4 { bench.take(one: partition) }
            bench.run(for: .milliseconds(10))
        }
        for partition in 1..<4 { #expect(bench.has(partition) == bench.expected[partition]) }
        #expect(bench.has(0).count < bench.expected[0].count / 2)
        #expect(bench.drain.statistics.passedOver > 0 && bench.drain.statistics.balances)
        for _ in 0..<2000 {
            bench.take(one: 0)
            bench.run(for: .milliseconds(10))
        }
        for partition in 0..<4 { #expect(bench.has(partition) == bench.expected[partition]) }
        #expect(bench.drain.statistics.balances && bench.drain.statistics.passedOver == 0)
    }

    @Test func whereNobodyElseHasRecordsTheSpoolIsReadOnce() throws {
        let bench = try Bench(partitions: 4)
        bench.stuck.update { $0 = [1] }
        for _ in 0..<200 { try bench.append(1, records: 3) }
        bench.run(for: .seconds(3))
        #expect(bench.drain.statistics.passedOver == 0 && bench.drain.statistics.read < 100)
        bench.unstick(1)
        bench.run(for: .milliseconds(500))
        #expect(bench.has(1) == bench.expected[1])
    }

    /// Nothing moves, so that there is nothing to write, however often the drain looks whether a lane has room.
    @Test func theLedgerIsLeftAloneWhileNothingMoves() throws {
        let bench = try Bench(partitions: 1)
        bench.stuck.update { $0 = [0] }
        for _ in 0..<200 { try bench.append(0, records: 3) }
        bench.run(for: .seconds(1))
        let before = try bench.ledgerBytes()
        bench.run(for: .seconds(10))
        #expect(bench.drain.statistics.queuedBytes > 0 && bench.drain.statistics.acknowledged == 0)
        #expect(try bench.ledgerBytes() == before)
        bench.unstick(0)
        bench.run(for: .milliseconds(500))
        #expect(bench.has(0) == bench.expected[0])
        #expect(try bench.ledgerBytes() != before)
    }

    @Test func manyStuckPartitionsLeaveTheMemoryToTheOthers() throws {
        let bench = try Bench(partitions: 16)
        for partition in 0..<16 { try bench.append(partition, records: 1) }
        bench.run(for: .milliseconds(20))
        bench.stuck.update { $0 = Set(0..<15) }
        for round in 0..<1600 { try bench.append(round % 16, records: 3) }
        bench.run(for: .seconds(20))
        #expect(bench.has(15) == bench.expected[15])
        #expect(bench.drain.statistics.queuedBytes < 100_000)
        for partition in 0..<15 { bench.unstick(partition) }
        bench.run(for: .seconds(5))
        for partition in 0..<16 { #expect(bench.has(partition) == bench.expected[partition]) }
        #expect(bench.drain.statistics.balances && bench.drain.statistics.passedOver == 0)
    }

    /// Two hours in which the service takes nothing, while records keep coming.
    @Test func anOutageOfHoursCostsNothingAndTheServiceIsNotStormed() throws {
        let bench = try Bench(partitions: 4)
        for partition in 0..<4 { try bench.append(partition, records: 3) }
        bench.run(for: .milliseconds(100))
        bench.outage.update { $0.isOn = true }
        for round in 0..<360 {
            try bench.append(round % 4, records: 1 + round % 7)
            bench.run(for: .seconds(20), every: .seconds(2))
            let statistics = bench.drain.statistics
            #expect(statistics.balances && statistics.queuedBytes < 100_000)
            #expect(statistics.acknowledged == 12 && statistics.deadLettered == 0)
        }
        // Waits grow to half a minute at most, and are spread below that: on average they are a quarter.
        let attempts = bench.outage.value.attempts
        #expect(attempts > 4 * 7200 / 30 && attempts < 4 * 7200 / 10)
        bench.outage.update { $0.isOn = false }
        bench.run(for: .seconds(31), every: .milliseconds(100))
        for partition in 0..<4 { #expect(bench.has(partition) == bench.expected[partition]) }
        #expect(bench.floor.value == bench.spool.committed && bench.drain.statistics.balances)
    }

    /// Partitions get stuck and recover, and the process is killed, at any moment.
    @Test(arguments: 0..<40) func whateverIsSlowWhenNothingIsLostNorOutOfOrder(_ round: Int) throws {
        var random = SeededGenerator(seed: UInt64(round) &+ 0x51)
        let count = Int.random(in: 2...6, using: &random)
        let bench = try Bench(partitions: count)
        for _ in 0..<60 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0: bench.stuck.update { _ = $0.insert(Int.random(in: 0..<count, using: &random)) }
            case 1: bench.unstick(Int.random(in: 0..<count, using: &random))
            case 2: bench.run(for: .milliseconds(Int.random(in: 10...400, using: &random)))
            case 3 where round % 2 == 1:
                // Everything that was appended is durable first: this is about the drain.
                while case .again = bench.spool.step() {}
                try bench.restart()
            default:
                for _ in 0..<Int.random(in: 1...20, using: &random) {
                    try bench.append(
                        Int.random(in: 0..<count, using: &random), records: Int.random(in: 1...6, using: &random))
                }
                bench.run(for: .milliseconds(10))
            }
            #expect(bench.drain.statistics.balances)
        }
        for partition in 0..<count { bench.unstick(partition) }
        bench.run(for: .seconds(3))
        for partition in 0..<count {
            let stored = bench.hub.stored.value
            #expect(stored.distinct(partition).map(\.sequence) == bench.expected[partition])
            if round % 2 == 0 { #expect(stored.partitions[partition].count == bench.expected[partition].count) }
        }
        let statistics = bench.drain.statistics
        #expect(statistics.balances && statistics.passedOver == 0 && statistics.floor == bench.spool.committed)
    }
}
