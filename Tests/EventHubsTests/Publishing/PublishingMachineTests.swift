import TestSupport
import Testing

@testable import EventHubs

/// The numbering machine against a model of the service, without IO.
@Suite struct PublishingMachineTests {
    final class Batch {
        let name: Int
        let count: Int
        init(_ name: Int, _ count: Int = 1) {
            self.name = name
            self.count = count
        }
    }

    typealias Machine = PublishingMachine<Batch>

    static let busy = SendResult.failed(EventHubsError(.serverBusy, "busy"), .retriable(after: .zero))
    static let lost = SendResult.failed(EventHubsError(.linkLost, "lost"), .unknown)
    static let refused = SendResult.failed(EventHubsError(.rejected, "no"), .batchRefused)
    static let outOfOrder = SendResult.failed(
        EventHubsError(.outOfOrderSequence, "gap", condition: "com.microsoft:out-of-order-sequence"), .blocked)

    private func attached(last: Int32 = -1, level: Int16 = 0) throws -> Machine {
        var machine = Machine(PublishingOptions())
        #expect(machine.request.isEmpty)
        // The first batch travels alone; it is over here.
        let begin = last < 0 ? Int32.max : last
        let first = Batch(-1)
        #expect(try machine.attached(Self.granted(begin - 1, level)) == .nothing)
        #expect(self.first(&machine, first) == begin)
        #expect(machine.finished(first, .accepted).result == .accepted)
        return machine
    }

    private static func granted(_ last: Int32, _ level: Int16 = 0, id: Int64 = 9) -> PublishingState {
        PublishingState(producerGroupID: id, ownerLevel: level, lastSequenceNumber: last)
    }

    private func first(_ machine: inout Machine, _ batch: Batch) -> Int32? {
        guard case .send(let stamp) = machine.prepare(batch, count: batch.count) else { return nil }
        #expect(stamp.producerGroupID == 9)
        return stamp.firstNumber
    }

    private static func prospect(_ result: SendResult) -> SendResult.Prospect? {
        guard case .failed(_, let prospect) = result else { return nil }
        return prospect
    }

    @Test func aBatchKeepsItsNumbersUntilTheServiceHasIt() throws {
        var machine = try attached()
        let (a, b, c) = (Batch(0, 3), Batch(1, 2), Batch(2))
        #expect(first(&machine, a) == 0)
        #expect(first(&machine, b) == 3)
        #expect(machine.finished(a, Self.busy).result == Self.busy)
        #expect(Self.prospect(machine.finished(b, Self.outOfOrder).result) == .retriable(after: .zero))
        #expect(first(&machine, a) == 0)
        #expect(first(&machine, b) == 3)
        #expect(machine.finished(a, .accepted).result == .accepted)
        #expect(machine.state?.lastSequenceNumber == 2)
        #expect(machine.finished(b, .accepted).result == .accepted)
        #expect(first(&machine, c) == 5)
        #expect(machine.state?.lastSequenceNumber == 4)
        #expect(machine.outstanding == 1)
    }

    @Test func theFirstBatchOfAProducerTravelsAlone() throws {
        var machine = Machine(PublishingOptions())
        _ = try machine.attached(Self.granted(-1))
        let (a, b) = (Batch(0), Batch(1))
        #expect(first(&machine, a) == 0)
        // A service that takes any first number would take this one, and then the other for a duplicate.
        #expect(machine.prepare(b, count: 1) == .later)
        _ = machine.finished(a, Self.busy)
        #expect(first(&machine, a) == 0)
        #expect(machine.prepare(b, count: 1) == .later)
        _ = machine.finished(a, .accepted)
        #expect(first(&machine, b) == 1)
    }

    @Test func aNewLinkShowsWhatIsStored() throws {
        var machine = try attached()
        let (a, b, c) = (Batch(0, 3), Batch(1, 2), Batch(2))
        for batch in [a, b, c] { _ = first(&machine, batch) }
        for batch in [a, b, c] { _ = machine.finished(batch, Self.lost) }
        #expect(machine.request == PublishingOptions(producerGroupID: 9, ownerLevel: 0))
        #expect(try machine.attached(Self.granted(4)) == .nothing)
        #expect(machine.prepare(a, count: 3) == .stored)
        #expect(machine.prepare(b, count: 2) == .stored)
        #expect(first(&machine, c) == 5)
        #expect(machine.state?.lastSequenceNumber == 4)
    }

    @Test func aBatchThatIsStoredInPartIsAnError() throws {
        var machine = try attached()
        let a = Batch(0, 3)
        _ = first(&machine, a)
        _ = machine.finished(a, Self.lost)
        #expect {
            _ = try machine.attached(Self.granted(1))
        } throws: {
            ($0 as? EventHubsError)?.code == .outOfOrderSequence
        }
    }

    @Test func numbersOfARefusedBatchGoToThoseBehindIt() throws {
        var machine = try attached()
        let (a, b, c, d) = (Batch(0), Batch(1, 2), Batch(2), Batch(3))
        for batch in [a, b, c] { _ = first(&machine, batch) }
        _ = machine.finished(a, .accepted)
        #expect(machine.finished(b, Self.refused).result == Self.refused)
        // It was in flight with the number 3, which nobody will take.
        #expect(Self.prospect(machine.finished(c, Self.outOfOrder).result) == .retriable(after: .zero))
        #expect(first(&machine, c) == 1)
        #expect(first(&machine, d) == 2)
    }

    @Test func theOldestThatIsOutOfOrderIsComparedOnceAndThenAnError() throws {
        var machine = try attached()
        let a = Batch(0)
        _ = first(&machine, a)
        let once = machine.finished(a, Self.outOfOrder)
        #expect(once.reattach && Self.prospect(once.result) == .retriable(after: .zero))
        _ = try machine.attached(Self.granted(-1))
        #expect(first(&machine, a) == 0)
        let twice = machine.finished(a, Self.outOfOrder)
        #expect(!twice.reattach && Self.prospect(twice.result) == .blocked)
    }

    @Test func aServiceThatForgotIsFollowedAndOneThatKnowsMoreIsNot() throws {
        var machine = try attached()
        let (a, b) = (Batch(0, 3), Batch(1))
        _ = first(&machine, a)
        _ = machine.finished(a, .accepted)
        _ = first(&machine, b)
        _ = machine.finished(b, Self.lost)
        var other = machine
        #expect(try machine.attached(Self.granted(-1)) == .forgotten(confirmed: 2, last: -1))
        #expect(first(&machine, b) == 0)
        #expect {
            _ = try other.attached(Self.granted(4))
        } throws: {
            ($0 as? EventHubsError)?.code == .outOfOrderSequence
        }
    }

    @Test func anAbandonedBatchOfUnknownFateRaisesTheOwnerLevel() throws {
        var machine = try attached(level: 4)
        let (a, b, c) = (Batch(0, 2), Batch(1), Batch(2))
        for batch in [a, b] { _ = first(&machine, batch) }
        for batch in [a, b] { _ = machine.finished(batch, Self.lost) }
        let reattach = machine.abandon(a)
        #expect(reattach)
        #expect(machine.request.ownerLevel == 5)
        #expect(try machine.attached(Self.granted(-1, 5)) == .nothing)
        // Behind the fence nothing old can be stored, so the numbers are free.
        #expect(first(&machine, b) == 0)
        _ = machine.finished(b, .accepted)
        #expect(first(&machine, c) == 1)
        #expect(machine.request.ownerLevel == 5)
    }

    @Test func anAbandonedBatchThatWasNotStoredGivesItsNumbersBack() throws {
        var machine = try attached()
        let (a, b) = (Batch(0, 2), Batch(1))
        _ = first(&machine, a)
        _ = machine.finished(a, Self.busy)
        let reattach = machine.abandon(a)
        #expect(!reattach)
        #expect(first(&machine, b) == 0)
        #expect(machine.request.ownerLevel == 0)
    }

    @Test func anAbandonedBatchThatWasStoredAfterAllKeepsItsNumbers() throws {
        var machine = try attached()
        let (a, b) = (Batch(0, 2), Batch(1))
        _ = first(&machine, a)
        _ = machine.finished(a, Self.lost)
        let reattach = machine.abandon(a)
        #expect(reattach)
        #expect(try machine.attached(Self.granted(1, 1)) == .nothing)
        #expect(first(&machine, b) == 2)
    }

    @Test func theRingClosesWhileBatchesAreInFlight() throws {
        var machine = try attached(last: .max - 2)
        let batches = (0..<4).map { Batch($0, 2) }
        let numbers = batches.map { first(&machine, $0) }
        #expect(numbers == [.max - 1, 0, 2, 4])
        for batch in batches { _ = machine.finished(batch, Self.lost) }
        #expect(try machine.attached(Self.granted(1)) == .nothing)
        #expect(machine.prepare(batches[0], count: 2) == .stored)
        #expect(machine.prepare(batches[1], count: 2) == .stored)
        #expect(first(&machine, batches[2]) == 2)
    }

    // MARK: - Whatever happens

    /// A service and the way to it: what was transmitted arrives in order, or the link is lost with the rest.
    private struct Service {
        var last: Int32
        var level: Int16 = 0
        var stored: [Int] = []

        mutating func receive(_ batch: Batch, _ stamp: PublishingStamp) -> SendResult {
            guard stamp.ownerLevel == level else { return busy }
            let end = PublishingNumber.advanced(stamp.firstNumber, by: batch.count - 1)
            if stamp.firstNumber == PublishingNumber.next(last) {
                last = end
                stored.append(batch.name)
                return .accepted
            }
            return PublishingNumber.isAtOrBefore(end, last) ? .accepted : outOfOrder
        }
    }

    @Test(arguments: [1, 2, 8]) func whateverHappensEveryBatchIsStoredOnceAndInOrder(window: Int) throws {
        for var random in [SeededGenerator(seed: 21), .fresh("publishing machine")] {
            for round in 0..<100 {
                let start: Int32 = round % 2 == 0 ? -1 : .max - 20
                var service = Service(last: start)
                var machine = Machine(PublishingOptions())
                var isAttached = false
                var waiting = (0..<40).map { Batch($0, Int.random(in: 1...4, using: &random)) }
                var refusedNames: Set<Int> = []
                var abandoned: Set<Int> = []
                while !waiting.isEmpty {
                    if !isAttached {
                        service.level = machine.request.ownerLevel ?? 0
                        let discovery = try machine.attached(Self.granted(service.last, service.level))
                        #expect(discovery == .nothing)
                        isAttached = true
                    }
                    var flight: [(Batch, PublishingStamp)] = []
                    var done: Set<Int> = []
                    for batch in waiting.prefix(window) {
                        switch machine.prepare(batch, count: batch.count) {
                        case .send(let stamp): flight.append((batch, stamp))
                        case .stored: done.insert(batch.name)
                        case .later: continue
                        case .failed(let error, _): Issue.record("\(error)")
                        }
                    }
                    for (batch, stamp) in flight {
                        var result = Self.lost
                        if isAttached {
                            switch Int.random(in: 0..<20, using: &random) {
                            case 0: isAttached = false
                            case 1:
                                _ = service.receive(batch, stamp)
                                isAttached = false
                            case 2: result = Self.busy
                            case 3 where stamp.firstNumber == PublishingNumber.next(service.last):
                                result = Self.refused
                                refusedNames.insert(batch.name)
                            default: result = service.receive(batch, stamp)
                            }
                        }
                        let (told, reattach) = machine.finished(batch, result)
                        if reattach { isAttached = false }
                        switch told {
                        case .accepted, .failed(_, .batchRefused): done.insert(batch.name)
                        case .failed(let error, .blocked): Issue.record("\(error)")
                        case .failed: break
                        }
                    }
                    waiting.removeAll { done.contains($0.name) }
                    // Now and then the owner of the oldest loses patience.
                    if Int.random(in: 0..<30, using: &random) == 0, let first = waiting.first {
                        waiting.removeFirst()
                        abandoned.insert(first.name)
                        if machine.abandon(first) { isAttached = false }
                    }
                }
                #expect(service.stored == service.stored.sorted(), "window \(window), seed \(random.seed)")
                #expect(Set(service.stored).count == service.stored.count, "window \(window), seed \(random.seed)")
                let missing = Set(0..<40).subtracting(service.stored)
                #expect(missing.isSubset(of: refusedNames.union(abandoned)), "window \(window), seed \(random.seed)")
                #expect(machine.outstanding == 0)
            }
        }
    }
}
