internal import Transports

extension PulsarError {
    /// What a broker refused.
    ///
    /// - Parameters:
    ///   - error: nil: it did not say.
    ///   - text: the broker's own words.
    ///   - doing: what was asked for, as in "looking up persistent://public/default/t".
    package init(_ error: ServerError?, _ text: String?, doing: String) {
        let code = Self.code(of: error ?? .unknownError)
        var message = "\(doing): the broker answers \(error ?? .unknownError)"
        if let text, !text.isEmpty { message += " (\(PeerText.printable(text)))" }
        if let remedy = Self.remedy(for: code) { message += "; \(remedy)" }
        self.init(code, message)
    }

    /// Section 2.4 of the protocol notes.
    package static func code(of error: ServerError) -> Code {
        switch error {
        case .metadataError: .brokerMetadata
        case .persistenceError: .brokerPersistence
        case .authenticationError: .authenticationFailed
        case .authorizationError: .authorizationFailed
        case .consumerBusy, .consumerAssignError: .consumerBusy
        case .serviceNotReady: .serviceNotReady
        case .producerBlockedQuotaExceededError: .quotaExceeded
        case .producerBlockedQuotaExceededException: .quotaExceededRefused
        case .checksumError: .checksum
        case .unsupportedVersionError: .unsupportedVersion
        case .topicNotFound: .topicNotFound
        case .subscriptionNotFound: .subscriptionNotFound
        case .consumerNotFound: .consumerNotFound
        case .tooManyRequests: .tooManyLookups
        case .topicTerminatedError: .topicTerminated
        case .producerBusy: .producerBusy
        case .invalidTopicName: .invalidTopicName
        case .incompatibleSchema: .incompatibleSchema
        case .notAllowedError: .notAllowed
        case .producerFenced: .producerFenced
        default: .unknown
        }
    }

    private static func remedy(for code: Code) -> String? {
        switch code {
        case .authenticationFailed: "check the token, password or certificate, and that the broker knows this method"
        case .authorizationFailed: "have this role allowed to produce to the topic or its namespace"
        case .topicNotFound: "make the topic or its namespace, or check the name"
        case .producerBusy: "stop the other producer of this name, or wait until the broker has noticed that it is gone"
        case .quotaExceeded, .quotaExceededRefused: "have the backlog consumed, or the namespace's quota raised"
        case .topicTerminated: "use another topic: this one was ended for good"
        case .incompatibleSchema: "the topic has a schema, and takes no plain bytes: use another topic"
        default: nil
        }
    }

    /// The same question may be answered later without anybody's help: section 2.4 of the protocol notes, for lookups.
    /// Too many lookups are among them: waiting is what that answer asks for.
    package var mayPass: Bool {
        switch code {
        case .unknown, .timeout, .lookupFailed, .connectFailed, .connectionLost, .brokerMetadata, .brokerPersistence,
            .notConnected, .tooManyLookups, .serviceNotReady, .protocolViolation:
            true
        default: false
        }
    }
}
