/// Which service is behind a network.
package enum WireKind: String, CaseIterable, Sendable {
    /// The project's own event hub.
    case hub
    /// The project's own Pulsar brokers.
    case pulsar
}
