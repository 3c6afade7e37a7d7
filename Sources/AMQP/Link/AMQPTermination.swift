/// Why a link, a session or a connection is over, and how far the damage reaches.
public struct AMQPTermination: Error, Hashable, Sendable, CustomStringConvertible {
    /// The largest thing that ended: everything inside it ended with it.
    public enum Scope: String, Hashable, Sendable {
        case link
        case session
        case connection
    }

    /// Who ended it.
    public enum Origin: String, Hashable, Sendable {
        /// The peer said so, with or without an error.
        case peer
        /// This side did, because it was asked to or because the peer broke the protocol.
        case local
        /// The bytes stopped: connection reset, end of stream, TLS failure.
        case transport
    }

    public var scope: Scope
    public var origin: Origin
    /// The error that the ending side gave; nil for an orderly end.
    public var error: AMQPError?

    public init(scope: Scope, origin: Origin, error: AMQPError? = nil) {
        self.scope = scope
        self.origin = origin
        self.error = error
    }

    public var description: String {
        let who =
            switch origin {
            case .peer: "by the peer"
            case .local: "by this side"
            case .transport: "by the loss of the transport"
            }
        return "\(scope.rawValue) ended \(who)" + (error.map { ": \($0)" } ?? "")
    }
}

/// What became of a delivery.
public enum DeliveryResult: Hashable, Sendable {
    /// The receiver settled it in this state; nil when it settled without naming one.
    case settled(DeliveryState?)
    /// It was sent settled: its last frame was handed to the transport, and nothing more will ever be known.
    case sentSettled
    /// At least one frame of it was sent, and then its link went: the receiver may or may not have it.
    case unknown(AMQPTermination)
    /// No frame of it was sent before its link went.
    case notSent(AMQPTermination)
}

/// The error conditions of the specification (part 2, section 2.8.15 ff.) that this library sends.
package enum AMQPCondition {
    package static let internalError = "amqp:internal-error"
    package static let notFound = "amqp:not-found"
    package static let unauthorizedAccess = "amqp:unauthorized-access"
    package static let decodeError = "amqp:decode-error"
    package static let resourceLimitExceeded = "amqp:resource-limit-exceeded"
    package static let notAllowed = "amqp:not-allowed"
    package static let invalidField = "amqp:invalid-field"
    package static let notImplemented = "amqp:not-implemented"
    package static let illegalState = "amqp:illegal-state"
    package static let frameSizeTooSmall = "amqp:frame-size-too-small"
    package static let connectionForced = "amqp:connection:forced"
    package static let framingError = "amqp:connection:framing-error"
    package static let windowViolation = "amqp:session:window-violation"
    package static let errantLink = "amqp:session:errant-link"
    package static let handleInUse = "amqp:session:handle-in-use"
    package static let unattachedHandle = "amqp:session:unattached-handle"
    package static let detachForced = "amqp:link:detach-forced"
    package static let transferLimitExceeded = "amqp:link:transfer-limit-exceeded"
    package static let messageSizeExceeded = "amqp:link:message-size-exceeded"
    package static let stolen = "amqp:link:stolen"
}
