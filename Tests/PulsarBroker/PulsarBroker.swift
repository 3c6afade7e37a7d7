import Glibc
package import Logging
package import NIOCore
internal import NIOPosix
internal import OpenSSLTransport
internal import Pulsar

/// A small Pulsar broker for tests: it stores and deduplicates as the real one does, and misbehaves as it is told.
///
/// One event loop does everything, and everything below `start` belongs to it, hence `@unchecked Sendable`.
package final class PulsarBroker: @unchecked Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// What a proxy says that its broker is called.
    package static let behindProxy = "broker.behind.proxy:6650"

    package let configuration: BrokerConfiguration
    let logger: Logger
    /// Nil: the loop is somebody else's.
    private let group: MultiThreadedEventLoopGroup?
    let loop: any EventLoop
    private let tls: TLSContext?

    private(set) var authentication: BrokerAuthentication
    /// A broker that neither answers nor speaks, on connections that stay.
    private(set) var isSilent = false
    private var listeners: [BrokerListener] = []
    private(set) var connections: [Int: BrokerConnection] = [:]
    private(set) var topics: [String: Topic] = [:]
    private var partitionCounts: [String: Int]
    private var owners: [String: Int] = [:]
    private(set) var connectionsAccepted = 0
    private var sends = 0
    private var requests: [UInt64: Int] = [:]
    private var names = 0

    /// - Throws: `Failure` or `TLSError`.
    package init(_ configuration: BrokerConfiguration, logger: Logger = Logger(label: "pulsar-broker")) throws {
        self.configuration = configuration
        self.logger = logger
        authentication = configuration.authentication
        partitionCounts = configuration.partitions
        group = configuration.eventLoop == nil ? MultiThreadedEventLoopGroup(numberOfThreads: 1) : nil
        guard let loop = configuration.eventLoop ?? group?.any() else { preconditionFailure("one of the two is there") }
        self.loop = loop
        if configuration.memory == nil { try Self.makeDirectory(configuration.storeDirectory) }
        tls = try configuration.tls.map { tls in
            try Self.makeDirectory(tls.directory)
            let files = TLSIdentityFiles(
                certificateChain: "\(tls.directory)/server.pem", privateKey: "\(tls.directory)/server.key")
            let authority = Self.authorityFile(tls)
            let present = [files.certificateChain, files.privateKey, authority].allSatisfy { (path: String) in
                access(path, R_OK) == 0
            }
            if !present {
                let maker = try ThrowAwayAuthority()
                try maker.issue(names: tls.names).write(to: files)
                try maker.writeCertificate(to: authority)
            }
            return try TLSContext.server(identity: files, clientTrust: tls.clientAuthorityFile.map { .file($0) })
        }
    }

    private static func makeDirectory(_ path: String) throws {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw Failure(description: "making \(path): \(String(cString: strerror(errno)))")
        }
    }

    private static func authorityFile(_ tls: BrokerConfiguration.TLS) -> String { "\(tls.directory)/ca.pem" }

    /// PEM file of the authority that clients shall trust; nil without TLS.
    package var authorityFile: String? { configuration.tls.map(Self.authorityFile) }

    /// Listens.
    package func start() async throws {
        for number in 0..<max(1, configuration.brokers) {
            try await listen(.broker(number), number == 0 ? configuration.port : 0, tls: nil)
            if let tls {
                try await listen(.broker(number), number == 0 ? configuration.tls?.port ?? 0 : 0, tls: tls)
            }
        }
        guard configuration.hasProxy else { return }
        try await listen(.proxy, 0, tls: nil)
        if let tls { try await listen(.proxy, 0, tls: tls) }
    }

    private func listen(_ role: BrokerListener.Role, _ port: Int, tls: TLSContext?) async throws {
        let channel = try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1 << 10, initial: 1 << 16, maximum: 1 << 20)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.accept(channel, role, tls) }
            }
            .bind(host: configuration.host, port: port).get()
        try await onLoop {
            $0.listeners.append(BrokerListener(role: role, usesTLS: tls != nil, channel: channel))
        }
    }

    private func accept(_ channel: any Channel, _ role: BrokerListener.Role, _ tls: TLSContext?) throws {
        let pipeline = channel.pipeline.syncOperations
        if let tls { try pipeline.addHandler(TLSHandler(server: tls)) }
        connectionsAccepted += 1
        try pipeline.addHandler(
            BrokerConnection(id: connectionsAccepted - 1, broker: self, role: role, usesTLS: tls != nil))
    }

    /// Takes a connection to the broker of that name. On its event loop, before the channel is active.
    package func serve(_ channel: any Channel, name: String) throws {
        guard let number = configuration.names?.firstIndex(of: name) else {
            throw Failure(description: "there is no broker \(name)")
        }
        try accept(channel, .broker(number), nil)
    }

    /// As a kill would: what it still does has no effect. The owner of the channels ends them.
    ///
    /// - Parameter writes: how many of the writes of a topic that are under way reach the store.
    package func abandon(keeping writes: (_ topic: String) -> Int) {
        for (name, topic) in topics.sorted(by: { $0.key < $1.key }) { topic.abandon(keeping: writes(name)) }
    }

    /// Closes everything. Once.
    package func stop() async throws {
        let channels = try await onLoop { broker in
            for connection in Array(broker.connections.values) { connection.close() }
            defer { broker.topics = [:] }
            return broker.listeners.map(\.channel)
        }
        for channel in channels { try? await channel.close() }
        try await group?.shutdownGracefully()
    }

    func onLoop<Result: Sendable>(
        _ body: @escaping @Sendable (PulsarBroker) throws -> Result
    ) async throws -> Result {
        try await loop.submit { try body(self) }.get()
    }

    // MARK: - Where

    func url(of role: BrokerListener.Role, tls: Bool) -> String? {
        if let names = configuration.names {
            guard !tls, case .broker(let number) = role, number < names.count else { return nil }
            return "pulsar://\(names[number]):6650"
        }
        return listeners.first { $0.role == role && $0.usesTLS == tls }?.url
    }

    /// How a client reaches one of the brokers; nil when there is none such.
    package func serviceURL(broker: Int = 0, tls: Bool = false) async throws -> String? {
        try await onLoop { $0.url(of: .broker(broker), tls: tls) }
    }

    package func proxyURL(tls: Bool = false) async throws -> String? {
        try await onLoop { $0.url(of: .proxy, tls: tls) }
    }

    func owner(of topic: String) -> Int { owners[topic] ?? 0 }

    func setOwner(of topic: String, _ broker: Int) { owners[topic] = broker }

    // MARK: - Topics

    func partitions(of topic: String) -> Int {
        func count(_ name: String) -> Int { partitionCounts[name] ?? configuration.defaultPartitions }
        if let mark = topic.lastRange(of: "-partition-"), let index = Int(topic[mark.upperBound...]),
            index < count(String(topic[..<mark.lowerBound]))
        {
            return 0
        }
        return count(topic)
    }

    func topic(_ name: String) throws -> Topic {
        if let topic = topics[name] { return topic }
        let topic = try Topic(
            name: name, directory: configuration.storeDirectory, memory: configuration.memory,
            deduplicates: configuration.deduplicates
        ) { [weak self] topic in
            self?.producers(of: topic.name) { $0.closeProducer($1, assigned: nil) }
        }
        topics[name] = topic
        return topic
    }

    func forget(_ subscription: Subscription) {
        subscription.topic.subscriptions = subscription.topic.subscriptions.filter { $0.value !== subscription }
    }

    /// Unique also among brokers that ran on the same store before.
    func newProducerName() -> String {
        names += 1
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return "test-\(now.tv_sec)\(now.tv_nsec)-\(names)"
    }

    // MARK: - Connections

    func opened(_ connection: BrokerConnection) { connections[connection.id] = connection }

    func closed(_ connection: BrokerConnection) {
        connections[connection.id] = nil
        let left = connection.inOrder.map { (connection.key($0.id), $0.topic) }
        guard configuration.disconnectNotice > .zero else {
            for (key, topic) in left { leave(key, topic) }
            return
        }
        loop.assumeIsolated().scheduleTask(in: configuration.disconnectNotice) { [weak self] in
            for (key, topic) in left { self?.leave(key, topic) }
        }
    }

    func leave(_ key: ProducerAdmission.Key, _ topic: Topic) {
        guard let next = topic.admission.leave(key) else { return }
        connections[next.request.key.connection]?
            .promote(next.request.key.producerID, topicEpoch: next.topicEpoch)
    }

    func fence(_ key: ProducerAdmission.Key) { connections[key.connection]?.fence(key.producerID) }

    // MARK: - Faults

    func fault(_ command: SendCommand, _ payload: FramePayload, _ producer: BrokerProducer) -> SendFault? {
        defer { sends += 1 }
        return configuration.onSend?(
            BrokerSend(
                number: sends, topic: producer.topic.name, producerName: producer.name, command: command,
                payload: payload))
    }

    func fault(_ command: Command, _ connection: Int) -> RequestFault? {
        let number = requests[command.type, default: 0]
        requests[command.type] = number + 1
        return configuration.onRequest?(BrokerRequest(number: number, command: command, connection: connection))
    }

    /// Whom it lets in from now on.
    package func setAuthentication(_ authentication: BrokerAuthentication) async throws {
        try await onLoop { $0.authentication = authentication }
    }

    /// From now on; a topic only ever gets more partitions.
    package func setPartitions(of topic: String, _ count: Int) async throws {
        try await onLoop { $0.setPartitionCount(of: topic, count) }
    }

    func setPartitionCount(of topic: String, _ count: Int) { partitionCounts[topic] = count }

    /// While silent, the broker reads and says nothing; what came meanwhile is lost.
    package func setSilent(_ isSilent: Bool) async throws { try await onLoop { $0.isSilent = isSilent } }
}

extension String {
    func lastRange(of part: String) -> Range<Index>? {
        var found: Range<Index>?
        var start = startIndex
        while let range = self[start...].firstRange(of: part) {
            found = range
            start = range.upperBound
        }
        return found
    }
}
