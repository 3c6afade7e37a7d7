internal import NIOCore

extension EventHubProducerClient {
    /// An empty batch for a partition, for a key, or for the service to place as it likes.
    ///
    /// - Parameters:
    ///   - partitionID: the batch goes there; excludes `partitionKey`.
    ///   - partitionKey: batches with the same key go to the same partition; excludes `partitionID`. Empty: none.
    ///   - maximumSizeInBytes: at most what the service takes, which is the default (usually 1 MiB).
    ///   - timeout: for the link that tells the size, with all attempts; nil: as long as `EventHubsOptions.retries` allows.
    /// - Throws: `EventHubsError`; `invalidArgument` when both are given or the size is larger than the service takes;
    ///   `notFound` when there is no such partition; `CancellationError`.
    public func createBatch(
        partitionID: String? = nil, partitionKey: String? = nil, maximumSizeInBytes: Int? = nil,
        timeout: Duration? = nil
    ) async throws -> EventDataBatch {
        try await createBatch(
            partitionID, partitionKey, maximumSizeInBytes, until: timeout.map { .now.advanced(by: $0) },
            reservesNumbers: options.isIdempotent)
    }

    func createBatch(
        _ partitionID: String?, _ partitionKey: String?, _ maximumSizeInBytes: Int?,
        until deadline: ContinuousClock.Instant?, reservesNumbers: Bool = false
    ) async throws -> EventDataBatch {
        let (partitionID, partitionKey) = try Self.place(partitionID, partitionKey)
        let limit = try await namingPartitions(partitionID, deadline) {
            try await ask(until: deadline, "attaching a link to \(connection.place(partitionID))") {
                $0.maximumMessageSize(partitionID: partitionID)
            }
        }
        if let maximumSizeInBytes, !(1...max(1, limit)).contains(maximumSizeInBytes) {
            throw EventHubsError(
                .invalidArgument,
                "a batch of \(maximumSizeInBytes) bytes was asked for; the service takes 1 to \(limit)")
        }
        return EventDataBatch(
            maximumSizeInBytes: maximumSizeInBytes ?? limit, partitionID: partitionID, partitionKey: partitionKey,
            reservesNumbers: reservesNumbers, storage: connection.batchStorage.take())
    }

    /// Empty ids and keys are none; both together are a contradiction.
    static func place(
        _ partitionID: String?, _ partitionKey: String?
    ) throws(EventHubsError) -> (id: String?, key: String?) {
        let id = partitionID.flatMap { $0.isEmpty ? nil : $0 }
        let key = partitionKey.flatMap { $0.isEmpty ? nil : $0 }
        guard id == nil || key == nil else {
            throw EventHubsError(
                .invalidArgument,
                "events go to a partition, or are placed by their key; give partitionID or partitionKey, not both")
        }
        return (id, key)
    }

    /// Sends a batch, to where it was created for, and waits until the service has it. An empty batch is not sent.
    ///
    /// A failure that may pass is tried again (`EventHubsOptions.retries`). When an attempt ended without an answer, the
    /// service may store the batch twice.
    ///
    /// - Parameter timeout: for everything together: token, connection, link, all attempts and the waits between them;
    ///   nil: each attempt has `EventHubsOptions.sendTimeout`. When it passes while the batch is on its way, the error's
    ///   `isOutcomeUnknown` is true.
    /// - Throws: `EventHubsError` of the last attempt; `CancellationError`, and then the service may have the batch.
    public func send(_ batch: EventDataBatch, timeout: Duration? = nil) async throws {
        guard batch.count > 0 else { return }
        try await send(batch, until: timeout.map { .now.advanced(by: $0) })
    }

    private func send(_ batch: EventDataBatch, until deadline: ContinuousClock.Instant?) async throws {
        guard options.isIdempotent else {
            try await send(batch.payload, EventHubsName.batchFormat, batch.partitionID, until: deadline)
            connection.batchStorage.giveBack(batch.payload)
            return
        }
        try await publish(PublishableBatch(batch.payload, count: batch.count), batch.partitionID, until: deadline)
    }

    /// Sends one event as a message of its own.
    ///
    /// - Parameters:
    ///   - partitionID: it goes there; excludes `partitionKey`.
    ///   - partitionKey: it goes where all events with this key go; excludes `partitionID`. Without either the event's own
    ///     key decides, and without that the service.
    ///   - timeout: as for `send(_:timeout:)`.
    /// - Throws: as `send(_:timeout:)`; `invalidArgument` when both are given, or when the event has another key;
    ///   `messageTooLarge`; `notFound` when there is no such partition.
    public func send(
        _ event: EventData, partitionID: String? = nil, partitionKey: String? = nil, timeout: Duration? = nil
    ) async throws {
        let deadline = timeout.map { ContinuousClock.now.advanced(by: $0) }
        let (partitionID, partitionKey) = try Self.place(partitionID, partitionKey)
        if let partitionKey { try event.checkKey(partitionKey) }
        var payload = ByteBuffer()
        event.encode(into: &payload, partitionKey: partitionKey, reservesNumbers: options.isIdempotent)
        guard !options.isIdempotent else {
            try await publish(PublishableBatch(payload, count: 1, format: 0), partitionID, until: deadline)
            return
        }
        try await send(payload, 0, partitionID, until: deadline)
    }

    /// Sends `events` as one batch. None at all are not sent.
    ///
    /// - Parameters: as for one event.
    /// - Throws: as for one event; `messageTooLarge` when they do not fit into one batch: none is sent.
    public func send(
        _ events: [EventData], partitionID: String? = nil, partitionKey: String? = nil, timeout: Duration? = nil
    ) async throws {
        let deadline = timeout.map { ContinuousClock.now.advanced(by: $0) }
        _ = try Self.place(partitionID, partitionKey)
        guard !events.isEmpty else { return }
        var batch = try await createBatch(
            partitionID, partitionKey, nil, until: deadline, reservesNumbers: options.isIdempotent)
        for (index, event) in events.enumerated() {
            guard try batch.tryAdd(event) else {
                throw EventHubsError(
                    .messageTooLarge,
                    "event \(index + 1) of \(events.count) does not fit into a batch of"
                        + " \(batch.maximumSizeInBytes) bytes; send fewer at a time")
            }
        }
        try await send(batch, until: deadline)
    }

    private func send(
        _ payload: ByteBuffer, _ format: UInt32, _ partitionID: String?, until deadline: ContinuousClock.Instant?
    ) async throws {
        try await namingPartitions(partitionID, deadline) {
            try await attempts(until: deadline) { limit, completion in
                connection.send(
                    payload: payload, format: format, partitionID: partitionID, limit: limit, completion: completion)
            }
        }
    }

    /// - Parameter transmit: makes one attempt, within `limit`.
    func attempts(
        until deadline: ContinuousClock.Instant?,
        _ transmit: (_ limit: Duration?, _ completion: @escaping @Sendable (SendResult) -> Void) -> Void
    ) async throws {
        try await retrying(until: deadline) {
            let limit = deadline.map { min(max($0 - .now, .zero), options.sendTimeout) }
            // The connection keeps the deadline: a batch that is too late must not reach the service afterwards.
            let result: SendResult = try await Patience.wait(
                until: nil, on: connection.eventLoop, expired: EventHubsError(.timeout, "")
            ) { end in
                transmit(limit) { end(.success($0)) }
            }
            if case .failed(let error, let prospect) = result {
                throw FailedAttempt(error: error, prospect: prospect)
            }
        }
    }

    // MARK: Retries

    private struct FailedAttempt: Error {
        let error: EventHubsError
        let prospect: SendResult.Prospect
    }

    func retrying<Value>(
        until deadline: ContinuousClock.Instant?, _ attempt: () async throws -> Value
    ) async throws -> Value {
        var series = RetrySeries(options.retries, deadline: deadline)
        var random = SystemRandomNumberGenerator()
        // A later attempt that surely failed does not tell what became of an earlier one.
        var isOutcomeUnknown = false
        while true {
            try Task.checkCancellation()
            var error: EventHubsError
            let prospect: SendResult.Prospect
            do {
                return try await attempt()
            } catch let failure as FailedAttempt {
                (error, prospect) = (failure.error, failure.prospect)
            } catch let failure as EventHubsError {
                guard case .failed(_, let rest) = SendResult(notSent: failure) else { throw failure }
                (error, prospect) = (failure, rest)
            }
            if prospect == .unknown { isOutcomeUnknown = true }
            error.isOutcomeUnknown = isOutcomeUnknown
            guard let wait = series.wait(after: prospect, now: .now, using: &random) else { throw error }
            try await Task.sleep(for: wait)
        }
    }

    /// Runs `body`; when it fails for a partition that does not exist, says so, and which there are.
    func namingPartitions<Value>(
        _ partitionID: String?, _ deadline: ContinuousClock.Instant?, _ body: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await body()
        } catch let error as EventHubsError {
            guard let partitionID, error.code == .notFound || error.code == .rejected || error.code == .invalidArgument
            else { throw error }
            // One question, no retries: the error at hand will do.
            let limit = min(deadline ?? .now.advanced(by: options.requestTimeout), .now.advanced(by: .seconds(10)))
            let answer = try? await Patience.wait(until: limit, expired: error, for: connection.eventHubProperties())
            guard let ids = answer?.partitionIDs, !ids.contains(partitionID) else { throw error }
            throw EventHubsError(noPartition: partitionID, of: eventHubName, ids, condition: error.condition)
        }
    }
}

extension EventHubsError {
    init(noPartition id: String, of hub: String, _ ids: [String], condition: String? = nil) {
        let shown = ids.prefix(32).joined(separator: ", ") + (ids.count > 32 ? " and \(ids.count - 32) more" : "")
        self.init(
            .notFound, "event hub \(hub) has no partition \(id); its partitions are \(shown)", condition: condition)
        partitionIDs = [id]
    }
}
