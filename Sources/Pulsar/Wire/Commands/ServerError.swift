/// Why a broker refuses a request or a message. A number that we do not know is kept.
package struct ServerError: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let unknownError = ServerError(rawValue: 0)
    package static let metadataError = ServerError(rawValue: 1)
    package static let persistenceError = ServerError(rawValue: 2)
    package static let authenticationError = ServerError(rawValue: 3)
    package static let authorizationError = ServerError(rawValue: 4)
    package static let consumerBusy = ServerError(rawValue: 5)
    package static let serviceNotReady = ServerError(rawValue: 6)
    package static let producerBlockedQuotaExceededError = ServerError(rawValue: 7)
    package static let producerBlockedQuotaExceededException = ServerError(rawValue: 8)
    package static let checksumError = ServerError(rawValue: 9)
    package static let unsupportedVersionError = ServerError(rawValue: 10)
    package static let topicNotFound = ServerError(rawValue: 11)
    package static let subscriptionNotFound = ServerError(rawValue: 12)
    package static let consumerNotFound = ServerError(rawValue: 13)
    package static let tooManyRequests = ServerError(rawValue: 14)
    package static let topicTerminatedError = ServerError(rawValue: 15)
    package static let producerBusy = ServerError(rawValue: 16)
    package static let invalidTopicName = ServerError(rawValue: 17)
    package static let incompatibleSchema = ServerError(rawValue: 18)
    package static let consumerAssignError = ServerError(rawValue: 19)
    package static let transactionCoordinatorNotFound = ServerError(rawValue: 20)
    package static let invalidTxnStatus = ServerError(rawValue: 21)
    package static let notAllowedError = ServerError(rawValue: 22)
    package static let transactionConflict = ServerError(rawValue: 23)
    package static let transactionNotFound = ServerError(rawValue: 24)
    package static let producerFenced = ServerError(rawValue: 25)
}

extension ServerError: CustomStringConvertible {
    /// The name in the protocol's file, which is what brokers log.
    package var description: String {
        let names = [
            "UnknownError", "MetadataError", "PersistenceError", "AuthenticationError", "AuthorizationError",
            "ConsumerBusy", "ServiceNotReady", "ProducerBlockedQuotaExceededError",
            "ProducerBlockedQuotaExceededException", "ChecksumError", "UnsupportedVersionError", "TopicNotFound",
            "SubscriptionNotFound", "ConsumerNotFound", "TooManyRequests", "TopicTerminatedError", "ProducerBusy",
            "InvalidTopicName", "IncompatibleSchema", "ConsumerAssignError", "TransactionCoordinatorNotFound",
            "InvalidTxnStatus", "NotAllowedError", "TransactionConflict", "TransactionNotFound", "ProducerFenced",
        ]
        return rawValue < UInt64(names.count) ? names[Int(rawValue)] : "error \(rawValue)"
    }
}
