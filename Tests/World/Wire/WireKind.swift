/// Which service is behind a network.
enum WireKind: Sendable {
    /// The project's own event hub.
    case hub
    /// The project's own Pulsar brokers.
    case pulsar
}
