package import AMQP

/// How one attempt to send a batch ended.
package enum SendResult: Hashable, Sendable {
    case accepted
    case failed(EventHubsError, Prospect)

    /// What may come of the same bytes later.
    package enum Prospect: Hashable, Sendable {
        /// The service does not have the batch; wait at least this long before the next attempt.
        case retriable(after: Duration)
        /// The service may have it or not; sending it again may store it twice.
        case unknown
        /// The batch itself will never be taken.
        case batchRefused
        /// Nothing will be taken until somebody repairs the key, the hub or the quota.
        case blocked
    }

    /// What the receiver's answer to a delivery means.
    package init(_ result: DeliveryResult, _ doing: String) {
        switch result {
        case .settled(.accepted?): self = .accepted
        case .settled(.rejected(let error?)?): self = .init(error, doing)
        case .settled(.rejected(nil)?):
            self = .failed(
                EventHubsError(.rejected, "\(doing): the service rejected the batch without a reason"),
                .retriable(after: .seconds(1)))
        case .settled(.released?), .settled(.modified?):
            self = .failed(
                EventHubsError(.serviceFailure, "\(doing): the service gave the batch back unprocessed"),
                .retriable(after: .zero))
        case .settled(.received?), .settled(.other?), .settled(nil), .sentSettled:
            self = .failed(
                EventHubsError(
                    .serviceFailure, "\(doing): the service's answer does not tell whether it has the batch"),
                .unknown)
        case .notSent(let termination):
            let error = EventHubsError(termination, doing)
            let delay = termination.error.map { FailureAdvice.advice(for: $0.condition, text: $0.text).delay }
            self = .failed(error, .retriable(after: delay ?? .zero))
        case .unknown(let termination):
            let error = EventHubsError(termination, doing)
            // A service that cannot take a message of this size says so by detaching.
            self = .failed(error, error.code == .messageTooLarge ? .batchRefused : .unknown)
        }
    }

    private init(_ error: AMQPError, _ doing: String) {
        let advice = FailureAdvice.advice(for: error.condition, text: error.text)
        let failure = EventHubsError(error, doing)
        switch (advice.isRetriable, advice.isOutcomeUnknown, advice.blamesBatch) {
        case (true, true, _): self = .failed(failure, .unknown)
        case (true, false, _): self = .failed(failure, .retriable(after: advice.delay))
        case (false, _, true): self = .failed(failure, .batchRefused)
        case (false, _, false): self = .failed(failure, .blocked)
        }
    }

    /// An attempt that failed before anything was sent: so it is never the batch's fault, but for its size.
    package init(notSent error: EventHubsError) {
        if let condition = error.condition {
            let advice = FailureAdvice.advice(for: condition, text: error.message)
            let isPermanent = !advice.isRetriable && error.code == advice.code
            self = .failed(error, isPermanent ? .blocked : .retriable(after: advice.delay))
            return
        }
        switch error.code {
        case .messageTooLarge: self = .failed(error, .batchRefused)
        case .unauthorized, .notFound, .quotaExceeded, .entityUnavailable, .invalidArgument, .invalidConnectionString,
            .clientClosed, .producerDisconnected, .outOfOrderSequence, .notSupported:
            self = .failed(error, .blocked)
        default: self = .failed(error, .retriable(after: .zero))
        }
    }
}

extension EventHubsError {
    /// A link, session or connection that ended while something was under way.
    package init(_ termination: AMQPTermination, _ doing: String) {
        if let error = termination.error, termination.origin != .transport {
            self.init(error, doing)
            // The condition tells the cause; what is lost is told by the scope, unless the cause is more specific.
            if code == .connectionLost, termination.scope != .connection { code = .linkLost }
        } else {
            let code: Code = termination.scope == .connection ? .connectionLost : .linkLost
            let cause = termination.error?.text ?? "\(termination)"
            self.init(code, "\(doing): \(cause)", condition: termination.error?.condition)
        }
    }
}
