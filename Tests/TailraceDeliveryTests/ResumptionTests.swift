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

    private func position(_ last: Int32, group: Int64 = 5) -> ServicePosition {
        ServicePosition(producer: .init(groupID: group, ownerLevel: 2), lastNumber: last)
    }

    @Test func numbersGoRoundAndDistancesWithThem() {
        #expect(ServiceNumber.advanced(-1, by: 1) == 0)
        #expect(ServiceNumber.advanced(-1, by: 0) == -1)
        #expect(ServiceNumber.advanced(Int64(Int32.max), by: 1) == 0)
        #expect(ServiceNumber.advanced(Int64(Int32.max) - 2, by: 5) == 2)
        #expect(ServiceNumber.distance(from: -1, to: -1) == 0)
        #expect(ServiceNumber.distance(from: -1, to: 0) == 1)
        #expect(ServiceNumber.distance(from: 7, to: 7) == 0)
        #expect(ServiceNumber.distance(from: 7, to: 12) == 5)
        #expect(ServiceNumber.distance(from: 12, to: 7) == nil)
        #expect(ServiceNumber.distance(from: 12, to: -1) == nil)
        #expect(ServiceNumber.distance(from: Int64(Int32.max) - 2, to: 2) == 5)
        #expect(ServiceNumber.distance(from: 2, to: Int64(Int32.max) - 2) == nil)
        var generator = SeededGenerator.fresh("numbers")
        for _ in 0..<1000 {
            let number = Int64.random(in: -1...Int64(Int32.max), using: &generator)
            let count = Int.random(in: 0...1_000_000, using: &generator)
            #expect(ServiceNumber.distance(from: number, to: ServiceNumber.advanced(number, by: count)) == Int64(count))
        }
    }

    @Test(arguments: [
        // The ledger's number, the service's, the spool's end: how many are skipped, the ledger's number then.
        (Int64(7), Int32(7), UInt64(200), 0, Int64(7)),
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
        number: Int64, last: Int32, end: UInt64, skipped: Int, now: Int64
    ) {
        var state = ledger(number: number)
        var doubts = 0
        let resumption = Resumption(&state, [position(last)], end: end) { _, _ in doubts += 1 }
        #expect(resumption.remaining == [skipped])
        #expect(state.partitions[0].serviceNumber == now)
        #expect(state.partitions[0].producer == .init(groupID: 5, ownerLevel: 2))
        #expect((doubts == 1) == (skipped == 0 && number != Int64(last)))
    }

    /// The ledger's numbers meet the new count when the skipping ends, and so does a run that dies before.
    @Test(arguments: [(Int32(-1), Int64(2_147_483_643)), (Int32(0), Int64(2_147_483_644)), (Int32(40), Int64(36))])
    func whereTheCountIsNewTheSkippingEndsAtItsBeginning(base: Int32, number: Int64) {
        var state = ledger(number: 7)
        let position = ServicePosition(producer: .init(groupID: 5, ownerLevel: 2), lastNumber: 11, base: base)
        var resumption = Resumption(&state, [position], end: 200) { _, _ in Issue.record("nothing to doubt") }
        #expect(resumption.remaining == [4])
        #expect(state.partitions[0].serviceNumber == number)
        #expect(resumption.take(0, first: 100, count: 3) == 3)
        #expect(ServiceNumber.distance(from: ServiceNumber.advanced(number, by: 3), to: Int64(max(base, 0))) != nil)
        #expect(ServiceNumber.advanced(number, by: 5) == ServiceNumber.advanced(Int64(base), by: 1))
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
        #expect(state.producers(key: .host, partitions: 1) == [.init(groupID: 5, ownerLevel: 1)])
        #expect(state.producers(key: .source, partitions: 1) == [nil])
        #expect(state.producers(key: .host, partitions: 2) == [nil, nil])
    }
}
