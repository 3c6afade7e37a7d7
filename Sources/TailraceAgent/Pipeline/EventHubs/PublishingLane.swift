internal import EventHubs
internal import NIOCore
import Synchronization

/// One partition's idempotent producer between the drain's lane and the service.
///
/// The publisher and the lane hear of a refusal, or of a failure, at different times. In between nothing is published: a
/// batch that was on its way already would get the numbers of the one that ended, and come before it or what replaces it.
final class PublishingLane: Sendable {
    /// What becomes of a producer that another agent has taken over: nothing is tried again, but the lane has to be
    /// told something. (The lane makes it less: see `RetryPolicy.suggestedCap`.)
    static let takenOverPause = Duration.seconds(3600)

    private let publisher: PartitionPublisher
    private let eventLoop: any EventLoop
    /// Changed on the event loop only.
    private let unheard = Mutex(0)
    /// Likewise.
    private let order = Mutex(PublishingOrder<PublishableBatch>())
    private let takenOver = Mutex<EventHubsError?>(nil)

    init(_ publisher: PartitionPublisher, _ eventLoop: any EventLoop) {
        self.publisher = publisher
        self.eventLoop = eventLoop
    }

    var isTakenOver: Bool { takenOver.withLock { $0 != nil } }

    /// In the order of the calls.
    func send(_ batch: PublishableBatch, completion: @escaping @Sendable (SendResult) -> Void) {
        eventLoop.execute {
            if let error = self.takenOver.withLock({ $0 }) {
                return completion(.failed(error, .retriable(after: Self.takenOverPause)))
            }
            guard self.unheard.withLock({ $0 }) == 0 else {
                return completion(
                    .failed(
                        EventHubsError(.rejected, "waiting for what replaces a refused batch"),
                        .retriable(after: .zero)))
            }
            guard self.order.withLock({ $0.send(batch) }) else {
                return completion(
                    .failed(
                        EventHubsError(.rejected, "waiting for a batch that failed and comes again"),
                        .retriable(after: .zero)))
            }
            self.publisher.publish(batch) { completion(self.note($0, batch)) }
        }
    }

    private func note(_ result: SendResult, _ batch: PublishableBatch) -> SendResult {
        guard case .failed(let error, let prospect) = result else {
            order.withLock { $0.accepted(batch) }
            return result
        }
        if prospect == .batchRefused {
            unheard.withLock { $0 += 1 }
            order.withLock { $0.refused(batch) }
        } else {
            order.withLock { $0.failed(batch) }
        }
        guard error.code == .producerDisconnected else { return result }
        let lost = Self.takenOverError(error, partitionID: publisher.partitionID)
        takenOver.withLock { $0 = $0 ?? lost }
        return .failed(lost, .retriable(after: Self.takenOverPause))
    }

    /// A batch that failed is given up: as if it had been refused.
    func giveUp(_ batch: PublishableBatch) {
        eventLoop.execute {
            self.unheard.withLock { $0 += 1 }
            self.order.withLock { $0.refused(batch) }
        }
        publisher.abandon(batch)
    }

    /// The drain has heard of a refusal.
    func noteRefusal() { eventLoop.execute { self.unheard.withLock { $0 -= 1 } } }

    func close() { publisher.close() }

    static func takenOverError(_ error: EventHubsError, partitionID: String) -> EventHubsError {
        EventHubsError(
            .producerDisconnected,
            "partition \(partitionID): another agent goes on with this one's producer; was the state directory copied?"
                + " Stop the other agent or give it a state directory of its own, then restart this one",
            condition: error.condition)
    }
}
