public import Logging
public import NIOCore
public import NIOPosix
internal import Producing
import Synchronization

/// Takes events into a buffer, and sends them in batches in the background.
///
/// ```swift
/// var buffering = BufferingOptions()
/// buffering.onFailure = { result in
///     print("\(result.events.count) events for \(result.partitionID) were lost: \(result.error!)")
/// }
/// let client = try EventHubBufferedProducerClient(connectionString: text, buffering: buffering)
/// for reading in readings { try await client.enqueue(EventData(reading), partitionKey: "device-7") }
/// try await client.close()
/// ```
///
/// Every event that was taken gets exactly one result: by callback (`BufferingOptions.onSuccess`, `onFailure`) and in
/// `results`. That holds for events that are given up by `close(flush: false)`, and when the client is dropped.
///
/// Events of one partition are sent in the order in which they were taken. Attempts that fail are made again as
/// `EventHubsOptions.retries` says; while the service throttles, sending waits and goes on without counting attempts.
///
/// All partitions share one connection. The list of partitions is asked for before the first event, and again every ten
/// seconds or so while batches are sent: partitions that were added are used from then on, so keys may move.
public final class EventHubBufferedProducerClient: Sendable {
    typealias Producer = BufferedProducer<EventBatchBuilder, EventHubService>

    /// The event hub's name.
    public var eventHubName: String { client.eventHubName }
    /// The host of the namespace, without port.
    public var fullyQualifiedNamespace: String { client.fullyQualifiedNamespace }
    package let client: EventHubProducerClient
    let buffering: BufferingOptions
    let core: BufferedCore
    let choice: PartitionChoice

    /// Nothing is sent yet.
    ///
    /// - Parameters: as for `EventHubProducerClient`.
    ///   - buffering: limits, times, callbacks.
    /// - Throws: `EventHubsError` with code `invalidConnectionString` or `invalidArgument`.
    public convenience init(
        connectionString: String, eventHubName: String? = nil, buffering: BufferingOptions = BufferingOptions(),
        options: EventHubsOptions = EventHubsOptions(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "EventHubs")
    ) throws(EventHubsError) {
        try self.init(
            try EventHubProducerClient(
                connectionString: connectionString, eventHubName: eventHubName, options: options,
                eventLoopGroup: eventLoopGroup, logger: logger), buffering)
    }

    /// Nothing is sent yet.
    ///
    /// - Parameters: as for `EventHubProducerClient`.
    ///   - buffering: limits, times, callbacks.
    /// - Throws: `EventHubsError` with code `invalidArgument`.
    public convenience init(
        fullyQualifiedNamespace: String, eventHubName: String, credential: EventHubsCredential,
        buffering: BufferingOptions = BufferingOptions(), options: EventHubsOptions = EventHubsOptions(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "EventHubs")
    ) throws(EventHubsError) {
        try self.init(
            try EventHubProducerClient(
                fullyQualifiedNamespace: fullyQualifiedNamespace, eventHubName: eventHubName, credential: credential,
                options: options, eventLoopGroup: eventLoopGroup, logger: logger), buffering)
    }

    /// Over a client that nobody else uses.
    package init(_ client: EventHubProducerClient, _ buffering: BufferingOptions) throws(EventHubsError) {
        try buffering.check()
        self.client = client
        self.buffering = buffering
        core = BufferedCore(client, buffering)
        choice = core.choice
    }

    /// Dropped without `close`: what is not under way fails now, what is under way when its attempt ends.
    deinit { core.drop() }

    // MARK: Questions

    /// As `EventHubProducerClient.eventHubProperties(timeout:)`.
    public func eventHubProperties(timeout: Duration? = nil) async throws -> EventHubProperties {
        try await client.eventHubProperties(timeout: timeout)
    }

    /// As `EventHubProducerClient.partitionIDs(timeout:)`.
    public func partitionIDs(timeout: Duration? = nil) async throws -> [String] {
        try await client.partitionIDs(timeout: timeout)
    }

    /// As `EventHubProducerClient.partitionProperties(_:timeout:)`.
    public func partitionProperties(_ id: String, timeout: Duration? = nil) async throws -> PartitionProperties {
        try await client.partitionProperties(id, timeout: timeout)
    }

    /// Where idempotent publishing to a partition stands, as far as this client knows; nil without `isIdempotent`, and
    /// before the first batch to the partition.
    public func partitionPublishingProperties(_ id: String) -> PartitionPublishingProperties? {
        guard let index = choice.table?.indices[id], let state = core.service.publishingState(index) else {
            return nil
        }
        return PartitionPublishingProperties(id, state)
    }

    /// As `EventHubProducerClient.createBatch`; with `isIdempotent`, the batch has room for the numbers.
    public func createBatch(
        partitionID: String? = nil, partitionKey: String? = nil, maximumSizeInBytes: Int? = nil,
        timeout: Duration? = nil
    ) async throws -> EventDataBatch {
        try await client.createBatch(
            partitionID, partitionKey, maximumSizeInBytes, until: timeout.map { .now.advanced(by: $0) },
            reservesNumbers: buffering.isIdempotent)
    }

    // MARK: Results and counts

    /// What became of the events, batch by batch; see `BufferedResults`.
    public var results: BufferedResults {
        core.results.want()
        return BufferedResults(queue: core.results)
    }

    /// Events whose result has not been told. Zero when the hub has no such partition, or nothing was enqueued yet.
    public func bufferedEventCount(partitionID: String) -> Int {
        guard let table = choice.table, let index = table.indices[partitionID] else { return 0 }
        return table.partitions[index].count
    }

    /// Events of all partitions whose result has not been told.
    public var totalBufferedEventCount: Int { core.producer.count }

    // MARK: Ending

    /// Sends what was enqueued without waiting for more, and returns when the results of all of it have been told, good
    /// ones and bad ones. Does nothing when nothing was enqueued.
    ///
    /// - Parameter timeout: nil: as long as the attempts take.
    /// - Throws: `EventHubsError` with code `timeout`, naming the partitions that have events left (`partitionIDs`); sending
    ///   goes on in the background. `CancellationError`.
    public func flush(timeout: Duration? = nil) async throws {
        do throws(Producer.Incomplete) {
            try await core.producer.flush(deadline: timeout.map { .now.advanced(by: $0) })
        } catch {
            if error.isCancelled { throw CancellationError() }
            throw core.error(.timeout, "flushing did not end in time", error)
        }
    }

    /// Takes no more events, sends what was enqueued, and ends the connection. May be called again, to no effect.
    ///
    /// - Parameters:
    ///   - flush: false: what is not under way fails at once, with code `clientClosed`.
    ///   - timeout: for all of it; what is left then fails, and what is under way then fails as of unknown outcome. Nil: as
    ///     long as the attempts take; without `flush`, one attempt.
    /// - Throws: `EventHubsError` with code `timeout`, naming the partitions whose events were given up, when the time did
    ///   not suffice; `CancellationError`. The client is closed in any case.
    public func close(flush: Bool = true, timeout: Duration? = nil) async throws {
        try await core.close(flush: flush, deadline: timeout.map { .now.advanced(by: $0) })
    }
}
