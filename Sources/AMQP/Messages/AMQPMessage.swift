public import NIOCore

/// A message in the standard format (part 3, section 3.2): what one delivery carries.
///
/// An empty map means that its section is absent; so does a nil `header` or `properties`.
public struct AMQPMessage: Hashable, Sendable {
    public var header: Header?
    public var deliveryAnnotations: AMQPMap
    public var messageAnnotations: AMQPMap
    public var properties: Properties?
    public var applicationProperties: AMQPMap
    public var body: Body
    public var footer: AMQPMap

    public init(body: Body = .none) {
        deliveryAnnotations = AMQPMap()
        messageAnnotations = AMQPMap()
        applicationProperties = AMQPMap()
        self.body = body
        footer = AMQPMap()
    }

    /// The three shapes that the specification allows, and the absence of all three (which peers do send).
    public enum Body: Hashable, Sendable {
        case none
        /// One or more data sections.
        case data([ByteBuffer])
        /// One or more sequence sections.
        case sequence([[AMQPValue]])
        case value(AMQPValue)
    }

    /// Section 3.2.1: how the message shall be transferred.
    public struct Header: Hashable, Sendable {
        public var durable: Bool
        /// 4 is normal.
        public var priority: UInt8
        /// Milliseconds; nil: the message does not expire.
        public var timeToLive: UInt32?
        public var firstAcquirer: Bool
        public var deliveryCount: UInt32

        public init(
            durable: Bool = false, priority: UInt8 = 4, timeToLive: UInt32? = nil, firstAcquirer: Bool = false,
            deliveryCount: UInt32 = 0
        ) {
            self.durable = durable
            self.priority = priority
            self.timeToLive = timeToLive
            self.firstAcquirer = firstAcquirer
            self.deliveryCount = deliveryCount
        }
    }

    /// Section 3.2.4: the properties that nobody on the way may change.
    public struct Properties: Hashable, Sendable {
        /// A ulong, uuid, binary or string; `.null` when absent. The same holds for `correlationID`.
        public var messageID: AMQPValue = .null
        public var userID: ByteBuffer?
        /// A string; `.null` when absent. The same holds for `replyTo`.
        public var to: AMQPValue = .null
        public var subject: String?
        public var replyTo: AMQPValue = .null
        public var correlationID: AMQPValue = .null
        public var contentType: String?
        public var contentEncoding: String?
        /// Milliseconds since 1970. The same holds for `creationTime`.
        public var absoluteExpiryTime: Int64?
        public var creationTime: Int64?
        public var groupID: String?
        public var groupSequence: UInt32?
        public var replyToGroupID: String?

        public init() {}
    }
}
