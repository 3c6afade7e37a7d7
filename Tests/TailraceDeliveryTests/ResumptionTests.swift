import TailraceSpool
import TestSupport
import Testing

@testable import TailraceDelivery

@Suite struct ResumptionTests {
    private func ledger(number: Int64, acknowledged: UInt64 = 100, group: Int64? = 5) -> LedgerState {
        LedgerState(
            floor: 90, keyKind: .host,
            partitions: [
                .init(
                    acknowledged: acknowledged, serviceNumber: number,
                    producer: group.map { .init(groupID: $0, ownerLevel: 1) })
            ])
    }

    private func position(_ last: Int64, group: Int64 = 5) -> ServicePosition {
        ServicePosition(producer: .init(groupID: group, ownerLevel: 2), lastNumber: last)
    }

    @Test func numbersGoRoundAndDistancesWithThem() {
        let numbering = ServiceNumbering.wrapping
        #expect(numbering.advanced(-1, by: 1) == 0)
        #expect(numbering.advanced(-1, by: 0) == -1)
        #expect(numbering.advanced(Int64(Int32.max), by: 1) == 0)
        #expect(numbering.advanced(Int64(Int32.max) - 2, by: 5) == 2)
        #expect(numbering.distance(from: -1, to: -1) == 0)
        #expect(numbering.distance(from: -1, to: 0) == 1)
        #expect(numbering.distance(from: 7, to: 7) == 0)
        #expect(numbering.distance(from: 7, to: 12) == 5)
        #expect(numbering.distance(from: 12, to: 7) == nil)
        #expect(numbering.distance(from: 12, to: -1) == nil)
        #expect(numbering.distance(from: Int64(Int32.max) - 2, to: 2) == 5)
        #expect(numbering.distance(from: 2, to: Int64(Int32.max) - 2) == nil)
        var generator = SeededGenerator.fresh("numbers")
        for _ in 0..<1000 {
            let number = Int64.random(in: -1...Int64(Int32.max), using: &generator)
            let count = Int.random(in: 0...1_000_000, using: &generator)
            #expect(numbering.distance(from: number, to: numbering.advanced(number, by: count)) == Int64(count))
        }
    }

    @Test(arguments: [
        // The ledger's number, the service's at the level before, what it says at the next level: how many are skipped.
        (Int64(7), Int64(12), Int64(-1), 5),
        (7, 12, 12, 5),
        (7, 7, -1, 0),
        (-1, 2, -1, 3),
        (Int64(Int32.max), 1, -1, 2),
        // What came late, with a service that goes on.
        (7, 12, 14, 7),
        // Another owner level before anything was sent.
        (7, -1, -1, 0),
    ])
    func whatTheServiceHadBeforeAnOwnerLevelWasTakenIsSkipped(
        number: Int64, before: Int64, last: Int64, skipped: Int
    ) {
        var state = ledger(number: number)
        let next = LedgerState.Producer(groupID: 5, ownerLevel: 2)
        state.raise(0, to: next, from: before)
        #expect(state.partitions[0].producer == next)
        #expect(state.partitions[0].acknowledged == 100)
        // The process ends before it has sent anything, and the one after it too: they ask at the level that they noted.
        state.raise(0, to: .init(groupID: 5, ownerLevel: 3), from: last)
        let asked = state
        let resumption = Resumption(&state, [position(last)], end: 200) { _, _ in }
        #expect(resumption.remaining == [skipped])
        #expect(state.partitions[0].found == nil)
        // The numbers go on behind the service's when that is over.
        let numbering = ServiceNumbering.wrapping
        #expect(
            numbering.distance(from: numbering.advanced(state.partitions[0].serviceNumber, by: skipped), to: last) == 0)
        // Somebody else's, it says nothing.
        state = asked
        #expect(Resumption(&state, [position(last, group: 6)], end: 200) { _, _ in }.isOver)
        #expect(state.partitions[0].found == nil)
    }

    @Test(arguments: [
        // The ledger's number, the service's, the spool's end: how many are skipped, the ledger's number then.
        (Int64(7), Int64(7), UInt64(200), 0, Int64(7)),
        (7, 12, 200, 5, 7),
        (-1, 4, 200, 5, -1),
        (Int64(Int32.max), 1, 200, 2, Int64(Int32.max)),
        // All of what the spool holds, and more than that.
        (7, 107, 200, 100, 7),
        (7, 108, 200, 0, 108),
        (7, 8, 100, 0, 8),
        (7, 8, 50, 0, 8),
        // The service has forgotten, or an older ledger came back.
        (7, -1, 200, 0, -1),
        (7, 6, 200, 0, 6),
    ])
    func whatTheServiceHasBeyondTheLedgerIsSkipped(
        number: Int64, last: Int64, end: UInt64, skipped: Int, now: Int64
    ) {
        var state = ledger(number: number)
        var doubts = 0
        let resumption = Resumption(&state, [position(last)], end: end) { _, _ in doubts += 1 }
        #expect(resumption.remaining == [skipped])
        #expect(state.partitions[0].serviceNumber == now)
        #expect(state.partitions[0].producer == .init(groupID: 5, ownerLevel: 2))
        #expect((doubts == 1) == (skipped == 0 && number != last))
    }

    /// The ledger's numbers meet the new count when the skipping ends, and so does a run that dies before.
    @Test(arguments: [(Int64(-1), Int64(2_147_483_643)), (Int64(0), Int64(2_147_483_644)), (Int64(40), Int64(36))])
    func whereTheCountIsNewTheSkippingEndsAtItsBeginning(base: Int64, number: Int64) {
        var state = ledger(number: 7)
        let position = ServicePosition(producer: .init(groupID: 5, ownerLevel: 2), lastNumber: 11, base: base)
        var resumption = Resumption(&state, [position], end: 200) { _, _ in Issue.record("nothing to doubt") }
        #expect(resumption.remaining == [4])
        #expect(state.partitions[0].serviceNumber == number)
        #expect(resumption.take(0, first: 100, count: 3) == 3)
        let numbering = ServiceNumbering.wrapping
        #expect(numbering.distance(from: numbering.advanced(number, by: 3), to: max(base, 0)) != nil)
        #expect(numbering.advanced(number, by: 5) == numbering.advanced(base, by: 1))
    }

    @Test(arguments: [
        // The ledger's number, the service's: how many are skipped, the ledger's number then, whether it is doubted.
        (Int64(7), Int64(7), 0, Int64(7), false),
        (-1, -1, 0, -1, false),
        (7, 12, 5, 7, false),
        (Int64(Int32.max), Int64(Int32.max) + 2, 2, Int64(Int32.max), false),
        (7, 108, 0, 108, true),
        // It keeps no numbers, and may begin to: those that were used must not come again.
        (7, -1, 0, 7, false),
        (7, 6, 0, 7, true),
    ])
    func numbersThatOnlyRiseAreGoneOnWithFromTheHighest(
        number: Int64, last: Int64, skipped: Int, now: Int64, isDoubted: Bool
    ) {
        var state = ledger(number: number)
        var doubts = 0
        let position = ServicePosition(
            producer: .init(groupID: 5, ownerLevel: 0), lastNumber: last, base: max(last, number))
        let resumption = Resumption(&state, [position], .rising, end: 200) { _, _ in doubts += 1 }
        #expect(resumption.remaining == [skipped])
        #expect(state.partitions[0].serviceNumber == now)
        #expect((doubts == 1) == isDoubted)
        #expect(ServiceNumbering.rising.advanced(now, by: skipped) == max(last, number))
    }

    @Test func anotherProducersNumbersSayNothing() {
        for group in [nil, 6] as [Int64?] {
            var state = ledger(number: 7, group: group)
            let resumption = Resumption(&state, [position(20)], end: 200) { _, _ in Issue.record("nothing to doubt") }
            #expect(resumption.isOver)
            #expect(state.partitions[0].serviceNumber == 20)
        }
    }

    @Test func recordsThatCameLaterAreNotSkipped() {
        var state = ledger(number: 0)
        var resumption = Resumption(&state, [position(50)], end: 160) { _, _ in }
        #expect(resumption.take(0, first: 100, count: 20) == 20)
        #expect(resumption.take(0, first: 150, count: 20) == 10)
        #expect(resumption.take(0, first: 160, count: 20) == 0)
        #expect(!resumption.isOver)
        let stopped = resumption.stop()
        #expect(stopped.map(\.number) == [50] && stopped.map(\.left) == [20])
        #expect(resumption.isOver && resumption.stop().isEmpty)
    }

    @Test func anotherRoutingBeginsWithOtherProducers() {
        let state = ledger(number: 7)
        #expect(state.producers(Routing(key: .host, partitions: 1)) == [.init(groupID: 5, ownerLevel: 1)])
        #expect(state.producers(Routing(key: .source, partitions: 1)) == [nil])
        #expect(state.producers(Routing(key: .host, partitions: 2)) == [nil, nil])
    }
}
