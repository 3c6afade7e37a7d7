/// How a client connects and how long it waits. Every step has a deadline.
public struct EventHubsOptions: Sendable {
    /// Name resolution and TCP.
    public var connectTimeout: Duration = .seconds(10)
    /// TLS, SASL and the AMQP opening together.
    public var handshakeTimeout: Duration = .seconds(20)
    /// Beginning a session and attaching a link.
    public var attachTimeout: Duration = .seconds(20)
    /// Getting a token, where it is not made here, and putting it on `$cbs`: both together, each time that is done. It
    /// does not count as connecting or attaching. Zero: no limit but the token provider's own.
    public var authorizationTimeout: Duration = .seconds(30)
    /// One question to `$management`.
    public var requestTimeout: Duration = .seconds(30)
    /// One attempt to send a batch, from the call to the service's answer, with connecting and attaching where needed.
    public var sendTimeout: Duration = .seconds(60)
    /// A connection on which nothing arrived for this long is given up; the service sends empty frames to prevent it.
    public var idleTimeout: Duration = .seconds(60)
    /// For tokens made from a key, in whole seconds, at least one; they are renewed when 80 % of it has passed.
    public var tokenLifetime: Duration = .seconds(3600)
    /// A PEM file with the only certificates to trust; nil: the system's store.
    public var caFile: String?
    public var retries = RetryOptions()
    /// Put before the product in the connection's `user-agent`; the whole has at most 512 characters.
    public var userAgent: String?

    public init() {}

    /// Ten years: longer lifetimes are shortened to it.
    static let longestTokenSeconds: Int64 = 315_360_000
    var tokenSeconds: Int64 { min(max(1, tokenLifetime.components.seconds), Self.longestTokenSeconds) }

    /// How often and when `EventHubProducerClient.send` tries again.
    public struct RetryOptions: Sendable {
        /// Attempts after the first.
        public var maximumRetries = 3
        /// Before the first retry; doubled for each one after it. The service's own wish (four seconds when it
        /// throttles) is a lower limit.
        public var delay: Duration = .milliseconds(800)
        /// No wait of ours is longer.
        public var maximumDelay: Duration = .seconds(60)

        public init() {}
    }
}
