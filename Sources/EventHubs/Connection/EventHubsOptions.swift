import Glibc

/// How a client connects and how long it waits. Every step has a deadline.
public struct EventHubsOptions: Sendable {
    /// How AMQP reaches the service; plain TCP with TLS by default.
    public var transport = Transport.amqp
    /// Nil: connections are made directly.
    public var proxy: EventHubsProxy?
    /// Where to connect instead of the namespace itself: `sb://host[:port]` or `host[:port]`, such as an application
    /// gateway or a private endpoint. Without a port: the transport's default. The certificate must bear this host's name
    /// (which is also the `Host` of a WebSocket), while AMQP and tokens keep naming the namespace. Nil: the namespace.
    public var customEndpoint: String?
    /// Whom to believe, and what to show; not used by `UseDevelopmentEmulator=true`, which is plain TCP.
    public var tls = EventHubsTLS()
    /// Name resolution and TCP; `socketTimeout` shortens it.
    public var connectTimeout: Duration = .seconds(10)
    /// Proxy, TLS and WebSocket together; and once more for SASL and the AMQP opening.
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
    /// How long the network may leave sent bytes unacknowledged before the connection is given up (the kernel's
    /// `TCP_USER_TIMEOUT`, in whole milliseconds), and how long connecting may take at most. Nil: the kernel's patience of
    /// some 15 minutes, in which `idleTimeout` and `sendTimeout` still find a dead connection.
    public var socketTimeout: Duration?
    /// A connection on which nothing arrived for this long is given up; the service is told, in milliseconds, and sends
    /// empty frames to prevent it. At least 1 ms.
    public var idleTimeout: Duration = .seconds(60)
    /// For tokens made from a key, in whole seconds, at least one; they are renewed when 80 % of it has passed.
    public var tokenLifetime: Duration = .seconds(3600)
    /// How often and when what failed is tried again.
    public var retries = RetryOptions()
    /// Numbers what `EventHubProducerClient` sends, so that the service stores no event twice when a send is tried again;
    /// false by default. Every send then needs a partition id, batches go to a partition one after the other, and the
    /// namespace must offer it (`notSupported`). A buffered client has `BufferingOptions.isIdempotent`.
    public var isIdempotent = false
    /// With idempotent publishing: how it begins, by partition id. Empty by default: as new producers.
    public var partitionPublishing: [String: PartitionPublishingOptions] = [:]
    /// Put before the product in the connection's `user-agent`. The whole has at most 512 characters: what is longer is
    /// refused when a client is made.
    public var userAgent: String?

    /// Logs every AMQP frame at level debug, one line with its fields each. Payloads appear as a number of bytes; tokens,
    /// keys and SASL answers never do.
    public var logsFrames = false

    /// The machine's clock: seconds since 1970. Tokens are made and judged by it.
    package var wallSeconds: @Sendable () -> Int64 = { Int64(time(nil)) }

    /// Where its tasks run; nil: on the usual threads.
    package var executor: (any TaskExecutor)?

    public init() {}

    /// What AMQP travels over.
    public enum Transport: Hashable, Sendable {
        /// TCP with TLS; port 5671 unless the endpoint names one (5672, without TLS, for the emulator).
        case amqp
        /// WebSocket over TLS, with the sub-protocol `AMQPWSB10`, at the path `/$servicebus/websocket`; port 443 unless the
        /// endpoint names one (80, without TLS, for the emulator).
        case webSocket
    }

    /// Ten years: longer lifetimes are shortened to it.
    static let longestTokenSeconds: Int64 = 315_360_000
    var tokenSeconds: Int64 { min(max(1, tokenLifetime.components.seconds), Self.longestTokenSeconds) }
}
