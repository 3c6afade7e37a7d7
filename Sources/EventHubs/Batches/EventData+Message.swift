public import AMQP

extension EventData {
    /// An event with every section of `message`.
    public init(_ message: AMQPMessage) {
        self.init(body: .init())
        self.message = message
    }

    /// The event as a complete AMQP message.
    public var message: AMQPMessage {
        get {
            var message = rest?.message ?? AMQPMessage()
            if rest?.hasBody != true { message.body = .data([data]) }
            message.messageAnnotations = annotations
            message.applicationProperties = properties
            if messageID != .null || correlationID != .null || contentType != nil {
                var properties = message.properties ?? AMQPMessage.Properties()
                properties.messageID = messageID
                properties.correlationID = correlationID
                properties.contentType = contentType
                message.properties = properties
            }
            return message
        }
        set {
            var others = newValue
            annotations = others.messageAnnotations
            properties = others.applicationProperties
            others.messageAnnotations = AMQPMap()
            others.applicationProperties = AMQPMap()
            messageID = others.properties?.messageID ?? .null
            correlationID = others.properties?.correlationID ?? .null
            contentType = others.properties?.contentType
            others.properties?.messageID = .null
            others.properties?.correlationID = .null
            others.properties?.contentType = nil
            // An empty list of properties says no more than none does.
            if others.properties == AMQPMessage.Properties() { others.properties = nil }
            var hasBody = true
            data = .init()
            if case .data(let sections) = others.body, sections.count == 1 {
                data = sections[0]
                others.body = .none
                hasBody = false
            }
            rest = !hasBody && others == AMQPMessage() ? nil : Rest(others, hasBody: hasBody)
        }
    }
}
