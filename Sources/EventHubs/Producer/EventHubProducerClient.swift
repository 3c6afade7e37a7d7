public import Logging
public import NIOCore
public import NIOPosix

/// Sends events to one event hub.
///
/// ```swift
/// let client = try EventHubProducerClient(connectionString: text, eventHubName: "telemetry")
/// var batch = try await client.createBatch(partitionKey: "device-7")
/// _ = try batch.tryAdd(EventData("hello"))
/// try await client.send(batch)
/// await client.close()
/// ```
///
/// It connects when it is first used, keeps one connection, and makes it anew when it was lost. Its methods may be
/// called from any task.
public final class EventHubProducerClient: Sendable {
    /// The event hub's name.
    public let eventHubName: String
    /// The host of the namespace, without port.
    public let fullyQualifiedNamespace: String
    package let connection: EventHubConnection
    private let retries: EventHubsOptions.RetryOptions

    /// Nothing is sent yet.
    ///
    /// - Parameters:
    ///   - connectionString: of the namespace or of the hub; a port in `Endpoint` is used, with and without TLS.
    ///   - eventHubName: needed when the string has no `EntityPath`.
    ///   - options: deadlines and retries.
    ///   - eventLoopGroup: where the connection runs; the process-wide group by default.
    ///   - logger: gets lost links and connections at level debug, tokens that cannot be renewed at level warning.
    /// - Throws: `EventHubsError` with code `invalidConnectionString` or `invalidArgument`.
    public init(
        connectionString: String, eventHubName: String? = nil, options: EventHubsOptions = EventHubsOptions(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "EventHubs")
    ) throws(EventHubsError) {
        let string = try EventHubsConnectionString(connectionString)
        let endpoint = try EventHubEndpoint(string, eventHubName: eventHubName, options: options)
        self.eventHubName = endpoint.hub
        fullyQualifiedNamespace = endpoint.host
        retries = options.retries
        connection = EventHubConnection(endpoint, options: options, eventLoop: eventLoopGroup.next(), logger: logger)
    }

    // MARK: Questions

    /// Name, time of creation and partitions; always asks the service.
    ///
    /// - Throws: `EventHubsError`.
    public func eventHubProperties() async throws -> EventHubProperties {
        try await retrying { try await self.connection.eventHubProperties().get() }
    }

    /// The partitions' ids in the service's order; always asks the service.
    ///
    /// - Throws: `EventHubsError`.
    public func partitionIDs() async throws -> [String] { try await eventHubProperties().partitionIDs }

    /// What the partition holds; always asks the service.
    ///
    /// - Throws: `EventHubsError`, with code `notFound` or `rejected` when there is no such partition.
    public func partitionProperties(_ id: String) async throws -> PartitionProperties {
        try await retrying { try await self.connection.partitionProperties(id).get() }
    }

    // MARK: Sending

    /// An empty batch for a partition, for a key, or for the service to place as it likes.
    ///
    /// - Parameters:
    ///   - partitionID: the batch goes there; excludes `partitionKey`.
    ///   - partitionKey: batches with the same key go to the same partition; excludes `partitionID`.
    ///   - maximumSizeInBytes: at most what the service takes, which is the default.
    /// - Throws: `EventHubsError`; `invalidArgument` when both are given or the size is larger than the service takes.
    public func createBatch(
        partitionID: String? = nil, partitionKey: String? = nil, maximumSizeInBytes: Int? = nil
    ) async throws -> EventDataBatch {
        if partitionID != nil, partitionKey != nil {
            throw EventHubsError(
                .invalidArgument, "a batch goes to a partition or is placed by its key; give one of the two, not both")
        }
        let limit = try await retrying {
            try await self.connection.maximumMessageSize(partitionID: partitionID).get()
        }
        if let maximumSizeInBytes, !(1...limit).contains(maximumSizeInBytes) {
            throw EventHubsError(
                .invalidArgument,
                "a batch of \(maximumSizeInBytes) bytes was asked for; the service takes 1 to \(limit)")
        }
        return EventDataBatch(
            maximumSizeInBytes: maximumSizeInBytes ?? limit, partitionID: partitionID,
            partitionKey: partitionKey.flatMap { $0.isEmpty ? nil : $0 })
    }

    /// Sends a batch and waits until the service has it. An empty batch is not sent.
    ///
    /// A failure that may pass is tried again (`EventHubsOptions.retries`). When an attempt ended without an answer,
    /// the service may store the batch twice.
    ///
    /// - Throws: `EventHubsError` of the last attempt; `CancellationError`.
    public func send(_ batch: EventDataBatch) async throws {
        guard batch.count > 0 else { return }
        try await retrying {
            let result = await withCheckedContinuation { continuation in
                self.connection.send(payload: batch.payload, partitionID: batch.partitionID) {
                    continuation.resume(returning: $0)
                }
            }
            if case .failed(let error, let prospect) = result { throw SendFailure(error: error, prospect: prospect) }
        }
    }

    /// Sends `events` as one batch.
    ///
    /// - Throws: as `createBatch` and `send(_:)`; `messageTooLarge` when they do not fit into one batch: none is sent.
    public func send(
        _ events: [EventData], partitionID: String? = nil, partitionKey: String? = nil
    ) async throws {
        guard !events.isEmpty else { return }
        var batch = try await createBatch(partitionID: partitionID, partitionKey: partitionKey)
        for (index, event) in events.enumerated() {
            guard try batch.tryAdd(event) else {
                throw EventHubsError(
                    .messageTooLarge,
                    "event \(index + 1) of \(events.count) does not fit into a batch of"
                        + " \(batch.maximumSizeInBytes) bytes; send fewer at a time")
            }
        }
        try await send(batch)
    }

    /// Ends the connection. Afterwards every method throws `clientClosed`.
    public func close() async { _ = try? await connection.close().get() }

    // MARK: Retries

    private struct SendFailure: Error {
        let error: EventHubsError
        let prospect: SendResult.Prospect
    }

    private func retrying<Value>(_ body: () async throws -> Value) async throws -> Value {
        var attempt = 0
        while true {
            let error: EventHubsError
            let prospect: SendResult.Prospect
            do {
                return try await body()
            } catch let failure as SendFailure {
                (error, prospect) = (failure.error, failure.prospect)
            } catch let failure as EventHubsError {
                guard case .failed(_, let rest) = SendResult(notSent: failure) else { throw failure }
                (error, prospect) = (failure, rest)
            }
            attempt += 1
            guard attempt <= retries.maximumRetries, let wait = delay(before: attempt, prospect) else { throw error }
            try await Task.sleep(for: wait)
        }
    }

    /// Nil: another attempt is of no use.
    private func delay(before retry: Int, _ prospect: SendResult.Prospect) -> Duration? {
        var delay = retries.delay
        for _ in 1..<max(2, retry) where retry > 1 && delay < retries.maximumDelay { delay *= 2 }
        delay = min(delay, retries.maximumDelay)
        switch prospect {
        case .retriable(let after): return max(delay, min(after, retries.maximumServiceDelay))
        case .unknown: return delay
        case .batchRefused, .blocked: return nil
        }
    }
}
