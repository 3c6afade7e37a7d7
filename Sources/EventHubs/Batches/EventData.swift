public import AMQP
public import NIOCore

/// One event.
public struct EventData: Hashable, Sendable {
    /// The event's bytes.
    public var body: ByteBuffer
    /// What the consumer sees as the event's properties: string keys, values of any simple AMQP type.
    public var properties: AMQPMap
    public var messageID: AMQPValue = .null
    public var correlationID: AMQPValue = .null
    public var contentType: String?
    /// Message annotations; the partition key is one of them.
    public var annotations = AMQPMap()

    public init(body: ByteBuffer, properties: AMQPMap = AMQPMap()) {
        self.body = body
        self.properties = properties
    }

    /// `text` as UTF-8.
    public init(_ text: String, properties: AMQPMap = AMQPMap()) {
        self.init(body: ByteBuffer(string: text), properties: properties)
    }

    /// The annotation `x-opt-partition-key`.
    public var partitionKey: String? {
        get {
            guard case .string(let key)? = annotations[symbol: EventHubsName.partitionKey] else { return nil }
            return key
        }
        set { annotations[symbol: EventHubsName.partitionKey] = newValue.map(AMQPValue.string) }
    }

    /// The event as a complete AMQP message.
    package var message: AMQPMessage {
        var message = AMQPMessage(body: .data([body]))
        message.messageAnnotations = annotations
        message.applicationProperties = properties
        if messageID != .null || correlationID != .null || contentType != nil {
            var properties = AMQPMessage.Properties()
            properties.messageID = messageID
            properties.correlationID = correlationID
            properties.contentType = contentType
            message.properties = properties
        }
        return message
    }
}
