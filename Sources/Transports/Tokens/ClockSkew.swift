/// A machine's clock beside that of a peer.
package enum ClockSkew {
    /// Seconds from which on it is worth a word; a request may be that long on its way.
    package static let notable: Int64 = 30
    package static let remedy = "set it right, and see that it is kept in step (timedatectl)"

    /// - Parameter seconds: how much this machine is ahead.
    package static func text(_ seconds: Int64) -> String {
        "this machine's clock is \(abs(seconds)) s \(seconds > 0 ? "ahead" : "behind"): \(remedy)"
    }
}
