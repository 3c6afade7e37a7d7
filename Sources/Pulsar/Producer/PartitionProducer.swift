internal import Logging
internal import NIOCore
internal import Producing
import Synchronization

/// One concrete topic of a producer, with the buffer in front of it. A lazily started one opens with its first message;
/// what comes before that is done is held back, and goes first.
final class PartitionProducer: Sendable {
    typealias Engine = BufferedProducer<MessageBatchBuilder, TopicService>

    /// A flush that waits, for the first failure among the messages that were there when it began.
    private final class FlushWatch: Sendable {
        /// The number of the first message behind it.
        let mark: UInt64
        let failures = Mutex<(count: Int, first: PulsarError?)>((0, nil))

        init(mark: UInt64) { self.mark = mark }
    }

    private struct State {
        var engine: Engine?
        var opening: EventLoopFuture<Engine>?
        /// Before there is an engine.
        var held: [OutgoingMessage] = []
        var heldBytes = 0
        var isClosed = false
        /// Messages whose results were told.
        var told: UInt64 = 0
        var watches: [FlushWatch] = []
    }

    /// -1: the topic has no partitions.
    let index: Int
    let topic: TopicProducer
    private let options: PulsarProducerOptions
    private let compressor: Compressor
    private let encryption: PayloadEncryption?
    private let limits: BufferLimits
    private let state = Mutex(State())
    /// The engine's only partition, from the moment when messages may go there directly: no lock is taken for one.
    private let runner = AtomicLazyReference<Engine.Runner>()

    init(
        index: Int, _ topic: TopicProducer, _ options: PulsarProducerOptions, compressor: Compressor,
        encryption: PayloadEncryption? = nil, partitions: Int
    ) {
        self.index = index
        self.topic = topic
        self.options = options
        self.compressor = compressor
        self.encryption = encryption
        let pending = options.pendingLimit(partitions: partitions)
        limits = BufferLimits(
            maximumEvents: pending, maximumBytes: options.maximumPendingBytes,
            maximumWait: options.isBatchingEnabled ? options.batchingMaximumDelay : nil,
            eagerSize: options.isBatchingEnabled ? options.batchingMaximumBytes : 0,
            window: min(pending, Self.maximumBatches), maximumRetries: 0)
    }

    /// Batches between the buffer and the broker's answer.
    private static let maximumBatches = 1024

    static var closedError: PulsarError { PulsarError(.alreadyClosed, "the producer is closed; make a new one") }

    /// Messages without a result.
    var count: Int { state.withLock { state in state.held.count + (state.engine?.count ?? 0) } }

    /// Tasks that wait for room.
    var waiting: Int { runner.load()?.waiting ?? 0 }

    var isOpen: Bool { state.withLock { $0.engine != nil } }

    // MARK: Opening

    /// One attempt at a time; the next one begins after it failed.
    @discardableResult func open() -> EventLoopFuture<Engine> {
        let promise = topic.eventLoop.makePromise(of: Engine.self)
        let (future, isNew) = state.withLock { state in
            if let opening = state.opening { return (opening, false) }
            state.opening = promise.futureResult
            return (promise.futureResult, true)
        }
        guard isNew else {
            promise.fail(Self.closedError)
            return future
        }
        topic.open().whenComplete { result in
            switch result {
            case .success(let producer): promise.succeed(self.begin(producer))
            case .failure(let error):
                self.failHeld(error as? PulsarError ?? PulsarError(.unknown, "\(error)"))
                promise.fail(error)
            }
        }
        return future
    }

    private func begin(_ producer: OpenedProducer) -> Engine {
        let encoder = SendEncoder(
            producerID: topic.settings.producerID, producer: producer, compressor: compressor, encryption: encryption)
        var batches = MessageBatchBuilder.Limits(isChunked: options.isChunkingEnabled)
        if options.isBatchingEnabled {
            batches.messages = options.batchingMaximumMessages
            batches.bytes = options.batchingMaximumBytes
            batches.isKeyBased = options.batchingType == .keyBased
        }
        let engine = Engine(
            service: TopicService(producer: topic), limits: limits, maximumConcurrentSends: Self.maximumBatches,
            timer: EngineTimer(topic.eventLoop),
            callbacks: BufferedCallbacks(call: { [weak self, index] result in
                result.batch.tell(partition: index, failure: result.failure)
                self?.note(result.events, result.failure ?? result.batch.failure)
            }))
        let last = topic.lastSequenceID
        // Above the largest one the builder refuses messages.
        let runner = engine.addPartition(
            MessageBatchBuilder(encoder, batches, firstID: last < 0 ? 0 : UInt64(last) + 1))
        // Messages go to the engine directly only when those that were held back are in it.
        while true {
            let held = state.withLock { state -> [OutgoingMessage] in
                defer {
                    state.held = []
                    state.heldBytes = 0
                }
                if state.held.isEmpty {
                    state.engine = engine
                    _ = self.runner.storeIfNil(runner)
                    if state.isClosed { engine.close() }
                }
                return state.held
            }
            if held.isEmpty { return engine }
            for message in held {
                do throws(PulsarError) {
                    switch try runner.add(message) {
                    case .taken: break
                    // No more are held back than there is room for, unless they are bytes that were counted otherwise.
                    case .full: message.completion?(.failure(fullError))
                    case .closed: message.completion?(.failure(Self.closedError))
                    }
                } catch {
                    message.completion?(.failure(error))
                }
            }
        }
    }

    private func failHeld(_ error: PulsarError) {
        let held = state.withLock { state -> [OutgoingMessage] in
            defer {
                state.held = []
                state.heldBytes = 0
            }
            return state.held
        }
        for message in held { message.completion?(.failure(error)) }
    }

    // MARK: Sending

    enum Admission { case taken, full }

    /// Takes the message if that needs no waiting.
    func add(_ message: OutgoingMessage) throws(PulsarError) -> Admission {
        if let runner = runner.load() { return try add(message, to: runner) }
        let (begun, admission) = state.withLock { state -> (Engine.Runner?, Admission?) in
            // It may have begun meanwhile.
            if let runner = runner.load() { return (runner, nil) }
            guard !state.isClosed else { return (nil, nil) }
            guard state.held.count < limits.maximumEvents, state.heldBytes < limits.maximumBytes else {
                return (nil, .full)
            }
            state.held.append(message)
            state.heldBytes += message.message.size
            return (nil, .taken)
        }
        if let admission {
            open()
            return admission
        }
        guard let begun else { throw Self.closedError }
        return try add(message, to: begun)
    }

    private func add(_ message: OutgoingMessage, to runner: Engine.Runner) throws(PulsarError) -> Admission {
        switch try runner.add(message) {
        case .taken: return .taken
        case .full: return .full
        case .closed: throw topic.end ?? Self.closedError
        }
    }

    /// Takes the message when there is room for it.
    func wait(_ message: OutgoingMessage) async throws {
        let engine = try await open().get()
        switch await engine.partition(0).enqueue(.event(message), deadline: nil) {
        case .taken: return
        case .cancelled, .timedOut: throw CancellationError()
        case .closed:
            if let end = topic.end, end.code != .alreadyClosed { throw end }
            throw PulsarError(.interrupted, "the producer was closed while a message waited for room")
        case .failed(let error): throw error
        }
    }

    /// Why `add` has no room.
    var fullError: PulsarError {
        guard count < limits.maximumEvents else {
            return PulsarError(
                .queueFull,
                "\(limits.maximumEvents) messages wait for the broker already: wait for results, raise"
                    + " maximumPendingMessages, or set blocksIfQueueFull")
        }
        return PulsarError(
            .memoryFull,
            "\(limits.maximumBytes) bytes wait for the broker already: wait for results, raise maximumPendingBytes, or set"
                + " blocksIfQueueFull")
    }

    private func note(_ messages: Int, _ failure: PulsarError?) {
        let watches = state.withLock { state -> [FlushWatch] in
            let first = state.told
            state.told += UInt64(messages)
            guard failure != nil else { return [] }
            return state.watches.filter { $0.mark > first }
        }
        for watch in watches {
            watch.failures.withLock { failures in
                failures.count += messages
                failures.first = failures.first ?? failure
            }
        }
    }

    // MARK: Ending

    /// Sends what is here, and waits for all results.
    ///
    /// - Returns: messages that failed, and why the first one did.
    func flush(until deadline: ContinuousClock.Instant?) async throws -> (count: Int, first: PulsarError?) {
        let opening = state.withLock { $0.opening }
        guard let opening else { return (0, nil) }
        let engine = try await opening.get()
        let watch = FlushWatch(mark: state.withLock { $0.told } + UInt64(engine.count))
        state.withLock { $0.watches.append(watch) }
        defer { state.withLock { state in state.watches.removeAll { $0 === watch } } }
        do throws(Engine.Incomplete) {
            try await engine.flush(deadline: deadline)
        } catch {
            if error.isCancelled { throw CancellationError() }
            let left = error.left.reduce(0) { $0 + $1.events }
            throw PulsarError(
                .timeout, "flushing did not end in time; \(left) messages for \(topic.topic) have no result yet")
        }
        return watch.failures.withLock { $0 }
    }

    /// Takes nothing more; what is here is still sent.
    func close() {
        state.withLock { state -> Engine? in
            state.isClosed = true
            return state.engine
        }?.close()
    }

    /// Gives up what is here.
    func abandon() {
        close()
        var unknown = PulsarError(
            .alreadyClosed, "the producer was closed while the message was under way; the broker may have it")
        unknown.isOutcomeUnknown = true
        let closed = PulsarError(.alreadyClosed, "the producer was closed before the message was sent")
        failHeld(closed)
        state.withLock { $0.engine }?.abandon(closed, writingOff: unknown)
    }
}
