/// How a client connects and how long it waits. Every step has a deadline.
public struct PulsarClientOptions: Sendable {
    /// Finding out a topic's partitions, its broker, and making a producer there: each with all of its retries.
    public var operationTimeout: Duration = .seconds(30)
    /// Name resolution, TCP, TLS and the broker's CONNECTED, together.
    public var connectionTimeout: Duration = .seconds(10)
    /// Getting a token, each time one is needed. It does not count as connecting.
    public var authenticationTimeout: Duration = .seconds(30)
    /// How often a sign of life is asked for. A connection without one is given up after one to two of these intervals.
    public var keepAliveInterval: Duration = .seconds(30)
    /// A connection that nothing uses is closed after this time. Nil: it stays until the client is closed.
    public var idleConnectionTimeout: Duration? = .seconds(60)
    /// The wait before the first repetition of what failed; doubled for each further one. Each wait is shortened by a
    /// random share of up to 10 %, but not below the first.
    public var initialBackoff: Duration = .milliseconds(100)
    /// The longest of these waits.
    public var maximumBackoff: Duration = .seconds(60)
    /// Whom to believe, and what to show; of effect with `pulsar+ssl://`.
    public var tls = PulsarTLS()
    /// Which of the addresses that a broker advertises is asked for; nil: the broker's default.
    public var listenerName: String?
    /// Connections to one broker, which producers share; 1 to 1000.
    public var connectionsPerBroker = 1
    /// Questions about topics that may be under way on one connection; more are refused with `tooManyLookups`.
    public var maximumConcurrentLookups = 50_000
    /// How often brokers may send the client on to another one for one question; then it is `tooManyLookups`.
    public var maximumLookupRedirects = 20

    /// The machine.
    package var environment = ClientEnvironment()

    public init() {}

    /// Finds everything that is wrong before a client is made.
    ///
    /// - Throws: `PulsarError` with code `invalidConfiguration`.
    func check() throws(PulsarError) {
        let durations = [
            ("operationTimeout", operationTimeout), ("connectionTimeout", connectionTimeout),
            ("authenticationTimeout", authenticationTimeout), ("keepAliveInterval", keepAliveInterval),
            ("idleConnectionTimeout", idleConnectionTimeout ?? .seconds(1)), ("initialBackoff", initialBackoff),
        ]
        for (name, duration) in durations where duration < .milliseconds(1) {
            throw PulsarError(.invalidConfiguration, "\(name) is \(duration); it must be 1 ms or longer")
        }
        guard maximumBackoff >= initialBackoff else {
            throw PulsarError(
                .invalidConfiguration, "maximumBackoff is \(maximumBackoff); it must not be below initialBackoff")
        }
        guard (1...1000).contains(connectionsPerBroker) else {
            throw PulsarError(
                .invalidConfiguration, "connectionsPerBroker is \(connectionsPerBroker); it must be from 1 to 1000")
        }
        guard maximumConcurrentLookups >= 1, maximumLookupRedirects >= 0 else {
            throw PulsarError(
                .invalidConfiguration,
                "maximumConcurrentLookups must be 1 or more, and maximumLookupRedirects 0 or more")
        }
    }
}
