import TailraceDelivery
import TailraceSpool
import Testing

/// Another number of partitions, or another key: a new generation, without loss, duplicate or another order.
@Suite struct RoutingTests {
    private let producer = LedgerState.Producer(groupID: 7, ownerLevel: 2)

    private var state: LedgerState {
        LedgerState(
            floor: 10, generation: 3, keyKind: .host,
            partitions: [
                .init(acknowledged: 12, serviceNumber: 4, producer: producer), .init(acknowledged: 10),
            ])
    }

    private func routing(_ key: RoutingKey, _ partitions: Int) -> Routing {
        Routing(key: key, partitions: partitions)
    }

    @Test func aRoutingIsFinishedAsLongAsRecordsWaitThatItHasToDoWith() {
        let old = routing(.host, 2)
        #expect(state.step(to: old, next: 20) == .keep)
        #expect(LedgerState(floor: 0).step(to: old, next: 20) == .keep)
        #expect(state.step(to: routing(.host, 4), next: 20) == .finish(old))
        #expect(state.step(to: routing(.source, 2), next: 20) == .finish(old))
        #expect(state.step(to: routing(.source, 3), next: 11) == .finish(old))
        #expect(state.step(to: routing(.host, 4), next: 10) == .begin)
        #expect(state.step(to: routing(.host, 4), next: 20, isFinished: true) == .begin)
        #expect(state.step(to: routing(.host, 1), next: 10) == .begin)
        #expect(state.step(to: routing(.host, 1), next: 20) == .startOver)
    }

    /// Format 1 did not tell the key: it is taken for the one of now.
    @Test func aKeyThatIsNotKnownIsTakenForTheWantedOne() {
        var state = state
        state.keyKind = .unknown
        #expect(state.step(to: routing(.source, 2), next: 20) == .keep)
        #expect(state.step(to: routing(.source, 4), next: 20) == .finish(routing(.source, 2)))
    }

    @Test func aGenerationBeginsAtTheFloorAndTheNumbersGoOn() {
        var state = state
        state.begin(routing(.source, 3))
        #expect(
            state
                == LedgerState(
                    floor: 10, generation: 4, keyKind: .source,
                    partitions: [
                        .init(acknowledged: 10, serviceNumber: 4, producer: producer), .init(acknowledged: 10),
                        .init(acknowledged: 10),
                    ]))
        var new = LedgerState(floor: 5)
        new.begin(routing(.host, 1))
        #expect(new.generation == 0 && new.partitions == [.init(acknowledged: 5)])
    }

    @Test func aDrainThatIsToFinishSendsNothingBehindItsEnd() async throws {
        let bench = try Workbench()
        try bench.append(["0", "1"], source: "p0/a")
        try bench.append(["2"], source: "p1/a")
        let hub = FakeHub(partitions: 2) { _, partition in partition == 0 ? nil : (.accepted, true) }
        let drain = try bench.drain(hub)
        drain.finish(below: 3)
        try bench.append(["3", "4"], source: "p1/a")
        drain.start()
        let held = await hub.next()
        while drain.statistics.acknowledged < 1 { await Task.yield() }
        #expect(!drain.isFinished && drain.statistics.read == 3)
        held.answer(.accepted)
        #expect(await drain.end())
        #expect(hub.stored.value.sequences == [0, 1, 2])
        #expect(bench.ledger.state.floor == 3)
        #expect(drain.statistics.balances)
        // What came behind it is the next drain's.
        let next = try bench.drain(hub)
        next.start()
        await bench.floor.wait { $0 == 5 }
        await next.stop(within: .seconds(10))
        #expect(hub.stored.value.sequences == [0, 1, 2, 3, 4])
        #expect(await !next.end())
    }

    /// A frame of ids that were never used may lie across the end.
    @Test func aDrainFinishesAlsoWhenItsEndIsAmongIDsThatWereSkipped() async throws {
        let bench = try Workbench()
        try bench.append(["0"], source: "p0/a")
        try bench.restart(minimumNextSequence: 100)
        try bench.append(["100"], source: "p0/a")
        let hub = FakeHub(partitions: 1)
        let drain = try bench.drain(hub)
        drain.finish(below: 50)
        drain.start()
        #expect(await drain.end())
        #expect(hub.stored.value.sequences == [0])
        #expect(bench.ledger.state.floor >= 50)
    }

    /// What a slow partition catches up with ends where the drain does, though ids were skipped just before it.
    @Test func aSlowPartitionCatchesUpToTheEndAndNoFurther() async throws {
        let bench = try Workbench()
        try bench.append(["0"], source: "p1/a")
        for number in 1...10 { try bench.append([Array(repeating: UInt8(number), count: 1000)], source: "p0/a") }
        try bench.append(["11"], source: "p1/a")
        try bench.restart(minimumNextSequence: 100)
        let isStuck = Watched(true)
        // A batch has one record of the ten.
        let hub = FakeHub(partitions: 2, maximumSize: 1500) { _, partition in
            partition == 0 && isStuck.value ? (.retry(reason: "not now"), false) : (.accepted, true)
        }
        let drain = try bench.drain(hub) { $0.laneLimit = 2000 }
        try bench.append(["100"], source: "p0/a")
        drain.finish(below: 100)
        drain.start()
        while drain.statistics.passedOver == 0 || drain.statistics.read < 100 { await Task.yield() }
        isStuck.update { $0 = false }
        #expect(await drain.end())
        #expect(hub.stored.value.sequences == Array(0..<12))
        #expect(drain.statistics.balances && drain.statistics.damaged == 0)
    }

    @Test func aStopComesBeforeTheEndThatADrainIsToReach() async throws {
        let bench = try Workbench()
        try bench.append(["0"], source: "p0/a")
        let drain = try bench.drain(FakeHub(partitions: 1) { _, _ in nil })
        drain.finish(below: 1)
        drain.start()
        await drain.stop(within: .milliseconds(1))
        #expect(await !drain.end())
    }

    /// The hub gets more partitions while records wait, are under way, and are acknowledged out of the order of their ids;
    /// the process dies in between.
    @Test(arguments: [false, true])
    func morePartitionsMoveKeysWithoutLossDuplicateOrAnotherOrder(diesInBetween: Bool) async throws {
        let bench = try Workbench()
        let stored = Watched(NumberedStore(partitions: 2))
        // By the count of 4, "p2" moves from partition 0 to 2, and "p3" from 1 to 3.
        for (number, source) in ["p2/a", "p3/a", "p2/a", "p3/a"].enumerated() {
            try bench.append(["\(number)"], source: source)
        }
        let dying = try bench.drain(
            NumberedHub(stored, ledger: bench.ledger.state) { _, partition in
                partition == 0 ? .pending(isStored: true) : .stored
            })
        dying.start()
        while dying.statistics.acknowledged < 2 { await Task.yield() }
        await stored.wait { $0.count >= 3 }
        await dying.abandon()
        try bench.restart()
        stored.update { $0.grow(to: 4) }
        try bench.append(["4"], source: "p2/a")
        try bench.append(["5"], source: "p3/a")
        let wanted = routing(.source, 4)
        var end = bench.spool.statistics().nextSequence
        #expect(bench.ledger.state.step(to: wanted, next: end) == .finish(routing(.source, 2)))
        if diesInBetween {
            let second = try bench.drain(
                NumberedHub(stored, ledger: bench.ledger.state, partitions: 2) { _, _ in .pending(isStored: true) })
            second.finish(below: end)
            second.start()
            await stored.wait { $0.count >= 5 }
            await second.abandon()
            try bench.restart()
            try bench.append(["6"], source: "p2/a")
            end = bench.spool.statistics().nextSequence
            #expect(bench.ledger.state.step(to: wanted, next: end) == .finish(routing(.source, 2)))
        }
        let third = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state, partitions: 2))
        third.finish(below: end)
        third.start()
        #expect(await third.end())
        let before = stored.value.partitions.map(\.records.count)
        try bench.append(["7"], source: "p2/a")
        try bench.append(["8"], source: "p3/a")
        let next = bench.spool.statistics().nextSequence
        #expect(bench.ledger.state.step(to: wanted, next: next, isFinished: true) == .begin)
        var state = bench.ledger.state
        state.begin(wanted)
        try bench.ledger.update(state)
        let fourth = try bench.drain(NumberedHub(stored, ledger: bench.ledger.state))
        fourth.start()
        await bench.floor.wait { $0 == next }
        await fourth.stop(within: .seconds(10))
        #expect(stored.value.sequences == Array(0..<next))
        #expect(bench.ledger.state.generation == 1)
        // The moved keys' new records are where they belong, and the old ones stayed.
        #expect(stored.value.partitions.prefix(2).map(\.records.count) == Array(before.prefix(2)))
        #expect(stored.value.partitions[2].records.map { String(decoding: $0.body, as: UTF8.self) } == ["7"])
        #expect(stored.value.partitions[3].records.map { String(decoding: $0.body, as: UTF8.self) } == ["8"])
        for partition in stored.value.partitions {
            #expect(partition.records.map(\.sequence) == partition.records.map(\.sequence).sorted())
        }
    }
}
