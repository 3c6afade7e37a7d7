/// Where an agent keeps what it has.
package struct AgentPlaces: Equatable, Sendable {
    /// Bytes: room for the name of the control socket, whose whole path may have 107.
    package static let maximumStateDirectory = 90

    package var stateDirectory: String

    package var controlSocket: String { "\(stateDirectory)/control.sock" }
    /// Segments, ledgers and lock.
    package var spool: String { "\(stateDirectory)/spool" }

    /// The spool of what the service behind an output refused for good.
    package func deadLetters(output: String) -> String { "\(stateDirectory)/\(Self.deadLetterPrefix)\(output)" }

    package static let deadLetterPrefix = "dead-letters-"
    /// What else is in a state directory.
    static let names: Set<String> = ["control.sock", "spool"]
}
