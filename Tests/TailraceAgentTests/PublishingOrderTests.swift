import Testing

@testable import TailraceAgent

/// What a lane may publish while it has not heard of everything.
@Suite struct PublishingOrderTests {
    private final class Batch {}

    /// An order, and what it said to each batch.
    private struct Lane {
        var order = PublishingOrder<Batch>()

        /// Which of them may be published, sent in this order.
        mutating func send(_ batches: Batch...) -> [Bool] { batches.map { order.send($0) } }
    }

    private let a = Batch()
    private let b = Batch()
    private let c = Batch()

    @Test func nothingIsPublishedBeforeWhatFailed() {
        var lane = Lane()
        var may = lane.send(a)
        #expect(may == [true])
        lane.order.failed(a)
        // Sent before the lane has heard; then it goes on with its oldest.
        may = lane.send(b, c, a, b)
        #expect(may == [false, false, true, true])
        lane.order.accepted(a)
        lane.order.failed(b)
        may = lane.send(c, b, c)
        #expect(may == [false, true, true])
    }

    @Test func whatFailsAgainKeepsItsPlace() {
        var lane = Lane()
        var may = lane.send(a, b)
        #expect(may == [true, true])
        lane.order.failed(b)
        lane.order.failed(a)
        may = lane.send(a)
        #expect(may == [true])
        lane.order.failed(a)
        may = lane.send(b, a, b, c)
        #expect(may == [false, true, true, true])
    }

    @Test func whatTakesARefusedBatchsPlaceComesFirst() {
        var lane = Lane()
        var may = lane.send(a, b, c)
        #expect(may == [true, true, true])
        lane.order.refused(b)
        // It was behind, and ends after the refusal.
        lane.order.failed(c)
        lane.order.accepted(a)
        may = lane.send(Batch(), Batch(), c)
        #expect(may == [true, true, true])
    }

    @Test func whatIsOverIsForgotten() {
        var lane = Lane()
        lane.order.accepted(a)
        lane.order.refused(a)
        lane.order.failed(a)
        var may = lane.send(b)
        #expect(may == [true])
        lane.order.accepted(b)
        may = lane.send(a, b)
        #expect(may == [true, true])
    }
}
