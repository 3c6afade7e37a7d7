/// Why a peer could not be reached: where, what, and what to do about it. Never contains a password.
package struct DialError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Step: Hashable, Sendable {
        /// Name resolution and TCP.
        case connect
        case proxy
        case tls
        case webSocket
    }

    package var step: Step
    package var message: String
    /// Trying again is of no use before somebody changes the configuration.
    package var isPermanent: Bool

    package init(_ step: Step, _ message: String, isPermanent: Bool = false) {
        self.step = step
        self.message = message
        self.isPermanent = isPermanent
    }

    package var description: String { message }
}
