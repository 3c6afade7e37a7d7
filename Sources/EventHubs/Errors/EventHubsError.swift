/// What went wrong between this client and an event hub, with the cause and, where there is one, the remedy.
///
/// Keys, signatures and tokens never appear in it.
public struct EventHubsError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failures; open, so that later versions can add to them: always have a default branch.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let description: String
        private init(_ name: String) { description = name }

        /// An argument that this library refuses before anything is sent.
        public static let invalidArgument = Code("invalid-argument")
        /// A connection string or shared access signature that cannot be read.
        public static let invalidConnectionString = Code("invalid-connection-string")
        /// No connection: name resolution, TCP, TLS or the AMQP handshake failed.
        public static let connectFailed = Code("connect-failed")
        /// The connection was there and is gone.
        public static let connectionLost = Code("connection-lost")
        /// The service took the link or session away; a new one can be made.
        public static let linkLost = Code("link-lost")
        /// Wrong key, expired token, missing Send claim.
        public static let unauthorized = Code("unauthorized")
        /// A step took longer than its deadline. For a send: whether the service has the batch is not known.
        public static let timeout = Code("timeout")
        /// The service throttles: wait four seconds or more.
        public static let serverBusy = Code("server-busy")
        /// No such event hub or partition.
        public static let notFound = Code("not-found")
        /// The event hub does not take events now (disabled, deleted, locked).
        public static let entityUnavailable = Code("entity-unavailable")
        /// A quota of the namespace is used up: connections, links, size.
        public static let quotaExceeded = Code("quota-exceeded")
        /// The batch is larger than the link allows.
        public static let messageTooLarge = Code("message-too-large")
        /// The service refused the batch for another reason.
        public static let rejected = Code("rejected")
        /// Another producer with a higher owner level took the partition.
        public static let producerDisconnected = Code("producer-disconnected")
        /// Sequence numbers of idempotent publishing no longer match the service's.
        public static let outOfOrderSequence = Code("out-of-order-sequence")
        /// The namespace does not offer what was asked for, idempotent publishing for example.
        public static let notSupported = Code("not-supported")
        /// The client was closed.
        public static let clientClosed = Code("client-closed")
        /// The peer did something that the protocol does not allow.
        public static let protocolViolation = Code("protocol-violation")
        /// The service failed or gave a reason that this library does not know.
        public static let serviceFailure = Code("service-failure")
    }

    public var code: Code
    /// Cause and remedy in words.
    public var message: String
    /// The AMQP condition that the service named, such as `com.microsoft:server-busy`.
    public var condition: String?
    /// An attempt to send ended without the service's answer: it may have the events all the same, and sending them again
    /// may store them twice. False for errors that have nothing to do with sending.
    public var isOutcomeUnknown = false
    /// The partitions that the error is about, when there may be several: those with events left after a flush or close.
    public var partitionIDs: [String] = []

    public init(_ code: Code, _ message: String, condition: String? = nil) {
        self.code = code
        self.message = message
        self.condition = condition
    }

    public var description: String { "\(code): \(message)" + (condition.map { " [\($0)]" } ?? "") }
}
