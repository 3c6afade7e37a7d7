package import AMQP

/// What to do about an error condition: section 9.1 of the protocol notes as a pure function.
package struct FailureAdvice: Hashable, Sendable {
    /// How much must be built anew before the next attempt.
    package enum Recovery: Int, Hashable, Sendable, Comparable {
        case none
        case link
        case session
        case connection

        package static func < (a: Recovery, b: Recovery) -> Bool { a.rawValue < b.rawValue }
    }

    /// The same bytes may succeed later.
    package var isRetriable: Bool
    package var recovery: Recovery
    /// The least wait before the next attempt that the service or experience suggests; zero: the caller's own back-off.
    package var delay: Duration = .zero
    /// The service may have stored the batch nevertheless.
    package var isOutcomeUnknown = false
    /// A new token may help, once.
    package var wantsNewToken = false
    /// For a permanent failure: this batch is at fault, and another one may pass; otherwise nothing will pass until
    /// somebody repairs the configuration, the key or the hub.
    package var blamesBatch = false
    package var code: EventHubsError.Code

    private static func retry(
        _ code: EventHubsError.Code, _ recovery: Recovery, after seconds: Int = 0, unknown: Bool = false
    ) -> FailureAdvice {
        FailureAdvice(
            isRetriable: true, recovery: recovery, delay: .seconds(seconds), isOutcomeUnknown: unknown, code: code)
    }

    private static func permanent(
        _ code: EventHubsError.Code, _ recovery: Recovery = .none, blamesBatch: Bool = false, newToken: Bool = false
    ) -> FailureAdvice {
        FailureAdvice(
            isRetriable: false, recovery: recovery, wantsNewToken: newToken, blamesBatch: blamesBatch, code: code)
    }

    /// - Parameters:
    ///   - condition: the symbol of an AMQP error.
    ///   - text: the error's description, which tells a missing hub from a passing fault.
    package static func advice(for condition: String, text: String? = nil) -> FailureAdvice {
        switch condition {
        case "amqp:internal-error", "amqp:connection:forced", "amqp:connection:framing-error":
            return retry(.connectionLost, .connection)
        case "amqp:link:detach-forced", "com.microsoft:partition-not-owned":
            return retry(.linkLost, .link)
        case "amqp:link:transfer-limit-exceeded": return retry(.linkLost, .link)
        case "com.microsoft:server-busy": return retry(.serverBusy, .none, after: 4)
        case "com.microsoft:timeout": return retry(.timeout, .none, after: 2, unknown: true)
        case "com.microsoft:operation-cancelled": return retry(.serviceFailure, .none)
        case "com.microsoft:container-close": return retry(.connectionLost, .connection, after: 4)
        case "amqp:socket-error", "proton:io": return retry(.connectionLost, .connection)
        case "amqp:not-found":
            // Only these texts say that the hub itself is missing; otherwise it is a fault that passes.
            let isMissing = text.map { text in
                (text.contains("The messaging entity") && text.contains("could not be found"))
                    || text.contains("status-code: 404")
            }
            return isMissing == false ? retry(.notFound, .link) : permanent(.notFound)
        case "amqp:unauthorized-access": return permanent(.unauthorized, .link, newToken: true)
        case "com.microsoft:auth-failed": return permanent(.unauthorized, .link, newToken: true)
        case "com.microsoft:publisher-revoked": return permanent(.unauthorized)
        case "amqp:resource-limit-exceeded": return permanent(.quotaExceeded)
        case "amqp:resource-locked", "amqp:resource-deleted", "com.microsoft:entity-disabled":
            return permanent(.entityUnavailable)
        case "amqp:link:message-size-exceeded": return permanent(.messageTooLarge, .link, blamesBatch: true)
        case "amqp:decode-error", "amqp:invalid-field", "amqp:not-implemented", "amqp:not-allowed",
            "amqp:frame-size-too-small", "amqp:precondition-failed", "amqp:illegal-state",
            "com.microsoft:argument-error", "com.microsoft:argument-out-of-range", "com.microsoft:precondition-failed":
            return permanent(.rejected, .link, blamesBatch: true)
        case "amqp:session:window-violation", "amqp:session:errant-link", "amqp:session-errant-link",
            "amqp:session:handle-in-use", "amqp:session:unattached-handle":
            return permanent(.protocolViolation, .session)
        case "amqp:connection:redirect", "amqp:link:redirect": return permanent(.protocolViolation, .connection)
        case "amqp:link:stolen", "com.microsoft:producer-epoch-stolen": return permanent(.producerDisconnected, .link)
        case "com.microsoft:out-of-order-sequence": return permanent(.outOfOrderSequence, .link)
        case "com.microsoft:georeplication:invalid-offset": return permanent(.rejected)
        default:
            // Better tried again than given up: a condition that nobody has heard of says nothing about the batch.
            return retry(.serviceFailure, .link, after: 1)
        }
    }

    /// The condition that stands for a status code of a management or CBS response without `error-condition`.
    package static func condition(forStatus status: Int) -> String {
        switch status {
        case 400: "com.microsoft:argument-error"
        case 401: "amqp:unauthorized-access"
        case 403: "amqp:resource-limit-exceeded"
        case 404: "amqp:not-found"
        case 408: "com.microsoft:timeout"
        case 410: "amqp:link:stolen"
        case 501: "amqp:not-implemented"
        case 503: "com.microsoft:server-busy"
        default: "amqp:internal-error"
        }
    }
}

extension EventHubsError {
    /// `doing`: what was under way, as in "sending to hub/Partitions/3".
    package init(_ error: AMQPError, _ doing: String) {
        let advice = FailureAdvice.advice(for: error.condition, text: error.text)
        var message = "\(doing): \(error.text ?? "the service gave no reason")"
        if let remedy = Self.remedy(for: advice.code) { message += "; \(remedy)" }
        self.init(advice.code, message, condition: error.condition)
    }

    static func remedy(for code: Code) -> String? {
        switch code {
        case .unauthorized: "check that the key or token is current and carries the Send claim for this event hub"
        case .notFound: "check the namespace and the name of the event hub"
        case .quotaExceeded: "check the namespace's quotas for connections, links and size"
        case .messageTooLarge: "send smaller batches"
        case .serverBusy: "wait, or give the namespace more throughput units"
        case .entityUnavailable: "check the state of the event hub"
        case .producerDisconnected:
            "another client took the partition with a higher owner level; stop one of the two, or give this one a higher"
                + " level"
        case .outOfOrderSequence:
            "this client and the service disagree about what was published; make a new client, which asks the service"
        case .rejected: "the service refused it as it is, and will again"
        case .protocolViolation: "this is no fault of the configuration: report it with the log"
        case .notSupported: "turn idempotent publishing off, or use a namespace that offers it"
        case .timeout: "check the network, or allow more time"
        case .producerDisconnected: "another producer with a higher owner level has the partition: stop one of the two"
        case .outOfOrderSequence: "make a new client, which asks the service for its position"
        case .rejected: "correct the event that the service names; it will not be taken as it is"
        case .connectionLost, .linkLost, .serviceFailure: "send it again: the next attempt connects anew"
        default: nil
        }
    }
}
