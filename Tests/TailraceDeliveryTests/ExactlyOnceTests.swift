import Producing
import Synchronization
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceDelivery

/// Against a service that numbers records: after any end of the process nothing is lost, nothing comes twice.
@Suite struct ExactlyOnceTests {
    private func store(_ partitions: Int, countsAnew: Bool = false) -> Watched<NumberedStore> {
        Watched(NumberedStore(partitions: partitions, countsAnew: countsAnew))
    }

    @Test func whatTheServiceStoredWithoutAnAnswerIsNotSentAgain() async throws {
        let bench = try Workbench()
        let stored = store(2)
        for index in 0..<10 { try bench.append(["\(index)"], source: "p\(index % 2)/a") }
        // Two batches of two records each are stored, and the process dies before it hears of it.
        let first = NumberedHub(stored, ledger: bench.ledger.state, maximumSize: 60) { _, _ in .pending(isStored: true)
        }
        let dying = try bench.drain(first)
        dying.start()
        await stored.wait { $0.count >= 8 }
        await dying.abandon()
        #expect(bench.ledger.state.floor == 0)
        try bench.restart()
        try bench.append(["10"], source: "p0/a")
        let second = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        second.start()
        await bench.floor.wait { $0 == 11 }
        await second.stop(within: .seconds(10))
        #expect(stored.value.sequences == Array(0...10))
        let statistics = second.statistics
        #expect(statistics.recognised >= 8 && statistics.alreadyAcknowledged == statistics.recognised)
        #expect(statistics.balances)
        #expect(bench.ledger.state.partitions.map(\.serviceNumber) == [5, 4])
    }

    /// A recovery skipped ids, what was before them left the spool, and a power cut took the ledger's last word: what the
    /// service has of the records behind them is recognised all the same.
    @Test func idsThatARecoverySkippedAreNotTakenForRecordsThatWent() async throws {
        let bench = try Workbench()
        let stored = store(1)
        for index in 0..<3 { try bench.append(["\(index)"], source: "p0/a") }
        let first = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        first.start()
        await bench.floor.wait { $0 == 3 }
        await first.stop(within: .seconds(10))
        try bench.restart(minimumNextSequence: 10)
        for index in 10..<14 { try bench.append(["\(index)"], source: "p0/a") }
        let hub = NumberedHub(stored, ledger: bench.ledger.state) { _, _ in .pending(isStored: true) }
        let ledger = try bench.ledgerBytes()
        let dying = try bench.drain(hub)
        dying.start()
        await stored.wait { $0.count == 7 }
        await dying.abandon()
        #expect(bench.spool.flush())
        #expect(bench.spool.statistics().firstSequence == 10)
        try bench.restart(oldLedger: ledger)
        #expect(bench.ledger.state.floor == 3)
        let last = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        last.start()
        await bench.floor.wait { $0 == 14 }
        await last.stop(within: .seconds(10))
        #expect(stored.value.sequences == [0, 1, 2, 10, 11, 12, 13])
        #expect(last.statistics.recognised == 4 && last.statistics.balances)
    }

    @Test func theLedgerKnowsTheProducersBeforeTheFirstRecordGoesOut() async throws {
        let bench = try Workbench()
        let stored = store(3)
        let ledger = Mutex(bench.ledger)
        let seen = Watched<[LedgerState.Producer?]>([])
        try bench.append(["0"], source: "p1/a")
        let hub = NumberedHub(stored, ledger: bench.ledger.state) { _, _ in
            let producers = ledger.withLock { $0.state.partitions.map(\.producer) }
            seen.update { $0 = producers }
            return .stored
        }
        let drain = try bench.drain(hub)
        drain.start()
        await bench.floor.wait { $0 == 1 }
        await drain.stop(within: .seconds(10))
        #expect(seen.value == hub.positions?.map(\.producer))
        // The next run outranks this one.
        try bench.restart()
        let next = NumberedHub(stored, ledger: bench.ledger.state)
        #expect(next.positions?.map(\.producer.groupID) == hub.positions?.map(\.producer.groupID))
        #expect(next.positions?.map(\.producer.ownerLevel) == [1, 1, 1])
    }

    @Test func severalBatchesAreInFlightAndTheOrderHolds() async throws {
        let bench = try Workbench()
        let stored = store(1)
        let random = Mutex(SeededGenerator(seed: 3))
        for index in 0..<300 { try bench.append(["\(index)"], source: "p0/a") }
        let hub = NumberedHub(stored, ledger: bench.ledger.state, maximumSize: 60) { _, _ in
            random.withLock { Int.random(in: 0..<4, using: &$0) } == 0 ? .lost(.unknown(reason: "lost")) : .stored
        }
        let drain = try bench.drain(hub) { $0.window = 4 }
        drain.start()
        await bench.floor.wait { $0 == 300 }
        await drain.stop(within: .seconds(10))
        #expect(stored.value.partitions[0].records.map(\.sequence) == Array(0..<300))
        // More than one at a time: those behind a lost one were refused for the gap.
        #expect(drain.statistics.retries > drain.statistics.unknownOutcomes)
    }

    @Test func aGivenUpRecordIsInTheLedgerBeforeThoseBehindItAreSent() async throws {
        let bench = try Workbench()
        let stored = store(1)
        let ledger = Mutex(bench.ledger)
        try bench.append(["0", "1", "poison", "3", "4"], source: "p0/a")
        let atFourth = Watched<UInt64>(0)
        let hub = NumberedHub(stored, ledger: bench.ledger.state) { batch, _ in
            if batch.records.contains(where: { $0.body == Array("poison".utf8) }) { return .refused }
            if batch.records.contains(where: { $0.sequence == 3 }) {
                atFourth.update { $0 = ledger.withLock { $0.state.partitions[0].acknowledged } }
                // The process dies when it is stored.
                return .pending(isStored: true)
            }
            return .stored
        }
        let dying = try bench.drain(hub) { $0.ledgerInterval = .seconds(3600) }
        dying.start()
        await stored.wait { $0.partitions[0].records.contains { $0.sequence == 3 } }
        await dying.abandon()
        #expect(atFourth.value == 3)
        try bench.restart()
        let second = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        second.start()
        await bench.floor.wait { $0 == 5 }
        await second.stop(within: .seconds(10))
        #expect(stored.value.partitions[0].records.map(\.sequence) == [0, 1, 3, 4])
        #expect(try bench.deadLetters().map(\.body) == ["poison"])
    }

    /// Otherwise a run that ends then has a record too many at the service, and the next one skips the given-up record
    /// instead of the one behind it: found as seed 6341367300597605210, once in hundreds of runs.
    @Test func aGivenUpRecordIsInTheLedgerBeforeThoseBehindItAreSentAlsoWhenOneBeforeItIsInDoubt() async throws {
        let bench = try Workbench()
        let stored = store(1)
        let ledger = Mutex(bench.ledger)
        try bench.append(["0", "poison", "2", "3"], source: "p0/a")
        let atThird = Watched<[UInt64]>([])
        // A batch of each; the last one waits until the lane is empty.
        let hub = NumberedHub(stored, ledger: bench.ledger.state, maximumSize: 30) { batch, _ in
            switch batch.records.first?.sequence {
            case 0: return .unheard
            case 1: return .refused
            case 2:
                atThird.update { $0.append(ledger.withLock { $0.state.partitions[0].acknowledged }) }
                return .stored
            default: return .stored
            }
        }
        let drain = try bench.drain(hub) {
            $0.window = 3
            $0.ledgerInterval = .seconds(3600)
        }
        drain.start()
        await stored.wait { $0.count == 3 }
        await drain.stop(within: .seconds(10))
        #expect(atThird.value == [2])
        #expect(stored.value.sequences == [0, 2, 3])
        #expect(try bench.deadLetters().map(\.body) == ["poison"])
    }

    /// Sent on without that, a record behind the given-up one would have the number that the next run takes for the given-up
    /// one's, and would come twice.
    @Test func nothingIsSentBehindAGivenUpRecordWhileTheLedgerCannotBeWritten() async throws {
        let bench = try Workbench()
        let stored = store(1)
        try bench.append(["0", "poison", "2"], source: "p0/a")
        let ledger = Mutex(bench.ledger)
        // A batch of each.
        let hub = NumberedHub(stored, ledger: bench.ledger.state, maximumSize: 30) { batch, _ in
            guard batch.records.first?.sequence == 1 else { return .stored }
            ledger.withLock { $0.close() }
            return .refused
        }
        let dying = try bench.drain(hub) {
            $0.readRetryInterval = .milliseconds(1)
            $0.ledgerInterval = .seconds(3600)
        }
        dying.start()
        while dying.statistics.localFailures < 3 { await Task.yield() }
        #expect(stored.value.sequences == [0])
        await dying.abandon()
        try bench.restart()
        let second = try bench.drain(
            NumberedHub(stored, ledger: bench.ledger.state) { batch, _ in
                batch.records.contains { $0.sequence == 1 } ? .refused : .stored
            })
        second.start()
        await bench.floor.wait { $0 == 3 }
        await second.stop(within: .seconds(10))
        #expect(stored.value.sequences == [0, 2])
        #expect(try bench.deadLetters().map(\.body) == ["poison"])
    }

    @Test func aRecordThatCannotBeSentAtAllHasNoNumber() async throws {
        let bench = try Workbench()
        let stored = store(1)
        // Too few for the 20 bytes of an empty record.
        let hub = NumberedHub(stored, ledger: bench.ledger.state, maximumSize: 25)
        try bench.append(["a"], source: "p0/a")
        let first = try bench.drain(hub)
        first.start()
        await bench.floor.wait { $0 == 1 }
        await first.stop(within: .seconds(10))
        #expect(bench.ledger.state.partitions[0].serviceNumber == -1)
        #expect(bench.ledger.state.partitions[0].acknowledged == 1)
        try bench.restart()
        try bench.append(["b"], source: "p0/a")
        let second = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        second.start()
        await bench.floor.wait { $0 == 2 }
        await second.stop(within: .seconds(10))
        #expect(stored.value.sequences == [1])
        #expect(bench.ledger.state.partitions[0].serviceNumber == 0)
    }

    @Test func aServiceThatCountsAnewForEveryOwnerLevelIsResumedWhereItStood() async throws {
        let bench = try Workbench()
        let stored = store(1, countsAnew: true)
        var expected = 0
        for run in 1...4 {
            try bench.append(["a", "b", "c"], source: "p0/a")
            expected += 3
            let dying = try bench.drain(
                NumberedHub(stored, ledger: bench.ledger.state) { _, _ in .pending(isStored: true) })
            dying.start()
            await stored.wait { [expected] in $0.count == expected }
            await dying.abandon()
            try bench.restart()
            #expect(stored.value.sequences == Array(0..<UInt64(expected)), "run \(run)")
        }
        let last = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        last.start()
        await bench.floor.wait { [expected] in $0 == UInt64(expected) }
        await last.stop(within: .seconds(10))
        #expect(stored.value.sequences == Array(0..<UInt64(expected)))
    }

    @Test func aServiceThatHasForgottenTheProducerGetsEverythingThatIsNotAcknowledged() async throws {
        let bench = try Workbench()
        let stored = store(1)
        try bench.append(["0", "1"], source: "p0/a")
        let first = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        first.start()
        await bench.floor.wait { $0 == 2 }
        await first.stop(within: .seconds(10))
        try bench.append(["2", "3"], source: "p0/a")
        let dying = try bench.drain(
            NumberedHub(stored, ledger: bench.ledger.state) { _, _ in .pending(isStored: true) })
        dying.start()
        await stored.wait { $0.count == 4 }
        await dying.abandon()
        try bench.restart()
        stored.update { $0.partitions[0].producers = [:] }
        let second = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        second.start()
        await bench.floor.wait { $0 == 4 }
        await second.stop(within: .seconds(10))
        // Twice rather than never.
        #expect(stored.value.sequences == [0, 1, 2, 2, 3, 3])
        #expect(bench.ledger.state.partitions[0].serviceNumber == 1)
    }

    @Test func anotherKindOfKeyBeginsWithOtherProducersAndSkipsNothing() async throws {
        let bench = try Workbench()
        let stored = store(2)
        try bench.append(["0", "1"], source: "p1/a")
        let dying = try bench.drain(
            NumberedHub(stored, ledger: bench.ledger.state) { _, _ in .pending(isStored: true) })
        dying.start()
        await stored.wait { $0.count == 2 }
        await dying.abandon()
        let before = bench.ledger.state.partitions.map(\.producer)
        try bench.restart()
        let hub = NumberedHub(stored, ledger: bench.ledger.state, key: .host)
        let second = try bench.drain(hub) { $0.key = .host }
        second.start()
        await bench.floor.wait { $0 == 2 }
        await second.stop(within: .seconds(10))
        #expect(stored.value.partitions.map { $0.records.map(\.sequence) } == [[0, 1], [0, 1]])
        #expect(bench.ledger.state.generation == 1)
        for (old, new) in zip(before, bench.ledger.state.partitions.map(\.producer)) {
            #expect(old?.groupID != new?.groupID)
        }
    }

    /// Records that went without numbers would be counted as if they had some.
    @Test func aRunWithoutNumbersLeavesTheNumbersBehind() async throws {
        let bench = try Workbench()
        let stored = store(1)
        try bench.append(["0", "1"], source: "p0/a")
        let dying = try bench.drain(
            NumberedHub(stored, ledger: bench.ledger.state) { _, _ in .pending(isStored: true) })
        dying.start()
        await stored.wait { $0.count == 2 }
        await dying.abandon()
        try bench.restart()
        let plain = FakeHub(partitions: 1)
        let second = try bench.drain(plain)
        second.start()
        await bench.floor.wait { $0 == 2 }
        await second.stop(within: .seconds(10))
        #expect(plain.stored.value.sequences == [0, 1])
        #expect(bench.ledger.state.partitions == [.init(acknowledged: 2)])
        try bench.restart()
        try bench.append(["2", "3"], source: "p0/a")
        let third = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        third.start()
        await bench.floor.wait { $0 == 4 }
        await third.stop(within: .seconds(10))
        #expect(stored.value.sequences == [0, 1, 2, 3])
    }

    @Test func aProducerThatWasTakenOverIsForgottenAndWaits() async throws {
        let bench = try Workbench()
        let stored = store(1)
        let hub = NumberedHub(stored, ledger: bench.ledger.state)
        let drain = try bench.drain(hub) { $0.retry = .init(first: .microseconds(100), cap: .milliseconds(1)) }
        drain.start()
        try bench.append(["0"], source: "p0/a")
        await bench.floor.wait { $0 == 1 }
        // A copy of the state directory: another agent attaches with the same producer.
        _ = NumberedHub(stored, ledger: bench.ledger.state)
        try bench.append(["1"], source: "p0/a")
        while drain.statistics.partitions[0].trouble == nil { await Task.yield() }
        while bench.ledger.state.partitions[0].producer != nil { await Task.yield() }
        let transmissions = drain.statistics.transmissions
        await drain.stop(within: .milliseconds(50))
        #expect(drain.statistics.transmissions == transmissions && transmissions == 2)
        // The next run has a producer of its own and believes no number.
        try bench.restart()
        let second = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        second.start()
        await bench.floor.wait { $0 == 2 }
        await second.stop(within: .seconds(10))
        #expect(stored.value.sequences == [0, 1])
    }

    @Test func noRecordGoesOutWhileTheLedgerCannotBeWritten() async throws {
        let bench = try Workbench()
        let stored = store(1)
        try bench.append(["0"], source: "p0/a")
        bench.ledger.close()
        let drain = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state)) {
            $0.readRetryInterval = .milliseconds(1)
        }
        drain.start()
        while drain.statistics.localFailures < 3 { await Task.yield() }
        #expect(stored.value.count == 0)
        await drain.stop(within: .seconds(10))
        #expect(stored.value.count == 0)
    }

    /// A service with every fault and processes that end at any moment: everything once, in order.
    @Test func everythingArrivesOnceAndInOrderWhateverHappens() async throws {
        for var generator in [SeededGenerator(seed: 12), .fresh("exactly once")] {
            for _ in 0..<8 { try await crashAtRandom(&generator) }
        }
    }

    private func crashAtRandom(_ generator: inout SeededGenerator) async throws {
        let partitions = Int.random(in: 1...4, using: &generator)
        let bench = try Workbench()
        let stored = store(partitions)
        // Near the end of the ring now and then.
        let startAt = Bool.random(using: &generator) ? -1 : Int32.max - Int32.random(in: 0...500, using: &generator)
        var total = 0
        var poison: Set<UInt64> = []
        let processes = Int.random(in: 2...6, using: &generator)
        for process in 0..<processes {
            let isLast = process == processes - 1
            let random = Mutex(SeededGenerator(seed: generator.next()))
            let sizes = Int.random(in: 100...3000, using: &generator)
            let hub = NumberedHub(stored, ledger: bench.ledger.state, maximumSize: sizes, startAt: startAt) {
                batch, _ in
                if batch.records.contains(where: { $0.body.first == 66 }) { return .refused }
                return switch random.withLock({ Int.random(in: 0..<(isLast ? 9 : 11), using: &$0) }) {
                case 0: .lost(.retry(reason: "busy"))
                case 1: .lost(.retry(reason: "throttled", after: .microseconds(50)))
                case 2: .lost(.unknown(reason: "lost before"))
                case 3: .unheard
                case 9: .pending(isStored: true)
                case 10: .pending(isStored: false)
                default: .stored
                }
            }
            let drain = try bench.drain(hub) {
                $0.window = Int.random(in: 1...6, using: &generator)
                $0.memoryLimit = Int.random(in: 1000...100_000, using: &generator)
                $0.maximumBatchRecords = Int.random(in: 1...100, using: &generator)
            }
            drain.start()
            for _ in 0..<Int.random(in: 5...60, using: &generator) {
                let count = Int.random(in: 1...20, using: &generator)
                let bodies = (0..<count).map { _ in
                    [UInt8](
                        repeating: Int.random(in: 0..<50, using: &generator) == 0 ? 66 : 1,
                        count: Int.random(in: 1...60, using: &generator))
                }
                for (index, body) in bodies.enumerated() where body[0] == 66 { poison.insert(UInt64(total + index)) }
                try bench.append(bodies, source: "p\(Int.random(in: 0..<8, using: &generator))/a")
                total += count
            }
            if isLast {
                await bench.floor.wait { [total] in $0 == UInt64(total) }
                await drain.stop(within: .seconds(10))
                #expect(drain.statistics.balances)
            } else {
                // A batch whose answer never comes may hold up a partition: not more than chance is waited for.
                for _ in 0..<Int.random(in: 0...2000, using: &generator) { await Task.yield() }
                if Bool.random(using: &generator) {
                    await drain.abandon()
                } else {
                    await drain.stop(within: .zero)
                }
                try bench.restart()
            }
        }
        let sent = stored.value
        #expect(sent.sequences == (0..<UInt64(total)).filter { !poison.contains($0) }, "seed \(generator.seed)")
        for partition in sent.partitions {
            #expect(partition.records.map(\.sequence) == partition.records.map(\.sequence).sorted())
        }
        if !poison.isEmpty {
            #expect(Set(try bench.deadLetters().map { UInt64($0.sequence) }) == poison)
        }
    }
}
