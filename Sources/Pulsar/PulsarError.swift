/// What went wrong between this client and a Pulsar cluster, with the cause and, where there is one, the remedy.
///
/// Tokens, passwords and keys never appear in it.
public struct PulsarError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failures; open, so that later versions can add to them: always have a default branch.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let description: String
        /// The number that the official clients give this result (`pulsar.Result`); nil: they have none for it.
        public let resultNumber: Int?

        private init(_ name: String, _ resultNumber: Int?) {
            description = name
            self.resultNumber = resultNumber
        }

        /// The broker failed, or gave a reason that this library does not know.
        public static let unknown = Code("unknown", 1)
        /// An argument or option that this library refuses before anything is sent.
        public static let invalidConfiguration = Code("invalid-configuration", 2)
        /// A step took longer than its deadline. For a message: whether the broker has it is not known.
        public static let timeout = Code("timeout", 3)
        /// The cluster could not say which broker serves the topic, or said something of no use.
        public static let lookupFailed = Code("lookup-failed", 4)
        /// No connection: name resolution, TCP, TLS or the handshake with the broker failed.
        public static let connectFailed = Code("connect-failed", 5)
        /// The connection was there and is gone.
        public static let connectionLost = Code("connection-lost", 6)
        /// The broker does not believe who this client is.
        public static let authenticationFailed = Code("authentication-failed", 7)
        /// The broker believes who this client is, and does not allow what it asks for.
        public static let authorizationFailed = Code("authorization-failed", 8)
        /// The token or password could not be had: a file, a provider or an issuer failed.
        public static let credentialsUnavailable = Code("credentials-unavailable", 9)
        /// The broker could not reach its metadata store.
        public static let brokerMetadata = Code("broker-metadata", 10)
        /// The broker could not store, or cannot tell whether it has stored.
        public static let brokerPersistence = Code("broker-persistence", 11)
        /// Bytes changed on their way to the broker.
        public static let checksum = Code("checksum", 12)
        /// A consumer that should be alone is not.
        public static let consumerBusy = Code("consumer-busy", 13)
        /// The producer has no connection, and does not make one by itself any more.
        public static let notConnected = Code("not-connected", 14)
        /// The client or producer was closed.
        public static let alreadyClosed = Code("already-closed", 15)
        /// A message that cannot be sent as it is.
        public static let invalidMessage = Code("invalid-message", 16)
        /// Another producer of this name is connected to the topic, or was until a moment ago.
        public static let producerBusy = Code("producer-busy", 19)
        /// The broker has too many lookups under way, this client has, or the brokers redirect without end.
        public static let tooManyLookups = Code("too-many-lookups", 20)
        /// A topic name of a form that Pulsar does not know.
        public static let invalidTopicName = Code("invalid-topic-name", 21)
        /// A service URL of a form that Pulsar does not know.
        public static let invalidServiceURL = Code("invalid-service-url", 22)
        /// The broker does not serve the topic yet, or no longer.
        public static let serviceNotReady = Code("service-not-ready", 23)
        /// The broker, or this machine, does not offer what was asked for.
        public static let notSupported = Code("not-supported", 24)
        /// The topic's backlog quota is used up; the broker holds producers back.
        public static let quotaExceeded = Code("quota-exceeded", 25)
        /// The topic's backlog quota is used up; the broker refuses producers, and what waited has failed.
        public static let quotaExceededRefused = Code("quota-exceeded-refused", 26)
        /// As many messages wait as may.
        public static let queueFull = Code("queue-full", 27)
        /// More bytes than the broker takes in one message or batch.
        public static let messageTooBig = Code("message-too-big", 28)
        /// There is no such topic, and the broker does not make it.
        public static let topicNotFound = Code("topic-not-found", 29)
        /// A consumer's subscription is missing.
        public static let subscriptionNotFound = Code("subscription-not-found", 30)
        /// The broker does not know the consumer.
        public static let consumerNotFound = Code("consumer-not-found", 31)
        /// The broker is too old for this client, or the other way round.
        public static let unsupportedVersion = Code("unsupported-version", 32)
        /// The topic was ended for good; nothing can be added to it.
        public static let topicTerminated = Code("topic-terminated", 33)
        /// A message could not be encrypted.
        public static let encryptionFailed = Code("encryption-failed", 34)
        /// The topic has a schema that does not fit.
        public static let incompatibleSchema = Code("incompatible-schema", 35)
        /// The broker forbids it: a policy of the topic or namespace, the size of a message, a delay that is too long.
        public static let notAllowed = Code("not-allowed", 40)
        /// Another producer took the topic for itself.
        public static let producerFenced = Code("producer-fenced", 43)
        /// As many bytes wait as may.
        public static let memoryFull = Code("memory-full", 44)
        /// The wait for room was given up, because the producer was closed or the task cancelled.
        public static let interrupted = Code("interrupted", 45)
        /// The peer did something that the protocol does not allow.
        public static let protocolViolation = Code("protocol-violation", nil)
    }

    public var code: Code
    /// Cause and remedy in words.
    public var message: String
    /// An attempt to send ended without the broker's answer: it may have the message all the same, and sending it again
    /// may store it twice. False for errors that have nothing to do with sending.
    public var isOutcomeUnknown = false

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { "\(code): \(message)" }
}
