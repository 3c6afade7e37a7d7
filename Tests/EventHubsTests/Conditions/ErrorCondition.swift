@testable import EventHubs

/// The error conditions of section 9.1 of the protocol notes, each with what a producer does about it.
struct ErrorCondition: CustomStringConvertible, Sendable {
    enum Reaction: Equatable, Sendable {
        /// Tried again and delivered; nothing else has happened.
        case retried
        /// Tried again and delivered, although the service may have it already.
        case unknown
        /// An error of this code at once, whose message has these words of a remedy.
        case permanent(EventHubsError.Code, remedy: String)
    }

    let symbol: String
    var text = "scripted"
    /// To a rejected batch, and to an attach that is refused.
    let reaction: Reaction
    /// The code that an error of it has.
    let code: EventHubsError.Code
    /// The least wait before the next attempt, seconds.
    var wait = 0

    var description: String { text == "scripted" ? symbol : "\(symbol) (\(text))" }

    private static func retried(_ symbol: String, _ code: EventHubsError.Code, wait: Int = 0, text: String = "scripted")
        -> ErrorCondition
    {
        ErrorCondition(symbol: symbol, text: text, reaction: .retried, code: code, wait: wait)
    }

    private static func permanent(
        _ symbol: String, _ code: EventHubsError.Code, _ remedy: String, text: String = "scripted"
    ) -> ErrorCondition {
        ErrorCondition(symbol: symbol, text: text, reaction: .permanent(code, remedy: remedy), code: code)
    }

    static let all: [ErrorCondition] = [
        retried("amqp:internal-error", .connectionLost),
        retried("amqp:connection:forced", .connectionLost),
        retried("amqp:connection:framing-error", .connectionLost),
        retried("amqp:link:detach-forced", .linkLost),
        retried("amqp:link:transfer-limit-exceeded", .linkLost),
        retried("com.microsoft:partition-not-owned", .linkLost),
        retried("com.microsoft:server-busy", .serverBusy, wait: 4),
        ErrorCondition(symbol: "com.microsoft:timeout", reaction: .unknown, code: .timeout, wait: 2),
        retried("com.microsoft:operation-cancelled", .serviceFailure),
        retried("com.microsoft:container-close", .connectionLost, wait: 4),
        retried("amqp:socket-error", .connectionLost),
        retried("proton:io", .connectionLost),
        retried("amqp:not-found", .notFound, text: "the broker is moving"),
        permanent(
            "amqp:not-found", .notFound, "name of the event hub",
            text: "The messaging entity 'x' could not be found"),
        permanent("amqp:unauthorized-access", .unauthorized, "Send claim"),
        permanent("com.microsoft:auth-failed", .unauthorized, "Send claim"),
        permanent("com.microsoft:publisher-revoked", .unauthorized, "Send claim"),
        permanent("amqp:resource-limit-exceeded", .quotaExceeded, "quotas"),
        permanent("amqp:resource-locked", .entityUnavailable, "state of the event hub"),
        permanent("amqp:resource-deleted", .entityUnavailable, "state of the event hub"),
        permanent("com.microsoft:entity-disabled", .entityUnavailable, "state of the event hub"),
        permanent("amqp:link:message-size-exceeded", .messageTooLarge, "smaller batches"),
        permanent("amqp:decode-error", .rejected, "refused"),
        permanent("amqp:invalid-field", .rejected, "refused"),
        permanent("amqp:not-implemented", .rejected, "refused"),
        permanent("amqp:not-allowed", .rejected, "refused"),
        permanent("amqp:frame-size-too-small", .rejected, "refused"),
        permanent("amqp:precondition-failed", .rejected, "refused"),
        permanent("amqp:illegal-state", .rejected, "refused"),
        permanent("com.microsoft:argument-error", .rejected, "refused"),
        permanent("com.microsoft:argument-out-of-range", .rejected, "refused"),
        permanent("com.microsoft:precondition-failed", .rejected, "refused"),
        permanent("com.microsoft:georeplication:invalid-offset", .rejected, "refused"),
        permanent("amqp:session:window-violation", .protocolViolation, "report"),
        permanent("amqp:session:errant-link", .protocolViolation, "report"),
        permanent("amqp:session-errant-link", .protocolViolation, "report"),
        permanent("amqp:session:handle-in-use", .protocolViolation, "report"),
        permanent("amqp:session:unattached-handle", .protocolViolation, "report"),
        permanent("amqp:connection:redirect", .protocolViolation, "report"),
        permanent("amqp:link:redirect", .protocolViolation, "report"),
        permanent("amqp:link:stolen", .producerDisconnected, "owner level"),
        permanent("com.microsoft:producer-epoch-stolen", .producerDisconnected, "owner level"),
        permanent("com.microsoft:out-of-order-sequence", .outOfOrderSequence, "new client"),
        // Nobody has heard of it: it says nothing about the batch.
        retried("com.example:never-seen", .serviceFailure, wait: 1),
    ]
}
