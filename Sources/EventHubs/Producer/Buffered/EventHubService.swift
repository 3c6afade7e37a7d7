internal import NIOCore
internal import Producing
import Synchronization

/// Sends the batches of a buffered client: over one connection, to the partitions by their numbers.
final class EventHubService: BufferedService {
    private let connection: EventHubConnection
    private let isIdempotent: Bool
    private let state = Mutex(State())

    private struct State {
        var ids: [String] = []
        var publishers: [Int: PartitionPublisher] = [:]
        var lastSend = ContinuousClock.Instant?.none
    }

    /// Asked now and then while batches are sent: whether the hub has got more partitions.
    private let refresh: @Sendable () -> Void
    private let refreshInterval: Duration

    init(_ connection: EventHubConnection, _ buffering: BufferingOptions, refresh: @escaping @Sendable () -> Void) {
        self.connection = connection
        isIdempotent = buffering.isIdempotent
        refreshInterval = buffering.partitionRefreshInterval
        self.refresh = refresh
    }

    func id(of partition: Int) -> String? {
        state.withLock { partition < $0.ids.count ? $0.ids[partition] : nil }
    }

    /// Before any batch for one of them.
    func use(_ ids: [String]) {
        state.withLock {
            $0.ids = ids
            $0.lastSend = .now
        }
    }

    func send(
        _ batch: OutgoingBatch, partition: Int, completion: @escaping @Sendable (AttemptEnd<EventHubsError>) -> Void
    ) {
        let (id, publisher, isDue) = state.withLock { state -> (String, PartitionPublisher?, Bool) in
            let now = ContinuousClock.now
            let isDue = state.lastSend.map { now - $0 >= refreshInterval } ?? false
            if isDue { state.lastSend = now }
            let id = state.ids[partition]
            guard isIdempotent else { return (id, nil, isDue) }
            if let publisher = state.publishers[partition] { return (id, publisher, isDue) }
            let begin = connection.options.partitionPublishing[id].map { PublishingOptions($0) }
            let publisher = PartitionPublisher(connection, partitionID: id, options: begin ?? PublishingOptions())
            state.publishers[partition] = publisher
            return (id, publisher, isDue)
        }
        if isDue { refresh() }
        if let publisher, let numbered = batch.numbered {
            publisher.publish(numbered) { completion(Self.end($0)) }
        } else {
            connection.send(payload: batch.payload, partitionID: id) { completion(Self.end($0)) }
        }
    }

    /// With idempotent publishing: the numbers of a batch that failed for good go to those behind it.
    func giveUp(_ batch: OutgoingBatch, partition: Int) {
        guard let numbered = batch.numbered else { return }
        state.withLock { $0.publishers[partition] }?.abandon(numbered)
    }

    func publishingState(_ partition: Int) -> PublishingState? {
        state.withLock { $0.publishers[partition] }?.state
    }

    func close() {
        let publishers = state.withLock { $0.publishers }
        for (_, publisher) in publishers.sorted(by: { $0.key < $1.key }) { publisher.close() }
    }

    private static let throttlingWait = Duration.seconds(4)

    private static func end(_ result: SendResult) -> AttemptEnd<EventHubsError> {
        guard case .failed(var error, let prospect) = result else { return .accepted }
        switch prospect {
        case .retriable(let after):
            return .failed(
                error,
                error.code == .serverBusy ? .throttled(after: max(after, throttlingWait)) : .retriable(after: after))
        case .unknown:
            error.isOutcomeUnknown = true
            return .failed(error, .unknown)
        case .batchRefused, .blocked: return .failed(error, .permanent)
        }
    }
}
