internal import NIOCore
import Synchronization

extension EventHubProducerClient {
    /// Where idempotent publishing to a partition stands; connects and attaches when nothing was sent there yet.
    ///
    /// - Parameter timeout: for all attempts together; nil: as long as `EventHubsOptions.retries` allows.
    /// - Throws: `EventHubsError`: `invalidArgument` unless `EventHubsOptions.isIdempotent`, `notSupported` when the
    ///   namespace does not offer it; `CancellationError`.
    public func partitionPublishingProperties(
        _ id: String, timeout: Duration? = nil
    ) async throws -> PartitionPublishingProperties {
        let lane = try publishingLane(id)
        let deadline = timeout.map { ContinuousClock.now.advanced(by: $0) }
        let state = try await ask(until: deadline, "attaching a link to \(connection.place(id))") { _ in
            lane.publisher.open()
        }
        guard let state else {
            throw EventHubsError(
                .notSupported, "\(connection.place(id)): the namespace does not support idempotent publishing")
        }
        return PartitionPublishingProperties(id, state)
    }

    func publishingLane(_ partitionID: String?) throws(EventHubsError) -> PublishingLanes.Lane {
        guard let lanes = publishing else {
            throw EventHubsError(.invalidArgument, "idempotent publishing is off; set EventHubsOptions.isIdempotent")
        }
        guard let partitionID else {
            throw EventHubsError(
                .invalidArgument, "idempotent publishing is partition by partition; give a partitionID")
        }
        return lanes.lane(partitionID, connection)
    }

    /// Publishes under numbers: one batch after the other, since one that failed must be over before the next one can go.
    func publish(_ batch: PublishableBatch, _ partitionID: String?, until deadline: ContinuousClock.Instant?)
        async throws
    {
        let lane = try publishingLane(partitionID)
        let turn = lane.turns.ticket()
        defer { lane.turns.leave(turn) }
        let late = EventHubsError(
            .timeout, "sending to \(connection.place(partitionID)): the batches before it did not end in time")
        let _: Void = try await Patience.wait(until: deadline, on: connection.eventLoop, expired: late) { end in
            lane.turns.enter(turn) { end(.success(())) }
        }
        do {
            try await attempts(until: deadline) { limit, completion in
                lane.publisher.publish(batch, limit: limit, completion: completion)
            }
        } catch {
            lane.publisher.abandon(batch)
            throw error
        }
    }
}

/// The idempotent publishers of a client, one per partition.
final class PublishingLanes: Sendable {
    final class Lane: Sendable {
        let publisher: PartitionPublisher
        let turns = Turns()

        init(_ publisher: PartitionPublisher) { self.publisher = publisher }
    }

    private let options: [String: PartitionPublishingOptions]
    private let lanes = Mutex<[String: Lane]>([:])

    init(_ options: [String: PartitionPublishingOptions]) { self.options = options }

    func lane(_ partitionID: String, _ connection: EventHubConnection) -> Lane {
        lanes.withLock { lanes in
            if let lane = lanes[partitionID] { return lane }
            let lane = Lane(
                PartitionPublisher(
                    connection, partitionID: partitionID,
                    options: options[partitionID].map { PublishingOptions($0) } ?? PublishingOptions()))
            lanes[partitionID] = lane
            return lane
        }
    }
}

/// One after the other, in the order of `enter`.
final class Turns: Sendable {
    private struct State {
        var next: UInt64 = 0
        var queue: [(ticket: UInt64, begin: @Sendable () -> Void)] = []
    }
    private let state = Mutex(State())

    func ticket() -> UInt64 {
        state.withLock { state in
            state.next += 1
            return state.next
        }
    }

    /// Calls `begin` when all that entered before have left.
    func enter(_ ticket: UInt64, _ begin: @escaping @Sendable () -> Void) {
        let isFirst = state.withLock { state in
            state.queue.append((ticket, begin))
            return state.queue.count == 1
        }
        if isFirst { begin() }
    }

    /// Whether it had its turn, waits for it, or never entered.
    func leave(_ ticket: UInt64) {
        let begin = state.withLock { state -> (@Sendable () -> Void)? in
            guard let index = state.queue.firstIndex(where: { $0.ticket == ticket }) else { return nil }
            state.queue.remove(at: index)
            return index == 0 ? state.queue.first?.begin : nil
        }
        begin?()
    }
}
