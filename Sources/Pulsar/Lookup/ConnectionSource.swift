package import Logging
package import NIOCore
package import Producing

/// Answers two questions about a topic: how many partitions it has, and which connection leads to its broker. Section 3.2
/// of the protocol notes.
///
/// What may pass is tried again, on the next host of the service URL and with growing waits, until `operationTimeout` is
/// over. Then the last failure is the answer. Everything fails with `PulsarError`.
package final class ConnectionSource: Sendable {
    package let pool: ConnectionPool
    private let hosts: ServiceHosts
    private let options: PulsarClientOptions
    private let authentication: PulsarAuthentication
    private let group: any EventLoopGroup
    private let logger: Logger

    /// A broker that says more is not believed: each partition costs a producer.
    package static let partitionLimit: UInt32 = 100_000

    package init(
        _ url: ServiceURL, _ options: PulsarClientOptions, _ authentication: PulsarAuthentication,
        _ group: any EventLoopGroup, _ logger: Logger, firstHost: Int? = nil
    ) throws(PulsarError) {
        hosts = ServiceHosts(url, first: firstHost, using: options.environment.dice)
        pool = try ConnectionPool(usesTLS: url.usesTLS, options, authentication, group, logger)
        self.options = options
        self.authentication = authentication
        self.group = group
        self.logger = logger
    }

    /// The waits between attempts.
    package static func retryPolicy(_ options: PulsarClientOptions) -> RetryPolicy {
        RetryPolicy(first: options.initialBackoff, cap: options.maximumBackoff, jitter: .shortened(0.1))
    }

    // MARK: Questions

    /// The number of partitions; 0: the topic has none, and is produced to as it is.
    package func partitions(of topic: TopicName) -> EventLoopFuture<Int> {
        // A partition has none, and a broker that makes partitions by itself would make some of it.
        if topic.partitionIndex != nil { return group.next().makeSucceededFuture(0) }
        return persistently("the number of partitions of \(topic)", hosts) { host, deadline in
            let address = BrokerAddress(host, usesTLS: self.hosts.url.usesTLS)
            let connection = try await self.connect(address, deadline)
            let answer = try await connection.partitions(topic, deadline: deadline).get()
            guard answer.response ?? .success == .success, answer.error == nil else {
                throw PulsarError(answer.error, answer.message, doing: "asking for the partitions of \(topic)")
            }
            guard let partitions = answer.partitions, partitions <= Self.partitionLimit else {
                throw PulsarError(
                    .lookupFailed,
                    "\(address) says that \(topic) has \(answer.partitions.map { "\($0)" } ?? "no number of") partitions;"
                        + " at most \(Self.partitionLimit) are believed")
            }
            return Int(partitions)
        }
    }

    /// A connection to the broker that serves `topic`, which must be one without partitions, or one partition.
    ///
    /// - Parameter url: another cluster than the client's own, which the topic has moved to; nil: the client's own.
    package func connection(owning topic: TopicName, in url: ServiceURL? = nil) -> EventLoopFuture<PulsarConnection> {
        let hosts = url.map { ServiceHosts($0, using: options.environment.dice) } ?? hosts
        return persistently("the broker of \(topic)", hosts) { host, deadline in
            let address = try await self.find(topic, through: host, hosts.url.usesTLS, deadline)
            return try await self.connect(address, deadline)
        }
    }

    /// A connection to a broker that is known.
    package func connection(to address: BrokerAddress) -> EventLoopFuture<PulsarConnection> {
        pool.connection(to: address)
    }

    /// Where a broker sent a producer that it gave up: the assigned broker of CLOSE_PRODUCER. Nil: it named none that can be
    /// used, so look the topic up.
    ///
    /// - Parameter previous: the broker that spoke; when it stands behind a proxy, so does the next one.
    package func assigned(
        _ command: CloseProducerCommand, from previous: BrokerAddress
    ) -> BrokerAddress? {
        let text = previous.usesTLS ? command.assignedBrokerServiceURLTLS : command.assignedBrokerServiceURL
        guard let text, let url = try? ServiceURL(text), url.usesTLS == previous.usesTLS else { return nil }
        return BrokerAddress(url.hosts[0], through: previous.isProxied ? previous.host : nil, usesTLS: url.usesTLS)
    }

    /// The cluster that a topic has moved to; nil: TOPIC_MIGRATED named none that can be used.
    package func cluster(_ command: TopicMigratedCommand) -> ServiceURL? {
        let usesTLS = hosts.url.usesTLS
        let text = usesTLS ? command.brokerServiceURLTLS : command.brokerServiceURL
        guard let text, let url = try? ServiceURL(text), url.usesTLS == usesTLS else { return nil }
        return url
    }

    /// Ends everything; what is asked for afterwards fails with `alreadyClosed`.
    @discardableResult
    package func close() -> EventLoopFuture<Void> { pool.close() }

    // MARK: The way there

    private func connect(_ address: BrokerAddress, _ deadline: NIODeadline) async throws -> PulsarConnection {
        try await Deadline.get(pool.connection(to: address), until: deadline) {
            PulsarError(.timeout, "no connection to \(address) in time")
        }
    }

    /// Asks, and asks whom it is sent to.
    private func find(
        _ topic: TopicName, through host: ServiceURL.Host, _ usesTLS: Bool, _ deadline: NIODeadline
    ) async throws -> BrokerAddress {
        var address = BrokerAddress(host, usesTLS: usesTLS)
        var isAuthoritative = false
        for _ in 0...options.maximumLookupRedirects {
            let connection = try await connect(address, deadline)
            let answer = try await connection.lookup(
                topic, authoritative: isAuthoritative, listenerName: options.listenerName, deadline: deadline
            ).get()
            guard let response = answer.response, response == .connect || response == .redirect, answer.error == nil
            else {
                throw PulsarError(answer.error, answer.message, doing: "looking up \(topic) on \(address)")
            }
            let next = try broker(answer, asked: address, through: host, usesTLS)
            if response == .connect { return next }
            address = next
            isAuthoritative = answer.authoritative ?? false
        }
        throw PulsarError(
            .tooManyLookups,
            "the brokers sent the lookup of \(topic) on more than \(options.maximumLookupRedirects) times; check their"
                + " advertised addresses")
    }

    private func broker(
        _ answer: LookupResponseCommand, asked: BrokerAddress, through host: ServiceURL.Host, _ usesTLS: Bool
    ) throws(PulsarError) -> BrokerAddress {
        let kind = usesTLS ? "with TLS" : "without TLS"
        let remedy =
            "check the broker's advertised addresses\(options.listenerName.map { " for the listener \($0)" } ?? "")"
        guard let text = usesTLS ? answer.brokerServiceURLTLS : answer.brokerServiceURL, !text.isEmpty else {
            throw PulsarError(.lookupFailed, "\(asked) names no address \(kind) for the topic's broker; \(remedy)")
        }
        let url: ServiceURL
        do throws(PulsarError) {
            url = try ServiceURL(text)
        } catch {
            throw PulsarError(.lookupFailed, "\(asked) gives the topic's broker an address of no use: \(error.message)")
        }
        guard url.usesTLS == usesTLS else {
            throw PulsarError(
                .lookupFailed, "\(asked) gives \(url) as the broker's address \(kind), which it is not; \(remedy)")
        }
        return BrokerAddress(
            url.hosts[0], through: answer.proxyThroughServiceURL == true ? host : nil, usesTLS: usesTLS)
    }

    // MARK: Persistence

    private func persistently<Value: Sendable>(
        _ what: String, _ hosts: ServiceHosts,
        _ attempt: @escaping @Sendable (ServiceURL.Host, NIODeadline) async throws -> Value
    ) -> EventLoopFuture<Value> {
        let limit = TimeAmount(options.operationTimeout)
        let loop = group.next()
        let deadline = loop.now + limit
        return loop.makeFuture(on: options.environment.executor) {
            var failures = 0
            var hasFreshCredentials = !self.authentication.canRenew
            while true {
                let host = hosts.host
                do {
                    return try await attempt(host, deadline)
                } catch {
                    var error = PulsarError(any: error, .unknown)
                    // Whatever became of it then.
                    if self.pool.isClosed { throw PulsarError(.alreadyClosed, "the client was closed") }
                    if error.code == .authenticationFailed, !hasFreshCredentials {
                        // What was kept is dropped: the next attempt has new ones.
                        hasFreshCredentials = true
                        continue
                    }
                    guard error.mayPass else { throw error }
                    failures += 1
                    hosts.failed(host)
                    let delay = self.delay(failures, hosts.count)
                    guard loop.now + TimeAmount(delay) < deadline else {
                        error.message =
                            "\(what) could not be found out in \(limit.text), tried \(failures)"
                            + " \(failures == 1 ? "time" : "times"); the last time: \(error.message)"
                        throw error
                    }
                    self.logger.debug(
                        "\(error); tried again", metadata: ["delay": "\(TimeAmount(delay).text)", "host": "\(host)"])
                    if delay > .zero { try await loop.sleep(for: delay) }
                }
            }
        }
    }

    /// Every host is tried once before there is a wait.
    private func delay(_ failures: Int, _ hosts: Int) -> Duration {
        guard failures % hosts == 0 else { return .zero }
        var dice = options.environment.dice
        return Self.retryPolicy(options).delay(afterFailures: failures / hosts, suggested: nil, using: &dice)
    }
}
