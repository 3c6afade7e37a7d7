public import Logging
public import NIOCore
public import NIOPosix
import Synchronization

/// The way to a Pulsar cluster, which the producers made with it share.
///
/// ```swift
/// let client = try PulsarClient(serviceURL: "pulsar+ssl://broker-1,broker-2", authentication: .tokenFile(path))
/// // producers
/// await client.close()
/// ```
///
/// It connects when it is first used. Its methods may be called from any task. A client that is dropped without `close`
/// ends its connections too, once its producers are gone.
public final class PulsarClient: Sendable {
    /// Where the cluster is reached.
    public let serviceURL: ServiceURL
    package let options: PulsarClientOptions
    package let source: ConnectionSource
    package let eventLoopGroup: any EventLoopGroup
    package let logger: Logger

    private struct State {
        var ends: [UInt64: @Sendable () async -> Void] = [:]
        var nextID: UInt64 = 0
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Nothing is sent yet; files of TLS are read.
    ///
    /// - Parameters:
    ///   - serviceURL: `pulsar://host[:port]`, or `pulsar+ssl://host[:port]` for TLS; further hosts behind commas.
    ///   - authentication: who this client is; nobody by default.
    ///   - options: deadlines, TLS and the like.
    ///   - eventLoopGroup: where connections run; the process-wide group by default.
    ///   - logger: gets connections made and lost, and what is tried again, at level debug.
    /// - Throws: `PulsarError` with code `invalidServiceURL` or `invalidConfiguration`.
    public init(
        serviceURL: String, authentication: PulsarAuthentication = .none,
        options: PulsarClientOptions = PulsarClientOptions(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "Pulsar")
    ) throws(PulsarError) {
        try options.check()
        self.serviceURL = try ServiceURL(serviceURL)
        try Self.check(authentication, self.serviceURL, options.tls)
        self.options = options
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
        var authentication = authentication
        authentication.executor = options.environment.executor
        source = try ConnectionSource(self.serviceURL, options, authentication, eventLoopGroup, logger)
    }

    deinit { source.pool.drop() }

    /// A certificate can be a credential only where there is TLS, and one to show.
    private static func check(
        _ authentication: PulsarAuthentication, _ url: ServiceURL, _ tls: PulsarTLS
    ) throws(PulsarError) {
        guard authentication.methodName == PulsarAuthentication.tls.methodName else { return }
        guard url.usesTLS else {
            throw PulsarError(
                .invalidConfiguration,
                "the client is to be known by its certificate, but the service URL has no TLS:"
                    + " begin it with pulsar+ssl://")
        }
        guard tls.clientCertificate != nil || tls.customContext != nil else {
            throw PulsarError(
                .invalidConfiguration,
                "the client is to be known by its certificate, but tls.clientCertificate names none")
        }
    }

    /// Closes the producers made with this client, without sending what they still hold, and then its connections. Closing
    /// again does nothing.
    public func close() async {
        let ends = state.withLock { state in
            defer { state.ends = [:] }
            state.isClosed = true
            return Array(state.ends.values)
        }
        await withTaskGroup(of: Void.self) { group in
            for end in ends { group.addTask { await end() } }
        }
        try? await source.close().get()
    }

    // MARK: For producers

    /// A number that no other producer of this client has.
    package func makeProducerID() -> UInt64 {
        state.withLock { state in
            state.nextID += 1
            return state.nextID - 1
        }
    }

    /// Has `end` called when the client is closed; it should not keep the producer alive by itself.
    ///
    /// - Parameter id: from `makeProducerID`.
    /// - Throws: `PulsarError` with code `alreadyClosed`.
    package func register(_ id: UInt64, _ end: @escaping @Sendable () async -> Void) throws(PulsarError) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.ends[id] = end }
            return state.isClosed
        }
        guard !isClosed else { throw PulsarError(.alreadyClosed, "the client is closed; make a new one") }
    }

    package func unregister(_ id: UInt64) { state.withLock { _ = $0.ends.removeValue(forKey: id) } }
}
