package import AMQP
import EventHubs
import Glibc
package import Logging
package import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization
package import TailraceSpool

/// An Event Hubs compatible server for laptops, demos and tests.
///
/// Producers send to `<hub>` and `<hub>/Partitions/N`, receivers read `<hub>/ConsumerGroups/<any>/Partitions/N`; `$cbs`
/// and `$management` work as the service's. A message is accepted when its partition's spool has it. AMQP and AMQP over
/// WebSocket are served on the same port.
package final class LocalHub: Sendable {
    package let configuration: LocalHubConfiguration
    let logger: Logger
    let partitions: [HubPartition]
    let receivers: ReceiverRegistry
    /// Reads partitions, so that event loops need not wait for disks.
    let readers: NIOThreadPool?
    let containerID: String
    /// Milliseconds since 1970.
    let createdAt: Int64

    private let batches: BatchPool
    private let group: MultiThreadedEventLoopGroup?
    private let tls: TLSContext?
    private let temporary: HubDirectory
    /// PEM file with the authority that clients shall trust; nil without TLS.
    package let authorityFile: String?
    private let state = Mutex(State())
    private let rotation = Atomic<Int>(0)
    private let deliveries = Atomic<Int>(0)
    private let attaches = Atomic<Int>(0)
    private let tokens = Atomic<Int>(0)

    private struct State {
        var channel: (any Channel)?
        /// In the order in which they came, and in which all of them are told something.
        var connections: [HubConnection] = []
        var accepted = 0
        var isStopped = false
    }

    /// Opens the partitions and makes the certificates; `start` listens.
    ///
    /// - Throws: `LocalHubError`, `SpoolError` or `TLSError`, saying what to change.
    package init(_ configuration: LocalHubConfiguration, logger: Logger) throws {
        guard (1...LocalHubConfiguration.maximumPartitions).contains(configuration.partitionCount) else {
            throw LocalHubError("a hub has 1 to \(LocalHubConfiguration.maximumPartitions) partitions")
        }
        guard !configuration.hubName.isEmpty, !configuration.hubName.contains("/") else {
            throw LocalHubError("\"\(configuration.hubName)\" is no name of a hub: it is empty or contains a slash")
        }
        guard (1...LocalHubConfiguration.maximumProducers).contains(configuration.producerLimit) else {
            throw LocalHubError("a partition remembers 1 to \(LocalHubConfiguration.maximumProducers) producers")
        }
        self.configuration = configuration
        self.logger = logger
        let temporary = try HubDirectory()
        self.temporary = temporary
        let environment = configuration.environment
        createdAt = environment.clocks.wallMilliseconds()
        containerID = "tailrace-hub-\(AMQPUUID())"
        let store = try configuration.storeDirectory ?? temporary.path("store")
        if environment.hasThreads { try HubDirectory.make(store) } else { _ = environment.disk.makeDirectory(store) }
        partitions = try (0..<configuration.partitionCount).map {
            try HubPartition(
                index: $0, directory: "\(store)/partition-\($0)", configuration: configuration, logger: logger)
        }
        if configuration.isPlain {
            tls = nil
            authorityFile = nil
        } else {
            let directory = try configuration.certificateDirectory ?? temporary.path("certificates")
            try HubDirectory.make(directory)
            let files = TLSIdentityFiles(
                certificateChain: "\(directory)/server.pem", privateKey: "\(directory)/server.key")
            let authority = "\(directory)/ca.pem"
            let present = [files.certificateChain, files.privateKey, authority].filter { (path: String) in
                access(path, R_OK) == 0
            }
            if present.count < 3 {
                let maker = try ThrowAwayAuthority()
                try maker.issue(names: configuration.certificateNames).write(to: files)
                try maker.writeCertificate(to: authority)
            }
            authorityFile = authority
            tls = try TLSContext.server(identity: files)
        }
        receivers = ReceiverRegistry(limit: configuration.receiverLimit)
        batches = BatchPool(blockCapacity: EventMessage.copyLimit, limit: 32)
        guard environment.hasThreads else {
            (group, readers) = (nil, nil)
            return
        }
        group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, configuration.threads))
        readers = NIOThreadPool(numberOfThreads: 1)
        readers?.start()
    }

    /// Listens. Returns the port.
    package func start() async throws -> Int {
        guard let group else { preconditionFailure("a hub without threads is given its connections") }
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1 << 10, initial: 1 << 16, maximum: 1 << 18)
            )
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.serve(channel) }
            }
        let channel = try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
        state.withLock { $0.channel = channel }
        retryNowAndThen(channel.eventLoop)
        return port
    }

    /// Puts the hub's handlers on a client's channel. On its event loop.
    package func serve(_ channel: any Channel) throws {
        if let tls { try channel.pipeline.syncOperations.addHandler(TLSHandler(server: tls)) }
        try channel.pipeline.syncOperations.addHandler(
            HubFrontDoor(timeout: configuration.firstBytesTimeout) {
                self.admit(HubConnection(hub: self, eventLoop: channel.eventLoop))
            })
    }

    /// A client that speaks AMQP, in whatever wrapping.
    private func admit(_ connection: HubConnection) -> any ChannelHandler {
        state.withLock {
            $0.connections.append(connection)
            $0.accepted += 1
        }
        return connection.makeHandler()
    }

    /// What a full spool refused is tried again when the disk limit may have moved.
    private func retryNowAndThen(_ loop: any EventLoop) {
        loop.scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(100)) { task in
            if self.state.withLock({ $0.isStopped }) { task.cancel() }
            for partition in self.partitions { partition.retry() }
        }
    }

    /// Where it listens; 0 before `start`.
    package var port: Int { state.withLock { $0.channel?.localAddress?.port } ?? 0 }

    /// What a client is given. The port is part of the endpoint.
    package var connectionString: String {
        let host = configuration.host == "0.0.0.0" || configuration.host == "::" ? "localhost" : configuration.host
        let name = host.contains(":") ? "[\(host)]" : host
        var text = "Endpoint=sb://\(name):\(port);SharedAccessKeyName=\(configuration.sharedAccessKeyName)"
        text += ";SharedAccessKey=\(configuration.sharedAccessKey);EntityPath=\(configuration.hubName)"
        if configuration.isPlain { text += ";UseDevelopmentEmulator=true" }
        return text
    }

    /// Closes every connection, stores what was taken, and gives the directories back. Idempotent.
    package func stop() async {
        let (channel, connections) = state.withLock { state -> ((any Channel)?, [HubConnection]) in
            guard !state.isStopped else { return (nil, []) }
            state.isStopped = true
            return (state.channel, state.connections)
        }
        guard !wasStopped.exchange(true, ordering: .relaxed) else { return }
        try? await channel?.close()
        for connection in connections {
            connection.eventLoop.execute {
                connection.handler?.dropTransport(AMQPError(AMQPCondition.connectionForced, "the hub stops"))
            }
        }
        try? await readers?.shutdownGracefully()
        // The spools first: their threads call the event loops.
        for partition in partitions { partition.close() }
        try? await group?.shutdownGracefully()
        temporary.remove()
    }

    private let wasStopped = Atomic<Bool>(false)

    /// Listens until the task is cancelled, then stops.
    package func run() async throws {
        _ = try await start()
        do {
            while true { try await Task.sleep(for: .seconds(3600)) }
        } catch {
            await stop()
        }
    }

    // MARK: - Without threads

    /// Does a piece of the partitions' work: for an environment without threads.
    package func step() -> StepResult<UInt64> {
        var earliest: UInt64?
        for partition in partitions {
            switch partition.step() {
            case .again: return .again
            case .wait(let until?): earliest = min(earliest ?? until, until)
            case .wait(nil), .ended: break
            }
        }
        return .wait(until: earliest)
    }

    /// Lets the partitions go as a kill would. The owner of the channels ends them.
    package func abandon() {
        for partition in partitions { partition.abandon() }
    }

    /// Calls `body` with the bodies of the events that a partition holds from `sequence` on, and returns where they end.
    /// Reads from disk: not on an event loop.
    ///
    /// - Throws: `SpoolError`; `AMQPCodecError` for an event that is no message.
    package func forEachBody(
        _ partition: Int, from sequence: UInt64, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws -> UInt64 {
        let reader = try partitions[partition].reader(from: sequence)
        var end = sequence
        while let frame = try reader.next() {
            for index in frame.startIndex..<frame.recordCount {
                try HubStore.forEachData(of: ByteBuffer(bytes: frame.body(index)), body)
            }
            end = frame.endSequence
        }
        return end
    }

    // MARK: - For tests and demos

    package var statistics: LocalHubStatistics {
        let (connections, accepted) = state.withLock { ($0.connections.count, $0.accepted) }
        return LocalHubStatistics(
            partitions: partitions.map(\.statistics), connections: connections, connectionsAccepted: accepted)
    }

    /// Cuts every connection without a word.
    package func dropConnections() { forAll { $0.handler?.dropTransport() } }

    /// Says goodbye to every connection.
    package func closeConnections(_ error: AMQPError) { forAll { $0.handler?.close(error) } }

    /// Detaches every producer and receiver.
    package func detachLinks(_ error: AMQPError) { forAll { $0.detachAll(error) } }

    /// Ends the session of every producer and receiver.
    package func endSessions(_ error: AMQPError) { forAll { $0.endAllSessions(error) } }

    /// Gives producers whose credit is withheld this much.
    package func grantCredit(_ credit: UInt32) { forAll { $0.grantCredit(credit) } }

    /// Answers what was held back.
    package func releaseHeld() { forAll { $0.releaseHeld() } }

    private func forAll(_ body: @escaping @Sendable (HubConnection) -> Void) {
        for connection in state.withLock({ $0.connections }) {
            connection.eventLoop.execute { body(connection) }
        }
    }

    // MARK: - For connections

    /// Milliseconds since 1970.
    var now: Int64 { configuration.environment.clocks.wallMilliseconds() }

    func closed(_ connection: HubConnection) {
        state.withLock { $0.connections.removeAll { $0 === connection } }
    }

    /// The partition of a message without partition: by key as the service does, else in turn.
    func route(_ key: String?) -> Int {
        guard let key else {
            return (rotation.wrappingAdd(1, ordering: .relaxed).oldValue & Int.max) % partitions.count
        }
        return PartitionKeyHash.service.index(of: key, partitionCount: partitions.count)
    }

    /// A batch for a message; a pooled one when there is one.
    func takeBatch() -> RecordBatch { batches.take() ?? RecordBatch(capacity: EventMessage.copyLimit) }

    func fault(_ delivery: HubDelivery) -> HubFault? {
        let number = deliveries.wrappingAdd(1, ordering: .relaxed).oldValue
        guard let onDelivery = configuration.onDelivery else { return nil }
        var delivery = delivery
        delivery.number = number
        return onDelivery(delivery)
    }

    func fault(_ attach: HubAttach) -> HubAttachFault? {
        let number = attaches.wrappingAdd(1, ordering: .relaxed).oldValue
        guard let onAttach = configuration.onAttach else { return nil }
        var attach = attach
        attach.number = number
        return onAttach(attach)
    }

    func tokenFault() -> HubTokenFault? {
        configuration.onToken?(tokens.wrappingAdd(1, ordering: .relaxed).oldValue)
    }
}
