import Glibc
import Producing
import Synchronization
import TailraceDelivery
import TailraceSpool
import TestSupport
import Testing

@Suite struct DrainTests {
    @Test func everyRecordArrivesOnceInTheOrderOfItsKey() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 4)
        let drain = try bench.drain(hub)
        drain.start()
        for round in 0..<200 {
            for source in ["p0/a", "p0/b", "p1/a", "p3/a"] {
                try bench.append(["\(source) \(round) x", "\(source) \(round) y"], source: source)
            }
        }
        await bench.floor.wait { $0 == 1600 }
        let store = hub.stored.value
        #expect(store.sequences == Array(0..<1600))
        #expect(store.partitions.map(\.count) == [800, 400, 0, 400])
        for partition in store.partitions {
            #expect(partition.map(\.sequence) == partition.map(\.sequence).sorted())
            for record in partition { #expect(String(decoding: record.body, as: UTF8.self).hasPrefix(record.source)) }
        }
        await drain.stop(within: .seconds(10))
        let statistics = drain.statistics
        #expect(statistics.acknowledged == 1600 && statistics.queued == 0 && statistics.balances)
        #expect(statistics.partitions.map(\.acknowledgedRecords) == [800, 400, 0, 400])
        #expect(bench.ledger.state.floor == 1600)
        #expect(statistics.waiting(committed: bench.spool.committed) == 0)
    }

    @Test func idsThatARecoverySkippedAreNeitherWaitedForNorCountedAsLost() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 2)
        try bench.append((0..<10).map { "\($0)" }, source: "p0/a")
        try bench.restart(minimumNextSequence: 35)
        let drain = try bench.drain(hub)
        drain.start()
        // Nothing follows the skipped ids, and still they are behind us.
        await bench.floor.wait { $0 == 35 }
        while drain.statistics.read < 35 { await Task.yield() }
        #expect(drain.statistics.waiting(committed: bench.spool.committed) == 0)
        try bench.append(["next"], source: "p1/a")
        await bench.floor.wait { $0 == 36 }
        await drain.stop(within: .seconds(10))
        let statistics = drain.statistics
        #expect(statistics.acknowledged == 11 && statistics.unused == 25 && statistics.damaged == 0)
        #expect(statistics.balances)
        #expect(hub.stored.value.sequences == Array(0..<10) + [35])
    }

    @Test func framesThatCameMeanwhileShareABatch() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 1, answer: { _, _ in nil })
        let drain = try bench.drain(hub)
        drain.start()
        try bench.append(["first"], source: "p0/a")
        let first = await hub.next()
        #expect(first.batch.records.map(\.sequence) == [0])
        for index in 1...50 { try bench.append(["\(index)"], source: "p0/a") }
        // Read all of it before the lane is free again.
        while drain.statistics.read < 51 { await Task.yield() }
        first.answer(.accepted)
        let second = await hub.next()
        #expect(second.batch.records.map(\.sequence) == Array(1...50))
        second.answer(.accepted)
        await bench.floor.wait { $0 == 51 }
        await drain.stop(within: .seconds(10))
    }

    /// A write and a sync for it would be one for each batch that goes out, beside the one for its acknowledgement.
    @Test func theLedgerIsNotWrittenForWhatWasOnlyRead() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 1, answer: { _, _ in nil })
        let drain = try bench.drain(hub)
        drain.start()
        try bench.append(["first"], source: "p0/a")
        let first = await hub.next()
        let before = try bench.ledgerBytes()
        for index in 1...5 {
            try bench.append(["\(index)"], source: "p0/a")
            while drain.statistics.read < index + 1 { await Task.yield() }
            usleep(5000)
        }
        #expect(try bench.ledgerBytes() == before)
        first.answer(.accepted)
        (await hub.next()).answer(.accepted)
        await bench.floor.wait { $0 == 6 }
        #expect(try bench.ledgerBytes() != before)
        await drain.stop(within: .seconds(10))
    }

    /// It does not know a batch again: a kill may double the one that is on its way, and none before that.
    @Test func aServiceThatDoesNotKnowWhatItHasGetsNoBatchBeforeTheLedgerHasTheLast() async throws {
        let bench = try Workbench()
        let ledger = Mutex(bench.ledger)
        let noted = Watched<[UInt64]>([])
        // A batch of each.
        let hub = FakeHub(partitions: 1, maximumSize: 30) { _, _ in
            noted.update { $0.append(ledger.withLock { $0.state.partitions.first?.acknowledged ?? 0 }) }
            return (.accepted, true)
        }
        try bench.append((0..<10).map { "record \($0)" }, source: "p0/a")
        let drain = try bench.drain(hub) { $0.ledgerInterval = .seconds(3600) }
        drain.start()
        await hub.stored.wait { $0.batches == 10 }
        await drain.stop(within: .seconds(10))
        #expect(noted.value == Array(0..<10))
    }

    @Test func whatNobodyWaitsForIsHeardOfWithTheNextRecords() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 1, answer: { _, _ in nil })
        let drain = try bench.drain(hub) { $0.settleInterval = .seconds(3600) }
        drain.start()
        for index in 0..<3 {
            try bench.append(["\(index)"], source: "p0/a")
            // Each goes at once: the one before was heard of.
            let sent = await hub.next()
            #expect(sent.batch.records.map(\.sequence) == [UInt64(index)])
            sent.answer(.accepted)
        }
        // The last one is asked for.
        drain.finish(below: 3)
        #expect(await drain.end())
        #expect(drain.statistics.acknowledged == 3 && drain.statistics.balances)
    }

    @Test func whatNobodyWaitsForIsHeardOfInTheEnd() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 1, answer: { _, _ in nil })
        let drain = try bench.drain(hub)
        drain.start()
        try bench.append(["0"], source: "p0/a")
        let sent = await hub.next()
        while drain.statistics.inFlight == 0 { await Task.yield() }
        sent.answer(.accepted)
        await bench.floor.wait { $0 == 1 }
        // Also when it was answered so late that it is waited for.
        try bench.append(["1"], source: "p0/a")
        let late = await hub.next()
        try await Task.sleep(for: .milliseconds(50))
        late.answer(.accepted)
        await bench.floor.wait { $0 == 2 }
        await drain.stop(within: .seconds(10))
    }

    @Test func whatOnlyMakesADrainFasterIsFreedAndMadeAgain() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 2)
        let drain = try bench.drain(hub)
        drain.start()
        for index in 0..<3 {
            try bench.append(["\(index)"], source: "p0/a")
            await bench.floor.wait { $0 == index + 1 }
        }
        #expect(hub.prepared.value == ["p0/a"])
        drain.releaseMemory()
        await hub.releases.wait { $0 == 2 }
        try bench.append(["3"], source: "p0/a")
        await bench.floor.wait { $0 == 4 }
        #expect(hub.prepared.value == ["p0/a", "p0/a"])
        #expect(hub.stored.value.partitions[0].map(\.sequence) == [0, 1, 2, 3])
        #expect(hub.releases.value == 2)
        await drain.stop(within: .seconds(10))
    }

    /// Not while something waits: then its route and its storage are in use.
    @Test func aDrainAtWorkFreesNothing() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 1, answer: { _, _ in nil })
        let drain = try bench.drain(hub) { $0.maximumWait = .seconds(3600) }
        drain.start()
        try bench.append(["0"], source: "p0/a")
        let first = await hub.next()
        for index in 1...10 { try bench.append(["\(index)"], source: "p0/a") }
        while drain.statistics.read < 11 { await Task.yield() }
        drain.releaseMemory()
        try await Task.sleep(for: .milliseconds(20))
        first.answer(.accepted)
        let second = await hub.next()
        #expect(second.batch.records.map(\.sequence) == Array(1...10))
        second.answer(.accepted)
        await bench.floor.wait { $0 == 11 }
        await drain.stop(within: .seconds(10))
    }

    @Test func aBatchHoldsOneKey() async throws {
        let bench = try Workbench()
        for index in 0..<10 { try bench.append(["\(index)"], source: index < 5 ? "p0/a" : "p0/b") }
        let hub = FakeHub(partitions: 2)
        let drain = try bench.drain(hub)
        drain.start()
        await bench.floor.wait { $0 == 10 }
        #expect(hub.stored.value.batches == 2)
        #expect(hub.stored.value.partitions[0].map(\.sequence) == Array(0..<10))
        await drain.stop(within: .seconds(10))
    }

    @Test func largeFramesAreSplitBySizeAndByCount() async throws {
        for (size, count) in [(200, 50_000), (1 << 20, 7)] {
            let bench = try Workbench()
            let bodies = (0..<100).map { Array("record number \($0)".utf8) }
            try bench.append(bodies, source: "p0/a")
            let hub = FakeHub(partitions: 1, maximumSize: size)
            let drain = try bench.drain(hub) { $0.maximumBatchRecords = count }
            drain.start()
            await bench.floor.wait { $0 == 100 }
            #expect(hub.stored.value.partitions[0].map(\.body) == bodies)
            #expect(hub.stored.value.batches >= 100 / 7)
            await drain.stop(within: .seconds(10))
        }
    }

    @Test func aRecordLargerThanABatchIsCutAndBlocksNothing() async throws {
        let bench = try Workbench()
        // What an empty batch of 200 bytes has room for: 200 − 10 − 20.
        let fits = 170
        let lengths = [fits - 1, fits, fits + 1, fits * 10, 0, 3]
        try bench.append(lengths.map { [UInt8](repeating: 7, count: $0) }, source: "p0/a")
        let hub = FakeHub(partitions: 1, maximumSize: 200)
        let drain = try bench.drain(hub)
        drain.start()
        await bench.floor.wait { $0 == 6 }
        let records = hub.stored.value.partitions[0]
        #expect(records.map(\.sequence) == Array(0..<6))
        #expect(records.map(\.body.count) == [fits - 1, fits, fits, fits, 0, 3])
        #expect(records.map(\.cutFrom) == [nil, nil, fits + 1, fits * 10, nil, nil])
        await drain.stop(within: .seconds(10))
        #expect(drain.statistics.truncated == 2 && drain.statistics.balances)
    }

    @Test func aRecordThatCannotBeSentAtAllIsKeptAside() async throws {
        let bench = try Workbench()
        try bench.append(["a", "b"], source: "p0/a")
        let hub = FakeHub(partitions: 1, maximumSize: 25)
        let drain = try bench.drain(hub)
        drain.start()
        await bench.floor.wait { $0 == 2 }
        await drain.stop(within: .seconds(10))
        #expect(hub.stored.value.count == 0)
        #expect(drain.statistics.deadLettered == 2 && drain.statistics.balances)
        #expect(try bench.deadLetters().map(\.body) == ["a", "b"])
    }

    @Test func whatIsRefusedForGoodIsKeptWithTheReasonAndTheRestGoesOn() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 2) { batch, _ in
            batch.records.contains { $0.body == Array("poison".utf8) }
                ? (.rejected(reason: "malformed"), false) : (.accepted, true)
        }
        for index in 0..<20 {
            try bench.append([index == 7 ? "poison" : "\(index)"], source: index % 2 == 0 ? "p0/a" : "p1/a")
        }
        let drain = try bench.drain(hub)
        drain.start()
        await bench.floor.wait { $0 == 20 }
        await drain.stop(within: .seconds(10))
        #expect(
            try bench.deadLetters()
                == [Workbench.DeadLetter(body: "poison", source: "p1/a", sequence: 7, reason: "malformed")])
        #expect(hub.stored.value.sequences == (0..<20).filter { $0 != 7 })
        #expect(hub.stored.value.partitions[1].map(\.sequence) == [1, 3, 5, 9, 11, 13, 15, 17, 19])
        let statistics = drain.statistics
        #expect(statistics.deadLettered == 1 && statistics.acknowledged == 19 && statistics.balances)
    }

    /// The service minds one record of a batch, and for a while the spool cannot be read to tell which.
    @Test func aRefusedBatchIsNotGivenUpBecauseTheSpoolCannotBeRead() async throws {
        let bench = try Workbench()
        let refusals = Atomic<Int>(0)
        try bench.append(["a", "poison", "b"], source: "p0/a")
        let segment = bench.directory("spool/00000000000000000001.spool")
        let aside = bench.directory("aside")
        let hub = FakeHub(partitions: 1) { batch, _ in
            guard batch.records.contains(where: { $0.body == Array("poison".utf8) }) else { return (.accepted, true) }
            switch refusals.add(1, ordering: .relaxed).newValue {
            case 1:
                // Links are not followed: opening it fails.
                rename(segment, aside)
                symlink(aside, segment)
            case 5:
                unlink(segment)
                rename(aside, segment)
            default: break
            }
            return (.rejected(reason: "malformed"), false)
        }
        let drain = try bench.drain(hub)
        drain.start()
        await bench.floor.wait { $0 == 3 }
        await drain.stop(within: .seconds(10))
        #expect(hub.stored.value.sequences == [0, 2])
        #expect(try bench.deadLetters().map(\.body) == ["poison"])
        #expect(drain.statistics.dropped == 0 && drain.statistics.localFailures >= 4 && drain.statistics.balances)
    }

    @Test func whatIsGivenUpAgainAfterACrashIsKeptOnce() async throws {
        let bench = try Workbench()
        func hub() -> FakeHub {
            FakeHub(partitions: 2) { batch, _ in
                batch.records.contains { $0.body.starts(with: "poison".utf8) }
                    ? (.rejected(reason: "malformed"), false) : (.accepted, true)
            }
        }
        try bench.append(["poison 0", "1", "poison 2", "3"], source: "p0/a")
        let drain = try bench.drain(hub())
        drain.start()
        await bench.floor.wait { $0 == 4 }
        await drain.abandon()
        // The ledger's last words did not reach the disk.
        try bench.ledger.update(LedgerState(floor: 0))
        try bench.restart()
        try bench.append(["poison 4", "5"], source: "p0/a")
        let again = try bench.drain(hub())
        again.start()
        await bench.floor.wait { $0 == 6 }
        await again.stop(within: .seconds(10))
        #expect(again.statistics.deadLettered == 3 && again.statistics.balances)
        #expect(try bench.deadLetters().map(\.sequence) == [0, 2, 4])
    }

    @Test func theFloorWaitsForTheSlowestPartitionAlone() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 8, answer: { _, _ in nil })
        let drain = try bench.drain(hub)
        drain.start()
        try bench.append(["slow 0", "slow 1"], source: "p2/slow")
        let slow = await hub.next()
        for index in 0..<3 { try bench.append(["\(index)"], source: "p5/quick") }
        var quick = 0
        while quick < 3 {
            let transmission = await hub.next()
            #expect(transmission.partition == 5)
            quick += transmission.batch.records.count
            transmission.answer(.accepted)
        }
        while drain.statistics.acknowledged < 3 { await Task.yield() }
        #expect(drain.statistics.floor == 0)
        #expect(drain.statistics.partitions[5].acknowledged == 5)
        slow.answer(.accepted)
        await bench.floor.wait { $0 == 5 }
        await drain.stop(within: .seconds(10))
        #expect(bench.ledger.state.floor == 5)
    }

    @Test func afterARestartOnlyWhatIsNotAcknowledgedIsSent() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 4, answer: { _, _ in nil })
        let first = try bench.drain(hub)
        first.start()
        try bench.append(["0", "1"], source: "p1/a")
        let stuck = await hub.next()
        try bench.append(["2"], source: "p2/a")
        let done = await hub.next()
        done.answer(.accepted)
        while first.statistics.acknowledged < 1 { await Task.yield() }
        await first.stop(within: .milliseconds(1))
        try bench.restart()
        // Its answer came too late to count.
        stuck.answer(.accepted)
        try bench.append(["3"], source: "p2/a")
        let next = FakeHub(partitions: 4, stored: hub.stored)
        let second = try bench.drain(next)
        second.start()
        await bench.floor.wait { $0 == 4 }
        await second.stop(within: .seconds(10))
        // 0 and 1 twice: in flight at the end, and this hub does not recognise them.
        #expect(hub.stored.value.sequences == [0, 0, 1, 1, 2, 3])
        #expect(second.statistics.alreadyAcknowledged == 1 && second.statistics.balances)
    }

    @Test func aStopWaitsForWhatIsInFlight() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 1, answer: { _, _ in nil })
        let drain = try bench.drain(hub)
        drain.start()
        try bench.append(["0"], source: "p0/a")
        let transmission = await hub.next()
        try bench.append(["1"], source: "p0/a")
        async let stopped: Void = drain.stop(within: .seconds(60))
        while !drain.isStopping { await Task.yield() }
        transmission.answer(.accepted)
        await stopped
        #expect(bench.ledger.state.floor == 1)
        #expect(hub.held.value.isEmpty)
        // A stopped drain stays stopped, and says so again at once.
        await drain.stop(within: .seconds(60))
    }

    @Test func cancellingTheTaskStopsTheDrain() async throws {
        let bench = try Workbench()
        let drain = try bench.drain(FakeHub(partitions: 1))
        try bench.append(["0"], source: "p0/a")
        let task = Task { await drain.run() }
        await bench.floor.wait { $0 == 1 }
        task.cancel()
        await task.value
        #expect(bench.ledger.state.floor == 1)
    }

    @Test func memoryIsBoundedWhileTheHubIsAway() async throws {
        let bench = try Workbench()
        let hub = FakeHub(partitions: 4, maximumSize: 2000, answer: { _, _ in nil })
        let body = [UInt8](repeating: 1, count: 80)
        for index in 0..<200 { try bench.append([[UInt8]](repeating: body, count: 10), source: "p\(index % 4)/a") }
        let drain = try bench.drain(hub) {
            $0.memoryLimit = 12_000
            $0.laneLimit = 5000
        }
        drain.start()
        await hub.held.wait { $0.count == 4 }
        // Half of the memory is kept for whoever comes; the lanes share the other.
        while drain.statistics.queuedBytes < 6000 { await Task.yield() }
        #expect(drain.statistics.queuedBytes < 12_000 + 2000)
        #expect(drain.statistics.read < 200)
        #expect(drain.statistics.balances)
        while hub.stored.value.count < 2000 {
            let transmission = await hub.next()
            transmission.answer(.accepted)
            #expect(drain.statistics.queuedBytes < 12_000 + 2000)
        }
        await bench.floor.wait { $0 == 2000 }
        await drain.stop(within: .seconds(10))
        #expect(hub.stored.value.sequences == Array(0..<2000))
    }

    @Test func aNewNumberOfPartitionsIsANewGeneration() async throws {
        let bench = try Workbench()
        try bench.append(["0"], source: "p5/a")
        let first = try bench.drain(FakeHub(partitions: 4))
        first.start()
        await bench.floor.wait { $0 == 1 }
        await first.stop(within: .seconds(10))
        #expect(bench.ledger.state.generation == 0)
        try bench.append(["1"], source: "p5/a")
        let hub = FakeHub(partitions: 8)
        let second = try bench.drain(hub)
        second.start()
        await bench.floor.wait { $0 == 2 }
        await second.stop(within: .seconds(10))
        #expect(hub.stored.value.partitions[5].map(\.sequence) == [1])
        #expect(bench.ledger.state.generation == 1 && bench.ledger.state.partitions.count == 8)
    }

    /// What partition 0 had acknowledged by the one key says nothing of the records that go there by the other.
    @Test func anotherKindOfKeyIsANewGenerationAndLosesNothing() async throws {
        let bench = try Workbench()
        try bench.append(["0"], source: "p1/a")
        try bench.append(["1"], source: "p0/a")
        let first = try bench.drain(
            FakeHub(partitions: 2) { _, partition in
                partition == 0 ? (.accepted, true) : (.retry(reason: "not now"), false)
            })
        first.start()
        while first.statistics.acknowledged < 1 { await Task.yield() }
        await first.stop(within: .seconds(10))
        #expect(bench.ledger.state.partitions.map(\.acknowledged) == [2, 0])
        #expect(bench.ledger.state.keyKind == .source)
        try bench.restart()
        // By the host, both go to partition 0.
        let hub = FakeHub(partitions: 2)
        let second = try bench.drain(hub) { $0.key = .host }
        second.start()
        await bench.floor.wait { $0 == 2 }
        await second.stop(within: .seconds(10))
        #expect(hub.stored.value.partitions.map { $0.map(\.sequence) } == [[0, 1], []])
        #expect(bench.ledger.state.generation == 1 && bench.ledger.state.keyKind == .host)
    }

    @Test func aLedgerThatDoesNotTellTheKindOfKeyKeepsWhatItHas() async throws {
        let bench = try Workbench()
        try bench.append(["0"], source: "p1/a")
        try bench.append(["1"], source: "p0/a")
        try bench.ledger.update(
            LedgerState(floor: 0, generation: 4, partitions: [.init(acknowledged: 2), .init(acknowledged: 0)]))
        let hub = FakeHub(partitions: 2)
        let drain = try bench.drain(hub)
        drain.start()
        await bench.floor.wait { $0 == 2 }
        await drain.stop(within: .seconds(10))
        #expect(hub.stored.value.partitions.map { $0.map(\.sequence) } == [[], [0]])
        #expect(bench.ledger.state.generation == 4 && bench.ledger.state.keyKind == .source)
    }

    @Test func aLedgerAheadOfItsSpoolIsAnErrorThatSaysWhatToDo() async throws {
        let bench = try Workbench()
        try bench.ledger.update(LedgerState(floor: 10))
        let error = #expect(throws: DrainError.self) { try bench.drain(FakeHub(partitions: 1)) }
        #expect(error?.description.contains("restore it, or move the ledger away") == true)
        #expect(throws: DrainError.self) { try bench.drain(FakeHub(partitions: 0)) }
    }

    @Test func theSlowestOutputDecidesWhatIsReleased() throws {
        let bench = try Workbench()
        for _ in 0..<10 { try bench.append(["x"], source: "a") }
        let floors = SpoolFloors(bench.spool, outputs: 2)
        floors.set(7, output: 0)
        #expect(bench.spool.statistics().released == 0)
        floors.set(4, output: 1)
        #expect(bench.spool.statistics().released == 4)
        floors.set(9, output: 1)
        floors.set(3, output: 0)
        #expect(bench.spool.statistics().released == 7)
        // One that comes holds what is there.
        let (third, first) = floors.add()
        #expect(first == 7)
        floors.set(10, output: 0)
        #expect(bench.spool.statistics().released == 7)
        floors.set(8, output: third)
        #expect(bench.spool.statistics().released == 8)
        // One that leaves holds nothing, and is not heard any more.
        floors.remove(output: third)
        #expect(bench.spool.statistics().released == 9)
        floors.remove(output: 1)
        floors.set(5, output: 1)
        #expect(bench.spool.statistics().released == 10)
    }

    /// A hub that fails in every way and processes that end at any moment: nothing is lost, what is sent twice was not
    /// acknowledged, and no record comes before its predecessor of the same key.
    @Test func nothingIsLostNorOvertakenWhateverHappens() async throws {
        for var generator in [SeededGenerator(seed: 11), .fresh("drain")] {
            for _ in 0..<6 { try await crashAtRandom(&generator) }
        }
    }

    private func crashAtRandom(_ generator: inout SeededGenerator) async throws {
        let partitions = Int.random(in: 1...4, using: &generator)
        let bench = try Workbench()
        let stored = Watched(FakeStore(partitions: Array(repeating: [], count: partitions)))
        var total = 0
        var poison: Set<UInt64> = []
        let processes = Int.random(in: 2...5, using: &generator)
        for process in 0..<processes {
            let isLast = process == processes - 1
            let random = Mutex(SeededGenerator(seed: generator.next()))
            let hub = FakeHub(
                partitions: partitions, maximumSize: Int.random(in: 100...3000, using: &generator), stored: stored
            ) { batch, _ in
                if batch.records.contains(where: { $0.body.first == 66 }) { return (.rejected(reason: "bad"), false) }
                return switch random.withLock({ Int.random(in: 0..<8, using: &$0) }) {
                case 0: (.retry(reason: "busy"), false)
                case 1: (.retry(reason: "throttled", after: .microseconds(50)), false)
                case 2: (.unknown(reason: "lost before"), false)
                case 3: (.unknown(reason: "lost after"), true)
                default: (.accepted, true)
                }
            }
            let drain = try bench.drain(hub) {
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
                let enough = Int.random(in: 0...total, using: &generator)
                await stored.wait { [poison] in $0.count >= enough - poison.count }
                if Bool.random(using: &generator) {
                    await drain.abandon()
                } else {
                    await drain.stop(within: .zero)
                }
                try bench.restart()
            }
        }
        let store = stored.value
        #expect(Set(store.sequences) == Set(0..<UInt64(total)).subtracting(poison))
        if !poison.isEmpty {
            let letters = try bench.deadLetters()
            #expect(Set(letters.map { UInt64($0.sequence) }) == poison)
        }
        for partition in 0..<partitions {
            let distinct = store.distinct(partition).map(\.sequence)
            #expect(distinct == distinct.sorted())
        }
        #expect(bench.ledger.state.floor == UInt64(total))
    }
}
