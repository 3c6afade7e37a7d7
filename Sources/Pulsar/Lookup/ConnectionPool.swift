package import Logging
package import NIOCore
internal import OpenSSLTransport
import Synchronization
package import Transports

/// The connections of a client: up to `connectionsPerBroker` to each broker, made when first wanted.
package final class ConnectionPool: Sendable {
    private struct Key: Hashable {
        var address: BrokerAddress
        var index: Int
    }

    private struct Entry {
        var connection: EventLoopFuture<PulsarConnection>
        /// Nil while it is being made.
        var open: PulsarConnection?
        /// Tells this entry from a later one with the same key.
        var number: Int
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var next = 0
        var isClosed = false
    }

    private let options: PulsarClientOptions
    private let authentication: PulsarAuthentication
    private let tls: TLSContext?
    private let group: any EventLoopGroup
    private let logger: Logger
    private let state = Mutex(State())

    /// Addresses that connections are kept for; brokers name them, so there is an end to it.
    private static let limit = 10_000

    /// - Parameter usesTLS: whether the client's URL asks for it: only then are certificates and keys read.
    package init(
        usesTLS: Bool, _ options: PulsarClientOptions, _ authentication: PulsarAuthentication,
        _ group: any EventLoopGroup, _ logger: Logger
    ) throws(PulsarError) {
        self.options = options
        self.authentication = authentication
        self.group = group
        self.logger = logger
        tls = usesTLS ? try options.tls.makeContext() : nil
    }

    /// A connection that is open, or was a moment ago. Fails with `PulsarError`.
    package func connection(to address: BrokerAddress) -> EventLoopFuture<PulsarConnection> {
        let loop = group.next()
        let promise = loop.makePromise(of: PulsarConnection.self)
        let (key, number, known) = state.withLock {
            state -> (Key, Int, Result<EventLoopFuture<PulsarConnection>, PulsarError>?) in
            state.next += 1
            let key = Key(address: address, index: state.next % options.connectionsPerBroker)
            if state.isClosed { return (key, 0, .failure(PulsarError(.alreadyClosed, "the client is closed"))) }
            if let entry = state.entries[key] { return (key, 0, .success(entry.connection)) }
            guard state.entries.count < Self.limit else {
                let error = PulsarError(.tooManyLookups, "the client has \(Self.limit) connections; no more are made")
                return (key, 0, .failure(error))
            }
            state.entries[key] = Entry(connection: promise.futureResult, number: state.next)
            return (key, state.next, nil)
        }
        switch known {
        case .failure(let error)?: promise.fail(error)
        case .success(let connection)?:
            connection.map { connection in
                connection.touch()
                return connection
            }.cascade(to: promise)
        case nil:
            open(address, on: loop).whenComplete { result in
                switch result {
                case .failure: self.remove(key, number)
                case .success(let connection):
                    // The client may have been closed meanwhile.
                    let isClosed = self.state.withLock { state in
                        if state.entries[key]?.number == number { state.entries[key]?.open = connection }
                        return state.isClosed
                    }
                    connection.closeFuture.whenComplete { _ in self.remove(key, number) }
                    if isClosed { connection.close(Self.closed) }
                }
                promise.completeWith(result)
            }
        }
        return promise.futureResult
    }

    private static var closed: PulsarError { PulsarError(.alreadyClosed, "the client was closed") }

    private func remove(_ key: Key, _ number: Int) {
        state.withLock { if $0.entries[key]?.number == number { $0.entries[key] = nil } }
    }

    private func open(_ address: BrokerAddress, on loop: any EventLoop) -> EventLoopFuture<PulsarConnection> {
        if address.usesTLS, tls == nil {
            return loop.makeFailedFuture(
                PulsarError(
                    .invalidConfiguration, "\(address) wants TLS; begin the service URL with pulsar+ssl:// to use it"))
        }
        let route = route(to: address.host, usesTLS: address.usesTLS)
        var configuration = ConnectionMachine.Configuration(place: address.description)
        configuration.proxyToBroker = address.isProxied ? address.broker.description : nil
        configuration.connectionTimeout = TimeAmount(options.connectionTimeout)
        configuration.authenticationTimeout = TimeAmount(options.authenticationTimeout)
        configuration.keepAliveInterval = TimeAmount(options.keepAliveInterval)
        configuration.idleTimeout = options.idleConnectionTimeout.map { TimeAmount($0) }
        configuration.lookupLimit = options.maximumConcurrentLookups
        return PulsarConnection.open(
            route, address: address, configuration, authentication, on: loop, logger: logger)
    }

    /// The way to a broker.
    package func route(to host: ServiceURL.Host, usesTLS: Bool) -> Route {
        var route = Route(host: host.name, port: host.port, tls: usesTLS ? tls : nil)
        route.connector = options.environment.connector
        route.connectTimeout = options.connectionTimeout
        route.handshakeTimeout = options.connectionTimeout
        return route
    }

    package var isClosed: Bool { state.withLock { $0.isClosed } }
    /// Connections that are open or being made.
    package var count: Int { state.withLock { $0.entries.count } }

    /// Ends all connections, and makes none any more. Completes when the open ones are gone; those that are being made end
    /// as soon as they are.
    @discardableResult
    package func close() -> EventLoopFuture<Void> {
        EventLoopFuture.andAllComplete(drop().map(\.closeFuture), on: group.next())
    }

    /// As `close`, without waiting. Where no connection is open, the event loops are left alone: they may have been shut down
    /// since.
    @discardableResult
    package func drop() -> [PulsarConnection] {
        let connections = state.withLock { state in
            state.isClosed = true
            return state.entries.values.sorted { $0.number < $1.number }.compactMap(\.open)
        }
        for connection in connections { connection.close(Self.closed) }
        return connections
    }
}
