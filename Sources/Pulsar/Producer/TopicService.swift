internal import Producing
import Synchronization

/// Sends the batches of a buffered producer over one topic's producer, which does all that can be done for a batch itself:
/// what comes back is final.
struct TopicService: BufferedService {
    let producer: TopicProducer

    /// The batch itself knows what became of its parts.
    func send(
        _ batch: OutgoingBatch, partition: Int, completion: @escaping @Sendable (AttemptEnd<PulsarError>) -> Void
    ) {
        if batch.parts.count == 1, batch.parts[0].failure == nil {
            return producer.submit(batch.parts[0].sends) { result in
                batch.note(0, result)
                completion(.accepted)
            }
        }
        let remaining = Countdown(batch.parts.count) { completion(.accepted) }
        for (index, part) in batch.parts.enumerated() {
            guard part.failure == nil else {
                remaining.step()
                continue
            }
            producer.submit(part.sends) { result in
                batch.note(index, result)
                remaining.step()
            }
        }
    }
}

/// Calls once, at the last of so many steps.
private final class Countdown: Sendable {
    private let left: Atomic<Int>
    private let end: @Sendable () -> Void

    init(_ count: Int, _ end: @escaping @Sendable () -> Void) {
        left = Atomic(count)
        self.end = end
    }

    func step() {
        if left.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { end() }
    }
}
