internal import NIOCore
internal import Producing

extension EventHubBufferedProducerClient {
    /// Takes an event into the buffer; waits while its partition has no room.
    ///
    /// - Parameters:
    ///   - partitionID: it goes there; excludes `partitionKey`.
    ///   - partitionKey: events with the same key go to the same partition; excludes `partitionID`. Without either the
    ///     event's own key decides, and without that the partitions take turns.
    ///   - timeout: for the wait, and for asking for the partitions before the first event; nil: no limit.
    /// - Throws: `EventHubsError`, and then the event was not taken: `timeout`; `messageTooLarge`; `invalidArgument` when
    ///   both are given or the event has another key; `notFound` for a partition that there is not; `clientClosed`; or
    ///   why the partitions are not known. `CancellationError`.
    public nonisolated(nonsending) func enqueue(
        _ event: EventData, partitionID: String? = nil, partitionKey: String? = nil, timeout: Duration? = nil
    ) async throws {
        guard let table = choice.table else {
            return try await connectAndWait(event, partitionID, partitionKey, timeout)
        }
        guard let full = try take(event, table, partitionID, partitionKey) else { return }
        try await wait(event, full.key, table.partitions[full.index], timeout)
    }

    // What most events do not need is apart: a function that waits in few places is called with less ado.

    private nonisolated(nonsending) func connectAndWait(
        _ event: EventData, _ partitionID: String?, _ partitionKey: String?, _ timeout: Duration?
    ) async throws {
        let deadline = timeout.map { ContinuousClock.now.advanced(by: $0) }
        let table = try await core.prepared(until: deadline)
        let (index, key) = try choice.place(table, event, partitionID, partitionKey)
        let item = BufferedEvent(event: event, partitionKey: key)
        try await core.wait(.event(item), table.partitions[index], until: deadline)
    }

    private nonisolated(nonsending) func wait(
        _ event: EventData, _ key: String?, _ partition: PartitionTable.Partition, _ timeout: Duration?
    ) async throws {
        let item = BufferedEvent(event: event, partitionKey: key)
        try await core.wait(.event(item), partition, until: timeout.map { .now.advanced(by: $0) })
    }

    /// Nil: taken. Otherwise the partition that has no room for it, and the key to annotate.
    private func take(
        _ event: EventData, _ table: PartitionTable, _ partitionID: String?, _ partitionKey: String?
    ) throws(EventHubsError) -> (index: Int, key: String?)? {
        let place = try choice.place(table, event, partitionID, partitionKey)
        switch try table.add(BufferedEvent(event: event, partitionKey: place.key), to: place.index) {
        case .taken: return nil
        case .full: return place
        case .closed: throw BufferedCore.closedError
        }
    }

    /// Takes an event into the buffer if that needs no waiting.
    ///
    /// - Returns: false: the partition has no room, or the hub's partitions are not known yet (they are then asked for in
    ///   the background; `connect` waits for them).
    /// - Throws: `EventHubsError`, as `enqueue`.
    public func tryEnqueue(
        _ event: EventData, partitionID: String? = nil, partitionKey: String? = nil
    ) throws(EventHubsError) -> Bool {
        guard let table = choice.table else {
            try core.prepareInBackground()
            return false
        }
        return try take(event, table, partitionID, partitionKey) == nil
    }

    /// Takes events into the buffer one after the other, each as `enqueue` of one event does: without id and key every
    /// event goes its own way.
    ///
    /// - Throws: as for one event. The events before the one that failed were taken; the error names its number.
    public nonisolated(nonsending) func enqueue(
        _ events: [EventData], partitionID: String? = nil, partitionKey: String? = nil, timeout: Duration? = nil
    ) async throws {
        let deadline = timeout.map { ContinuousClock.now.advanced(by: $0) }
        for (number, event) in events.enumerated() {
            do {
                try await enqueue(
                    event, partitionID: partitionID, partitionKey: partitionKey,
                    timeout: deadline.map { max($0 - .now, .zero) })
            } catch var error as EventHubsError {
                error.message = "event \(number + 1) of \(events.count): \(error.message)"
                throw error
            }
        }
    }

    /// Takes a batch, which is sent as it is, behind what its partition has. It goes to the batch's partition, or where its
    /// key belongs; without either the partitions take turns. An empty batch is not sent.
    ///
    /// - Parameter timeout: as for an event. There is room for a batch when its events fit in, or the buffer is empty.
    /// - Throws: as for an event; `invalidArgument` with `isIdempotent` for a batch that this client did not create.
    public func enqueue(_ batch: EventDataBatch, timeout: Duration? = nil) async throws {
        guard batch.count > 0 else { return }
        guard batch.reservesNumbers == buffering.isIdempotent else {
            throw EventHubsError(
                .invalidArgument, "the batch has no room for this client's numbers; use its own createBatch")
        }
        let deadline = timeout.map { ContinuousClock.now.advanced(by: $0) }
        let table = try await core.prepared(until: deadline)
        let partition = table.partitions[try choice.place(table, batch.partitionID, batch.partitionKey)]
        let outgoing = OutgoingBatch(batch.payload, batch.events, isNumbered: buffering.isIdempotent)
        let whole = WholeBatch(outgoing, events: batch.count, bytes: batch.sizeInBytes)
        try await core.wait(.batch(whole), partition, until: deadline)
    }

    /// Connects and asks for the partitions now, rather than for the first event.
    ///
    /// - Parameter timeout: nil: as long as `EventHubsOptions.retries` allows.
    /// - Throws: `EventHubsError`; `CancellationError`.
    public func connect(timeout: Duration? = nil) async throws {
        _ = try await core.prepared(until: timeout.map { .now.advanced(by: $0) })
    }
}
