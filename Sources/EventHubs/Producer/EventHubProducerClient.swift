public import Logging
public import NIOCore
public import NIOPosix

/// Sends events to one event hub, and waits for the service's answer.
///
/// ```swift
/// let client = try EventHubProducerClient(connectionString: text, eventHubName: "telemetry")
/// var batch = try await client.createBatch(partitionKey: "device-7")
/// _ = try batch.tryAdd(EventData("hello"))
/// try await client.send(batch)
/// await client.close()
/// ```
///
/// It connects when it is first used, keeps one connection for all partitions, and makes it anew when it was lost. Its
/// methods may be called from any task; a task that is cancelled stops waiting at once. A client that is dropped without
/// `close` ends its connection too. `EventHubBufferedProducerClient` sends in the background.
public final class EventHubProducerClient: Sendable {
    /// The event hub's name.
    public let eventHubName: String
    /// The host of the namespace, without port.
    public let fullyQualifiedNamespace: String
    let connection: EventHubConnection
    let options: EventHubsOptions
    /// Nil: events are not numbered.
    let publishing: PublishingLanes?

    /// Nothing is sent yet.
    ///
    /// - Parameters:
    ///   - connectionString: of the namespace or of the hub; a port in `Endpoint` is used, with and without TLS.
    ///   - eventHubName: needed when the string has no `EntityPath`.
    ///   - options: the way to the service, deadlines and retries.
    ///   - eventLoopGroup: where the connection runs; the process-wide group by default.
    ///   - logger: gets lost links and connections at level debug, tokens that cannot be renewed at level warning.
    /// - Throws: `EventHubsError` with code `invalidConnectionString` or `invalidArgument`.
    public convenience init(
        connectionString: String, eventHubName: String? = nil, options: EventHubsOptions = EventHubsOptions(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "EventHubs")
    ) throws(EventHubsError) {
        let string = try EventHubsConnectionString(connectionString)
        let endpoint = try EventHubEndpoint(string, eventHubName: eventHubName, options: options)
        self.init(endpoint, options, eventLoopGroup, logger)
    }

    /// Nothing is sent yet.
    ///
    /// - Parameters:
    ///   - fullyQualifiedNamespace: such as `contoso.servicebus.windows.net`; `contoso` alone and a URI `sb://host[:port]/`
    ///     will do.
    ///   - eventHubName: not empty.
    ///   - credential: a key, a signature, or where tokens come from; it needs the Send claim (role "Azure Event Hubs Data
    ///     Sender").
    ///   - options: the way to the service, deadlines and retries.
    ///   - eventLoopGroup: where the connection runs; the process-wide group by default.
    ///   - logger: gets lost links and connections at level debug, tokens that cannot be renewed at level warning.
    /// - Throws: `EventHubsError` with code `invalidArgument`.
    public convenience init(
        fullyQualifiedNamespace: String, eventHubName: String, credential: EventHubsCredential,
        options: EventHubsOptions = EventHubsOptions(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "EventHubs")
    ) throws(EventHubsError) {
        let endpoint = try EventHubEndpoint(
            namespace: fullyQualifiedNamespace, eventHubName: eventHubName, credential: credential, options: options)
        self.init(endpoint, options, eventLoopGroup, logger)
    }

    /// Nothing is sent yet.
    package init(
        _ endpoint: EventHubEndpoint, _ options: EventHubsOptions, _ group: any EventLoopGroup, _ logger: Logger
    ) {
        eventHubName = endpoint.hub
        fullyQualifiedNamespace = endpoint.host
        self.options = options
        publishing = options.isIdempotent ? PublishingLanes(options.partitionPublishing) : nil
        connection = EventHubConnection(endpoint, options: options, eventLoop: group.next(), logger: logger)
    }

    /// Dropped without `close`: nobody can send any more, so the connection ends.
    deinit { connection.drop() }

    // MARK: Questions

    /// Name, time of creation and partitions; always asks the service.
    ///
    /// - Parameter timeout: for all attempts together; nil: as long as `EventHubsOptions.retries` allows.
    /// - Throws: `EventHubsError`; `CancellationError`.
    public func eventHubProperties(timeout: Duration? = nil) async throws -> EventHubProperties {
        try await ask(timeout, "asking for the properties of \(eventHubName)") { $0.eventHubProperties() }
    }

    /// The partitions' ids in the service's order; always asks the service.
    ///
    /// - Parameter timeout: for all attempts together; nil: as long as `EventHubsOptions.retries` allows.
    /// - Throws: `EventHubsError`; `CancellationError`.
    public func partitionIDs(timeout: Duration? = nil) async throws -> [String] {
        try await eventHubProperties(timeout: timeout).partitionIDs
    }

    /// What the partition holds; always asks the service.
    ///
    /// - Parameter timeout: for all attempts together; nil: as long as `EventHubsOptions.retries` allows.
    /// - Throws: `EventHubsError`, with code `notFound` when there is no such partition; `CancellationError`.
    public func partitionProperties(_ id: String, timeout: Duration? = nil) async throws -> PartitionProperties {
        let deadline = timeout.map { ContinuousClock.now.advanced(by: $0) }
        return try await namingPartitions(id, deadline) {
            try await ask(until: deadline, "asking for the properties of partition \(id)") {
                $0.partitionProperties(id)
            }
        }
    }

    private func ask<Value: Sendable>(
        _ timeout: Duration?, _ doing: String, _ question: (EventHubConnection) -> EventLoopFuture<Value>
    ) async throws -> Value {
        try await ask(until: timeout.map { .now.advanced(by: $0) }, doing, question)
    }

    /// Asks until there is an answer.
    func ask<Value: Sendable>(
        until deadline: ContinuousClock.Instant?, _ doing: String,
        _ question: (EventHubConnection) -> EventLoopFuture<Value>
    ) async throws -> Value {
        try await retrying(until: deadline) {
            try await Patience.wait(
                until: deadline, expired: EventHubsError(.timeout, "\(doing): no answer before the deadline"),
                for: question(connection))
        }
    }

    /// Ends the connection. Afterwards every method throws `clientClosed`. May be called again.
    public func close() async { _ = try? await connection.close().get() }
}
