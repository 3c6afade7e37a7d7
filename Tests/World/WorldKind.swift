/// What a world is made of.
package enum WorldKind: String, CaseIterable, Sendable {
    /// A service in memory.
    case plain
    /// The same with several times as many lives. Each has a disk that is in trouble at times, and most end in the middle of a
    /// call.
    case storm
    /// An event hub behind a network, and the agent's way to it.
    case wire
    /// That in a storm.
    case wireStorm = "wire-storm"
    /// The same with Pulsar brokers.
    case pulsar
    case pulsarStorm = "pulsar-storm"

    /// Which service is behind a network.
    var wire: WireKind? {
        switch self {
        case .plain, .storm: nil
        case .wire, .wireStorm: .hub
        case .pulsar, .pulsarStorm: .pulsar
        }
    }

    var isStorm: Bool {
        switch self {
        case .storm, .wireStorm, .pulsarStorm: true
        case .plain, .wire, .pulsar: false
        }
    }
}
