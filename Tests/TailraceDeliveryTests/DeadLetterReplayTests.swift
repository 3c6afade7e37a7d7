import Glibc
import Logging
import Producing
import Synchronization
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceDelivery

@Suite struct DeadLetterReplayTests {
    private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Refuses bodies that begin with "poison" as long as it is told to.
    private func hub(
        _ isRefusing: Watched<Bool>, stored: Watched<FakeStore>? = nil, reason: String = "malformed"
    ) -> FakeHub {
        FakeHub(partitions: 2, stored: stored) { batch, _ in
            isRefusing.value && batch.records.contains { $0.body.starts(with: "poison".utf8) }
                ? (.rejected(reason: reason), false) : (.accepted, true)
        }
    }

    /// Records of the main spool as a consumer gets them.
    private struct Seen: Equatable {
        var body: String
        var context: RecordContext
        var time: Int64
        var offset: UInt64
        var flags: RecordFlags
        var attributes: [UInt8]
    }

    private func seen(_ spool: Spool, from first: UInt64) throws -> [Seen] {
        let reader = try spool.reader(from: first)
        var records: [Seen] = []
        while let frame = try reader.next() {
            let run = RecordRun(frame, frame.startIndex..<frame.recordCount)
            for index in run.indices {
                let record = run[index]
                records.append(
                    Seen(
                        body: String(decoding: record.body, as: UTF8.self),
                        context: try #require(RecordContext(decoding: frame.context)), time: record.time,
                        offset: record.offset, flags: record.flags, attributes: Array(record.attributes)))
            }
        }
        return records
    }

    @Test func whatIsReplayedArrivesAsItWasAndIsNoDeadLetterAnyMore() async throws {
        let bench = try Workbench()
        let isRefusing = Watched(true)
        let batch = RecordBatch(capacity: 4096)
        batch.context =
            RecordContext(host: "h", source: "p1/a", input: "app", fields: [.init("team", "ops")]).encoded
        batch.time = 1_700_000_000_123
        batch.baseOffset = 5000
        for (index, body) in ["first", "poison 1", "poison 2", "last"].enumerated() {
            guard let start = Array(body.utf8).withUnsafeBytes(batch.copyIn) else { preconditionFailure("room") }
            let flags: RecordFlags = index == 1 ? .truncated : []
            batch.append(RecordEntry(start: start, length: UInt32(body.utf8.count), flags: flags))
            guard index == 1 else { continue }
            // One of them is called like the ones that dead letters get.
            var attributes: [UInt8] = []
            RecordAttributes.append(RecordAttributes.truncatedKey, 99, to: &attributes)
            RecordAttributes.append("sequence", 7, to: &attributes)
            guard let place = attributes.withUnsafeBytes(batch.copyIn) else { preconditionFailure("room") }
            batch.attributes.append(AttributeEntry(record: 1, start: place, length: UInt32(attributes.count)))
        }
        try bench.spool.append(batch)
        bench.spool.flush()
        let hub = hub(isRefusing)
        let drain = try bench.drain(hub)
        drain.start()
        await bench.floor.wait { $0 == 4 }
        #expect(hub.stored.value.partitions[1].map(\.sequence) == [0, 3])
        let before = try #require(bench.area.counts)
        #expect(before.inArea == 2 && before.kept == 2 && before.unexplained == 0)

        isRefusing.update { $0 = false }
        let progress = try bench.area.settle(.replay, [0..<100])
        #expect(progress.records == 2 && progress.left == 0 && progress.state == .done)
        await bench.floor.wait { $0 == 6 }
        await drain.stop(within: .seconds(10))
        #expect(hub.stored.value.partitions[1].map(\.sequence) == [0, 3, 4, 5])
        let records = try seen(bench.spool, from: 0)
        for (index, again) in [(1, 4), (2, 5)] {
            var expected = records[index]
            expected.context.onlyOutput = "out"
            #expect(records[again] == expected)
        }
        // No property of the record: nobody sees it.
        #expect(records[4].context.properties.map(\.0) == ["host", "source", "input", "team"])
        let after = try #require(bench.area.counts)
        #expect(after.inArea == 0 && after.replayed == 2 && after.unexplained == 0)
        #expect(drain.statistics.balances && drain.statistics.acknowledged == 4 && drain.statistics.deadLettered == 2)
        // Also for the next process.
        try bench.restart()
        #expect(try bench.area.openIfThere())
        #expect(bench.area.counts == DeadLetterCounts())
    }

    @Test func onlyItsOwnOutputGetsAReplayedRecordAndOneThatIsRefusedAgainComesBack() async throws {
        let bench = try Workbench()
        let isRefusing = Watched(true)
        let own = hub(isRefusing)
        let drain = try bench.drain(own)
        drain.start()
        try bench.append(["a", "poison", "b"], source: "p0/a")
        await bench.floor.wait { $0 == 3 }
        #expect(try bench.area.settle(.replay, [0..<1]).records == 1)
        // Refused again, under its new id and its new reason.
        while bench.area.counts?.kept != 2 { await Task.yield() }
        await bench.floor.wait { $0 == 4 }
        await drain.stop(within: .seconds(10))
        #expect(drain.statistics.deadLettered == 2 && drain.statistics.balances)
        #expect(own.stored.value.sequences == [0, 2])

        // Another output of the same spool.
        try bench.append(["c"], source: "p0/a")
        let other = hub(Watched(false))
        let ledger = try Ledger.open(
            directory: bench.directory("spool"), name: "other.ledger", firstSequence: 0, logger: quiet)
        defer { ledger.close() }
        let floor = Watched<UInt64>(0)
        let area = DeadLetterArea(
            output: "other", directory: bench.directory("other-letters"), main: bench.spool, logger: quiet)
        var configuration = DrainConfiguration(name: "other", partition: Workbench.partition)
        configuration.key = .source
        let second = try Drain(
            configuration, destination: other, spool: bench.spool, ledger: ledger, deadLetters: area, logger: quiet,
            release: { new in floor.update { $0 = new } })
        second.start()
        await floor.wait { $0 == 5 }
        await second.stop(within: .seconds(10))
        #expect(other.stored.value.sequences == [0, 1, 2, 4])
        #expect(second.statistics.forOthers == 1 && second.statistics.balances)
        #expect(area.counts == nil)
        let letters = try bench.deadLetters()
        #expect(letters.map(\.sequence) == [1, 3] && letters.map(\.body) == ["poison", "poison"])
    }

    /// The skipping of what a numbering service has must not count records that it never got.
    @Test func whatTheServiceHasIsToldApartFromRecordsForAnotherOutput() async throws {
        let bench = try Workbench()
        let stored = Watched(NumberedStore(partitions: 1))
        try bench.append(["0"], source: "p0/a")
        let foreign = RecordBatch(capacity: 64)
        guard let start = Array("theirs".utf8).withUnsafeBytes(foreign.copyIn) else { preconditionFailure("room") }
        foreign.append(RecordEntry(start: start, length: 6))
        foreign.context = RecordContext(host: "host", source: "p0/a", input: "test", onlyOutput: "theirs").encoded
        try bench.spool.append(foreign)
        try bench.append(["2", "3"], source: "p0/a")
        let dying = try bench.drain(
            NumberedHub(stored, ledger: bench.ledger.state) { _, _ in .pending(isStored: true) })
        dying.start()
        await stored.wait { $0.count >= 1 }
        await dying.abandon()
        try bench.restart()
        let drain = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        drain.start()
        await bench.floor.wait { $0 == 4 }
        await drain.stop(within: .seconds(10))
        #expect(stored.value.partitions[0].records.map(\.sequence) == [0, 2, 3])
        #expect(drain.statistics.balances && drain.statistics.forOthers == 1)
    }

    /// An area with `bodies`, each a frame of its own; its records were never in the main spool.
    private func fill(_ bench: Workbench, _ bodies: [String]) throws {
        let spool = try bench.area.open()
        for body in bodies {
            let batch = RecordBatch(capacity: body.utf8.count + 128)
            guard let start = Array(body.utf8).withUnsafeBytes(batch.copyIn) else { preconditionFailure("room") }
            batch.append(RecordEntry(start: start, length: UInt32(body.utf8.count)))
            batch.context = RecordContext(host: "host", source: "p0/a", input: "test").encoded
            try spool.append(batch)
        }
        #expect(spool.flush())
    }

    @Test func singleOnesAndDropsLeaveTheOthersWhereTheyAre() throws {
        let bench = try Workbench()
        try fill(bench, (0..<10).map { "letter \($0)" })
        #expect(try bench.area.settle(.replay, [3..<4, 7..<8, 90..<95]).records == 2)
        #expect(try bench.area.settle(.drop, [0..<1, 7..<9]).records == 2)
        // Nothing twice.
        #expect(try bench.area.settle(.replay, [3..<4]) == done(0))
        #expect(try seen(bench.spool, from: 0).map(\.body) == ["letter 3", "letter 7"])
        var counts = try #require(bench.area.counts)
        #expect(counts.inArea == 6 && counts.replayed == 2 && counts.dropped == 2 && counts.unexplained == 0)
        #expect(bench.spool.positions()[SettledLetters.key(output: "out")] == Array("1 3 7-8".utf8))
        try bench.restart()
        #expect(try bench.area.openIfThere())
        #expect(bench.area.counts?.inArea == 6 && bench.area.counts?.carriedOver == 6)
        #expect(try bench.area.settle(.replay, [0..<100]) == done(6))
        counts = try #require(bench.area.counts)
        #expect(counts.inArea == 0 && counts.replayed == 6 && counts.unexplained == 0)
        let bodies = try seen(bench.spool, from: 0).map(\.body)
        let expected: [Int] = [3, 7, 1, 2, 4, 5, 6, 9]
        #expect(bodies == expected.map { "letter \($0)" })
    }

    private func done(_ records: UInt64) -> SettlingProgress {
        var progress = SettlingProgress()
        progress.records = records
        progress.state = .done
        return progress
    }

    @Test func anAreaThatWasThrownAwayBeginsBehindWhatIsSettled() throws {
        let bench = try Workbench()
        try fill(bench, ["a", "b", "c"])
        #expect(try bench.area.settle(.replay, [0..<3]) == done(3))
        try bench.restart()
        let directory = bench.directory("dead-letter")
        let names = try SpoolDirectory(path: directory).names()
        for name in names { unlink("\(directory)/\(name)") }
        try fill(bench, ["d"])
        #expect(bench.area.counts?.inArea == 1)
        #expect(try bench.area.settle(.replay, [0..<100]) == done(1))
        #expect(try seen(bench.spool, from: 0).map(\.body) == ["a", "b", "c", "d"])
    }

    @Test func tooManyHolesAreRefused() throws {
        let bench = try Workbench()
        let count = SettledLetters.maximumRanges + 3
        let bodies = (0..<(2 * count)).map(String.init)
        try fill(bench, bodies)
        var every: [Range<UInt64>] = []
        for id in stride(from: UInt64(1), to: UInt64(2 * count), by: 2) { every.append(id..<(id + 1)) }
        var asked = every[...]
        #expect(throws: DeadLetterError.tooManyRanges) {
            while let next = asked.popFirst() { _ = try bench.area.settle(.drop, [next]) }
        }
        #expect(asked.count == 2)
        let counts = try #require(bench.area.counts)
        #expect(counts.dropped == UInt64(SettledLetters.maximumRanges) && counts.unexplained == 0)
        // Filling the holes makes room.
        #expect(try bench.area.settle(.drop, [0..<10]).records == 5)
        #expect(try bench.area.settle(.drop, [every[count - 2]]).records == 1)
    }

    @Test func aFullSpoolTakesNothingAndTheRestGoesOnLater() throws {
        let bench = try Workbench()
        let main = try fullSpool(bench)
        defer { main.close() }
        let area = DeadLetterArea(output: "out", directory: bench.directory("letters"), main: main, logger: quiet)
        defer { area.close() }
        let spool = try area.open()
        for index in 0..<200 {
            let batch = RecordBatch(capacity: 4096)
            let body = Array("\(index) \(String(repeating: "x", count: 2000))".utf8)
            guard let start = body.withUnsafeBytes(batch.copyIn) else { preconditionFailure("room") }
            batch.append(RecordEntry(start: start, length: UInt32(body.count)))
            batch.context = RecordContext(host: "host", source: "p0/a", input: "test").encoded
            try spool.append(batch)
        }
        spool.flush()
        var limits = SettlingLimits()
        limits.time = .milliseconds(50)
        limits.flushMilliseconds = 50
        var records: UInt64 = 0
        var progress = try area.settle(.replay, [0..<200], limits: limits)
        records += progress.records
        #expect(progress.state != .done && progress.left == 200 - records)
        while case .more = progress.state {
            progress = try area.settle(.replay, [0..<200], limits: limits)
            records += progress.records
        }
        guard case .waiting(let reason) = progress.state else { return #expect(Bool(false), "\(progress)") }
        #expect(reason.hasPrefix("the spool is full"))
        while progress.state != .done {
            main.release(below: main.committed)
            progress = try area.settle(.replay, [0..<200], limits: limits)
            records += progress.records
        }
        #expect(records == 200 && progress.left == 0)
        #expect(area.counts?.unexplained == 0 && area.counts?.replayed == 200)
    }

    /// The smallest there is, with nothing acknowledged.
    private func fullSpool(_ bench: Workbench) throws -> Spool {
        var configuration = SpoolConfiguration(directory: bench.directory("small"))
        configuration.maximumSize = SpoolConfiguration.minimumSize
        configuration.sync = .never
        return try Spool.open(configuration, logger: quiet)
    }

    @Test func whatIsDamagedIsCountedAndDoesNotHoldUpTheRest() throws {
        let bench = try Workbench()
        try fill(bench, (0..<9).map { "letter \($0)" })
        try bench.restart()
        let directory = bench.directory("dead-letter")
        let names = try SpoolDirectory(path: directory).names()
        let segment = try #require(names.first { $0.hasSuffix(".spool") })
        try flip("letter 4", in: "\(directory)/\(segment)")
        #expect(try bench.area.openIfThere())
        let progress = try bench.area.settle(.replay, [0..<100])
        #expect(progress == done(8))
        let counts = try #require(bench.area.counts)
        #expect(counts.carriedOver == 9 && counts.replayed == 8 && counts.lost == 1)
        #expect(counts.inArea == 0 && counts.unexplained == 0)
    }

    private func flip(_ text: String, in path: String) throws {
        let descriptor = open(path, O_RDWR)
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let place = try #require(bytes[..<max(0, count)].firstRange(of: Array(text.utf8))?.lowerBound)
        var changed = bytes[place] ^ 0xFF
        #expect(pwrite(descriptor, &changed, 1, place) == 1)
    }

    @Test func segmentsGoOnceTheyAreSettledButForTheLatestRecords() throws {
        let bench = try Workbench()
        let body = String(repeating: "x", count: 128 << 10)
        try fill(bench, (0..<600).map { _ in body })
        let spool = try bench.area.open()
        let before = spool.statistics().segments
        #expect(before >= 4)
        while try bench.area.settle(.drop, [0..<600]).state != .done {}
        #expect(spool.flush())
        let after = spool.statistics()
        #expect(after.segments < before && after.firstSequence > 0)
        #expect(after.firstSequence <= 600 - DeadLetterArea.remembered)
        #expect(bench.area.counts?.inArea == 0 && bench.area.counts?.unexplained == 0)
    }

    /// Killed anywhere between two frames, each record is either still a dead letter or in the main spool.
    @Test(arguments: 0..<30) func aReplayThatIsKilledGoesOnWhereItWas(_ round: Int) throws {
        var random = SeededGenerator(seed: UInt64(round) &+ 0x5E7)
        let bench = try Workbench()
        let count = Int.random(in: 1...120, using: &random)
        try fill(bench, (0..<count).map { "\($0)" })
        var dropped: Set<String> = []
        var isDone = false
        while !isDone {
            #expect(try bench.area.openIfThere())
            var limits = SettlingLimits()
            limits.bytes = Int.random(in: 1...4000, using: &random)
            // Not durable when it returns, but what was written before the kill is found again.
            limits.flushMilliseconds = 0
            let first = UInt64.random(in: 0...UInt64(count), using: &random)
            var range: Range<UInt64> = first..<(first + 5)
            if Bool.random(using: &random) { range = 0..<UInt64(count) }
            if Int.random(in: 0..<8, using: &random) == 0 {
                let before = bench.area.settled
                limits.flushMilliseconds = 10_000
                let part = first..<(first + 1)
                if try bench.area.settle(.drop, [part], limits: limits).records > 0 {
                    dropped.formUnion(before.rest(of: part).map { "\($0.lowerBound)" })
                }
            } else {
                _ = try bench.area.settle(.replay, [range], limits: limits)
            }
            #expect(bench.area.counts?.unexplained == 0)
            if Bool.random(using: &random) { try bench.restart() }
            isDone = bench.area.settled.floor >= UInt64(count)
        }
        try bench.restart()
        #expect(try bench.area.openIfThere())
        while try bench.area.settle(.replay, [0..<UInt64(count)]).state != .done {}
        let replayed = try seen(bench.spool, from: 0).map(\.body)
        #expect(Set(replayed).count == replayed.count)
        let all = Set((0..<count).map { "\($0)" })
        #expect(Set(replayed).union(dropped) == all)
        #expect(Set(replayed).isDisjoint(with: dropped))
    }
}
