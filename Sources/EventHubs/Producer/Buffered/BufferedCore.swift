internal import Logging
internal import NIOCore
internal import Producing
import Synchronization

/// What a buffered client is made of, without the client: it lives on until the last attempt ended when the client was
/// dropped.
final class BufferedCore: Sendable {
    typealias Producer = EventHubBufferedProducerClient.Producer

    static let closedError = EventHubsError(.clientClosed, "the client is closed; make a new one")

    private let client: EventHubProducerClient
    private let buffering: BufferingOptions
    let service: EventHubService
    let producer: Producer
    let results: ResultQueue
    let choice: PartitionChoice

    private struct State {
        var isClosed = false
        /// The question for the partitions that is under way.
        var opening: EventLoopFuture<PartitionTable>?
        var isRefreshing = false
    }
    private let state = Mutex(State())

    /// After the last chance to be told what became of a batch, callbacks have this long.
    private static let lastWord = Duration.seconds(5)

    init(_ client: EventHubProducerClient, _ buffering: BufferingOptions) {
        self.client = client
        self.buffering = buffering
        let results = ResultQueue(limit: buffering.resultBufferLength)
        let relay = Relay()
        let service = EventHubService(client.connection, buffering) {
            relay.core.withLock { $0.core }?.refresh()
        }
        var limits = BufferLimits(
            maximumEvents: buffering.maximumBufferLength, maximumBytes: buffering.maximumBufferSizeInBytes,
            maximumWait: buffering.maximumWaitTime, window: buffering.maximumConcurrentSendsPerPartition)
        limits.retry = client.options.retries.policy
        limits.maximumRetries = client.options.retries.maximumRetries
        producer = Producer(
            service: service, limits: limits, maximumConcurrentSends: buffering.maximumConcurrentSends,
            timer: EngineTimer(client.connection.eventLoop),
            callbacks: Self.callbacks(buffering, service, results, client.connection.batchStorage))
        self.results = results
        self.service = service
        choice = PartitionChoice(eventHubName: client.eventHubName, partitioner: buffering.partitioner)
        relay.core.withLock { $0.core = self }
    }

    /// The service is there before the core.
    private final class Relay: Sendable {
        struct Box { weak var core: BufferedCore? }
        let core = Mutex(Box())
    }

    private static func callbacks(
        _ buffering: BufferingOptions, _ service: EventHubService, _ results: ResultQueue, _ storage: BatchStorage
    ) -> BufferedCallbacks<OutgoingBatch, EventHubsError> {
        typealias Result = BufferedResult<OutgoingBatch, EventHubsError>
        @Sendable func make(_ result: Result) -> BufferedSendResult {
            BufferedSendResult(
                events: result.batch.events, partitionID: service.id(of: result.partition) ?? "",
                error: result.failure)
        }
        var callbacks = BufferedCallbacks<OutgoingBatch, EventHubsError>(
            settled: { result in
                if result.failure != nil { service.giveUp(result.batch, partition: result.partition) }
            },
            observe: { result in
                results.append(make(result))
                if result.failure == nil { storage.giveBack(result.batch.takePayload()) }
            })
        let (onSuccess, onFailure) = (buffering.onSuccess, buffering.onFailure)
        if onSuccess != nil || onFailure != nil {
            callbacks.call = { result in (result.failure == nil ? onSuccess : onFailure)?(make(result)) }
        }
        return callbacks
    }

    // MARK: Partitions

    /// The partitions, if they are known.
    var table: PartitionTable? { choice.table }

    /// The partitions, asked for if they are not known.
    func prepared(until deadline: ContinuousClock.Instant?) async throws -> PartitionTable {
        if let table { return table }
        return try await Patience.wait(
            until: deadline,
            expired: EventHubsError(.timeout, "the hub's partitions were not known before the deadline"),
            for: try opening())
    }

    func prepareInBackground() throws(EventHubsError) { _ = try opening() }

    /// One question at a time, whoever waits for it; it goes on when they do not.
    private func opening() throws(EventHubsError) -> EventLoopFuture<PartitionTable> {
        let promise = client.connection.eventLoop.makePromise(of: PartitionTable.self)
        let (future, isNew, isClosed) = state.withLock { state in
            if let opening = state.opening { return (opening, false, state.isClosed) }
            if !state.isClosed { state.opening = promise.futureResult }
            return (promise.futureResult, true, state.isClosed)
        }
        guard !isClosed else {
            if isNew { promise.fail(Self.closedError) }
            throw Self.closedError
        }
        guard isNew else {
            promise.fail(Self.closedError)
            return future
        }
        Task {
            do {
                let ids = try await client.partitionIDs()
                let size = try await client.ask(until: nil, "attaching a link to \(client.eventHubName)") {
                    $0.maximumMessageSize(partitionID: nil)
                }
                maximumSize.store(size, ordering: .relaxed)
                promise.succeed(use(ids))
            } catch {
                state.withLock { $0.opening = nil }
                promise.fail(error)
            }
        }
        return future
    }

    /// Adds the partitions that are new; the others are the first ones. For one caller at a time.
    @discardableResult
    private func use(_ ids: [String]) -> PartitionTable {
        service.use(ids)
        let old = table
        var partitions = old?.partitions ?? []
        for _ in partitions.count..<ids.count { partitions.append(producer.addPartition(makeBuilder())) }
        let table = PartitionTable(ids, partitions, previous: old)
        choice.use(table)
        // Closed meanwhile: partitions that came later must be closed too.
        if state.withLock({ $0.isClosed }) { producer.close() }
        return table
    }

    private let maximumSize = Atomic<Int>(0)

    private func makeBuilder() -> EventBatchBuilder {
        EventBatchBuilder(
            maximumSize: maximumSize.load(ordering: .relaxed), reservesNumbers: buffering.isIdempotent,
            storage: client.connection.batchStorage)
    }

    /// Asks whether the hub has got more partitions. A hub never loses any.
    private func refresh() {
        let begins = state.withLock { state in
            guard !state.isClosed, !state.isRefreshing else { return false }
            state.isRefreshing = true
            return true
        }
        guard begins else { return }
        client.connection.eventHubProperties().whenComplete { [weak self] answer in
            guard let self else { return }
            state.withLock { $0.isRefreshing = false }
            guard case .success(let properties) = answer, let table,
                properties.partitionIDs.count > table.ids.count,
                properties.partitionIDs.starts(with: table.ids)
            else { return }
            use(properties.partitionIDs)
        }
    }

    // MARK: Waiting

    func wait(
        _ item: BufferItem<EventBatchBuilder>, _ partition: PartitionTable.Partition,
        until deadline: ContinuousClock.Instant?
    ) async throws {
        switch await partition.enqueue(item, deadline: deadline) {
        case .taken: return
        case .timedOut:
            throw EventHubsError(
                .timeout,
                "the partition's buffer had no room before the deadline; the event was not taken: wait longer, or raise"
                    + " maximumBufferLength")
        case .cancelled: throw CancellationError()
        case .closed: throw Self.closedError
        case .failed(let error): throw error
        }
    }

    // MARK: Ending

    func error(_ code: EventHubsError.Code, _ text: String, _ left: Producer.Incomplete) -> EventHubsError {
        let ids = table?.ids ?? []
        let named = left.left.map { (id: $0.partition < ids.count ? ids[$0.partition] : "?", events: $0.events) }
        let list = named.prefix(32).map { "\($0.id) (\($0.events))" }.joined(separator: ", ")
        var error = EventHubsError(code, "\(text); partitions with events left, and how many: \(list)")
        error.partitionIDs = named.map(\.id)
        return error
    }

    func close(flush: Bool, deadline: ContinuousClock.Instant?) async throws {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        producer.close()
        var incomplete: Producer.Incomplete?
        do throws(Producer.Incomplete) {
            if !flush { producer.abandon(Self.closedError) }
            try await producer.flush(
                deadline: flush ? deadline : deadline ?? .now.advanced(by: client.options.sendTimeout))
        } catch {
            incomplete = error
        }
        await end()
        guard let incomplete else { return }
        if incomplete.isCancelled { throw CancellationError() }
        throw error(.timeout, "closing did not end in time, and what was left was given up", incomplete)
    }

    /// Gives up what is left, and ends everything. Not for a task's cancellation to shorten.
    private func end() async {
        var unknown = EventHubsError(
            .clientClosed,
            "the client was closed while the batch was under way; whether the service has it is not known")
        unknown.isOutcomeUnknown = true
        producer.abandon(Self.closedError, writingOff: unknown)
        await Task { [self] in
            try? await producer.flush(deadline: .now.advanced(by: Self.lastWord))
            service.close()
            await client.close()
            results.finish()
        }.value
    }

    /// The client was dropped. This may be the last reference but those of what is under way.
    func drop() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        producer.abandon(Self.closedError)
        Task {
            // Each attempt ends by itself within this time.
            try? await producer.flush(deadline: .now.advanced(by: client.options.sendTimeout))
            await end()
        }
    }
}
