internal import Logging
internal import NIOCore
internal import Producing
import Synchronization

/// What a producer is made of, without the object that its user holds.
final class ProducerCore: Sendable {
    private struct State {
        var partitions: [PartitionProducer] = []
        var router: MessageRouter<PulsarMessage>
        var isClosed = false
        var watch: Scheduled<Void>?
    }

    /// The client's number for it.
    let id: UInt64
    let topic: TopicName
    let options: PulsarProducerOptions
    let isPartitioned: Bool
    private let client: PulsarClient
    private let compressor: Compressor
    private let encryption: PayloadEncryption?
    /// Of a topic without partitions.
    private let only: PartitionProducer?
    private let state: Mutex<State>

    /// After the last chance to be told what became of a message, callbacks have this long.
    private static let lastWord = Duration.seconds(5)

    /// - Parameter partitions: 0: the topic has none.
    init(
        _ topic: TopicName, _ options: PulsarProducerOptions, client: PulsarClient, compressor: Compressor,
        encryption: PayloadEncryption?, partitions: Int
    ) {
        id = client.makeProducerID()
        self.topic = topic
        self.options = options
        self.client = client
        self.compressor = compressor
        self.encryption = encryption
        isPartitioned = partitions > 0
        let all = (0..<max(partitions, 1)).map { index in
            Self.makePartition(
                partitions > 0 ? index : -1, of: topic, options, client, compressor, encryption,
                partitions: max(partitions, 1))
        }
        if partitions == 0, case .custom = options.routing { only = nil } else { only = partitions == 0 ? all[0] : nil }
        let router = MessageRouter<PulsarMessage>(
            options.routerMode, hashing: options.hashing, partitions: max(partitions, 1))
        state = Mutex(State(partitions: all, router: router))
    }

    private static func makePartition(
        _ index: Int, of topic: TopicName, _ options: PulsarProducerOptions, _ client: PulsarClient,
        _ compressor: Compressor, _ encryption: PayloadEncryption?, partitions: Int
    ) -> PartitionProducer {
        let producer = client.makeTopicProducer(
            index < 0 ? topic : topic.partition(index), options.machine(client.options),
            accessMode: options.accessMode, properties: options.properties, isEncrypted: options.encryption != nil,
            schema: options.schema?.wire)
        return PartitionProducer(
            index: index, producer, options, compressor: compressor, encryption: encryption, partitions: partitions)
    }

    var partitions: [PartitionProducer] { state.withLock { $0.partitions } }

    var producerName: String {
        options.chosenName ?? partitions.compactMap(\.topic.name).first ?? ""
    }

    var isConnected: Bool {
        let (partitions, isClosed) = state.withLock { ($0.partitions, $0.isClosed) }
        let open = partitions.filter(\.isOpen)
        return !isClosed && !open.isEmpty && open.allSatisfy(\.topic.isConnected)
    }

    // MARK: Opening

    /// Opens all partitions, or the first that is to be used when they start lazily.
    func open() async throws {
        let first = options.startsPartitionsLazily && isPartitioned ? [firstPartition()] : partitions
        do {
            try await withTaskCancellationHandler {
                for partition in first { partition.open() }
                for partition in first { _ = try await partition.open().get() }
                try Task.checkCancellation()
            } onCancel: {
                drop()
            }
        } catch {
            drop()
            throw Task.isCancelled ? CancellationError() : error
        }
        if isPartitioned { watch() }
    }

    private func firstPartition() -> PartitionProducer {
        state.withLock { state in
            if case .custom = options.routing { return state.partitions[0] }
            // Fails for functions of the user's only.
            let index = try? state.router.partition(of: PulsarMessage(""), key: nil, size: 0, now: .now)
            return state.partitions[index ?? 0]
        }
    }

    // MARK: Partitions

    /// Where a message goes that can be sent.
    func partition(for message: PulsarMessage) throws(PulsarError) -> PartitionProducer {
        if let schema = options.schema { try schema.check(message) }
        if let only { return only }
        return try state.withLock { (state) throws(PulsarError) in
            let index = try state.router.partition(
                of: message, key: message.routingKey, size: message.size, now: .now)
            return state.partitions[index]
        }
    }

    /// Asks again, after a while, how many partitions there are.
    private func watch() {
        let task = client.eventLoopGroup.any().scheduleTask(in: TimeAmount(options.partitionUpdateInterval)) {
            [weak self] in
            self?.askForPartitions()
            return
        }
        let isClosed = state.withLock { state in
            state.watch = task
            return state.isClosed
        }
        if isClosed { task.cancel() }
    }

    private func askForPartitions() {
        client.source.partitions(of: topic).whenComplete { [weak self] result in
            guard let self else { return }
            // A topic never loses partitions; a failure is met again, or not, the next time.
            if case .success(let count) = result, count > partitions.count { grow(to: count) }
            watch()
        }
    }

    /// New partitions are used from the moment when all of them are open.
    private func grow(to count: Int) {
        let known = partitions.count
        let new = (known..<count).map { index in
            Self.makePartition(index, of: topic, options, client, compressor, encryption, partitions: count)
        }
        let loop = client.eventLoopGroup.any()
        let opened =
            options.startsPartitionsLazily
            ? loop.makeSucceededVoidFuture()
            : EventLoopFuture.andAllSucceed(new.map { $0.open().map { _ in } }, on: loop)
        opened.whenComplete { [self] result in
            var isUsed = false
            if case .success = result {
                isUsed = state.withLock { state in
                    guard !state.isClosed, state.partitions.count == known else { return false }
                    state.partitions += new
                    state.router.partitions = count
                    return true
                }
            }
            guard !isUsed else { return }
            for partition in new {
                partition.abandon()
                _ = partition.topic.close()
            }
        }
    }

    // MARK: Ending

    func flush(until deadline: ContinuousClock.Instant?) async throws {
        let (partitions, isClosed) = state.withLock { ($0.partitions, $0.isClosed) }
        guard !isClosed else { throw PartitionProducer.closedError }
        try await flush(partitions, until: deadline)
    }

    private func flush(_ partitions: [PartitionProducer], until deadline: ContinuousClock.Instant?) async throws {
        let failed = try await withThrowingTaskGroup { group in
            for partition in partitions { group.addTask { try await partition.flush(until: deadline) } }
            var failed: (count: Int, first: PulsarError?) = (0, nil)
            var problem: (any Error)?
            while let result = await group.nextResult() {
                switch result {
                case .success(let (count, first)): failed = (failed.count + count, failed.first ?? first)
                // The others are waited for all the same.
                case .failure(let error): problem = problem ?? error
                }
            }
            if let problem { throw problem }
            return failed
        }
        guard var first = failed.first else { return }
        first.message = "\(failed.count) messages failed; the first: \(first.message)"
        throw first
    }

    /// True for the first that asks.
    private func beginClosing() -> Bool {
        let (isFirst, watch, partitions) = state.withLock { state in
            defer { state.isClosed = true }
            return (!state.isClosed, state.watch, state.partitions)
        }
        watch?.cancel()
        client.unregister(id)
        for partition in partitions { partition.close() }
        return isFirst
    }

    func close(flush: Bool, until deadline: ContinuousClock.Instant?) async throws {
        guard beginClosing() else { return }
        let partitions = partitions
        var problem: (any Error)?
        if flush {
            do { try await self.flush(partitions, until: deadline) } catch { problem = error }
        }
        // Not for a task's cancellation to shorten.
        await Task { [self] in
            for partition in partitions { partition.abandon() }
            let closing = partitions.map { $0.topic.close() }
            try? await self.flush(partitions.filter(\.isOpen), until: .now.advanced(by: Self.lastWord))
            for future in closing { try? await future.get() }
        }.value
        if let problem { throw problem }
    }

    /// Without waiting for anything.
    func drop() {
        guard beginClosing() else { return }
        for partition in partitions {
            partition.abandon()
            _ = partition.topic.close()
        }
    }
}

extension PulsarProducerOptions {
    var routerMode: MessageRouter<PulsarMessage>.Mode {
        switch routing {
        case .singlePartition: .single
        case .custom(let choose): .custom(choose)
        case .roundRobin where isBatchingEnabled:
            .roundRobinByBatch(
                .init(messages: batchingMaximumMessages, bytes: batchingMaximumBytes, time: batchingMaximumDelay))
        case .roundRobin: .roundRobin
        }
    }

    /// Nil: the broker chooses.
    var chosenName: String? { name.flatMap { $0.isEmpty ? nil : $0 } }

    func machine(_ client: PulsarClientOptions) -> ProducerMachineOptions {
        ProducerMachineOptions(
            name: chosenName, initialSequenceID: initialSequenceID.map { Int64($0) },
            sendTimeout: sendTimeout == .zero ? nil : sendTimeout,
            openingTimeout: openingPatience == .unlimited ? nil : client.operationTimeout,
            isPatient: openingPatience == .unlimited, backoff: ConnectionSource.retryPolicy(client),
            maximumBytesInFlight: maximumBytesInFlight)
    }
}
