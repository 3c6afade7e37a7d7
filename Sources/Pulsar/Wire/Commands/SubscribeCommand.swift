/// SUBSCRIBE: opens a consumer.
package struct SubscribeCommand: ProtobufMessage {
    package var topic: String
    package var subscription: String
    package var subType: SubscriptionType
    package var consumerID: UInt64
    package var requestID: UInt64
    package var consumerName: String?
    package var priorityLevel: Int32?
    package var durable: Bool?
    package var startMessageID: MessageIDData?
    package var metadata: [Property]
    package var readCompacted: Bool?
    package var schema: Schema?
    package var initialPosition: InitialPosition?
    package var replicateSubscriptionState: Bool?
    package var forceTopicCreation: Bool?
    package var startMessageRollbackDurationSec: UInt64?
    package var subscriptionProperties: [Property]
    package var consumerEpoch: UInt64?

    package init(
        topic: String, subscription: String, subType: SubscriptionType, consumerID: UInt64, requestID: UInt64,
        consumerName: String? = nil, priorityLevel: Int32? = nil, durable: Bool? = nil,
        startMessageID: MessageIDData? = nil, metadata: [Property] = [], readCompacted: Bool? = nil,
        schema: Schema? = nil, initialPosition: InitialPosition? = nil, replicateSubscriptionState: Bool? = nil,
        forceTopicCreation: Bool? = nil, startMessageRollbackDurationSec: UInt64? = nil,
        subscriptionProperties: [Property] = [], consumerEpoch: UInt64? = nil
    ) {
        self.topic = topic
        self.subscription = subscription
        self.subType = subType
        self.consumerID = consumerID
        self.requestID = requestID
        self.consumerName = consumerName
        self.priorityLevel = priorityLevel
        self.durable = durable
        self.startMessageID = startMessageID
        self.metadata = metadata
        self.readCompacted = readCompacted
        self.schema = schema
        self.initialPosition = initialPosition
        self.replicateSubscriptionState = replicateSubscriptionState
        self.forceTopicCreation = forceTopicCreation
        self.startMessageRollbackDurationSec = startMessageRollbackDurationSec
        self.subscriptionProperties = subscriptionProperties
        self.consumerEpoch = consumerEpoch
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var topic: String?
        var subscription: String?
        var subType: SubscriptionType?
        var consumerID: UInt64?
        var requestID: UInt64?
        var consumerName: String?
        var priorityLevel: Int32?
        var durable: Bool?
        var startMessageID: MessageIDData?
        var metadata: [Property] = []
        var readCompacted: Bool?
        var schema: Schema?
        var initialPosition: InitialPosition?
        var replicateSubscriptionState: Bool?
        var forceTopicCreation: Bool?
        var startMessageRollbackDurationSec: UInt64?
        var subscriptionProperties: [Property] = []
        var consumerEpoch: UInt64?
        while let field = try reader.next() {
            switch field.number {
            case 1: topic = field.string
            case 2: subscription = field.string
            case 3: subType = field.value()
            case 4: consumerID = field.uint64
            case 5: requestID = field.uint64
            case 6: consumerName = field.string
            case 7: priorityLevel = field.int32
            case 8: durable = field.bool
            case 9: startMessageID = try field.message()
            case 10: if let value: Property = try field.message() { metadata.append(value) }
            case 11: readCompacted = field.bool
            case 12: schema = try field.message()
            case 13: initialPosition = field.value()
            case 14: replicateSubscriptionState = field.bool
            case 15: forceTopicCreation = field.bool
            case 16: startMessageRollbackDurationSec = field.uint64
            case 18: if let value: Property = try field.message() { subscriptionProperties.append(value) }
            case 19: consumerEpoch = field.uint64
            default: break
            }
        }
        self.init(
            topic: try required(topic, "SUBSCRIBE.topic"),
            subscription: try required(subscription, "SUBSCRIBE.subscription"),
            subType: try required(subType, "SUBSCRIBE.subType"),
            consumerID: try required(consumerID, "SUBSCRIBE.consumer_id"),
            requestID: try required(requestID, "SUBSCRIBE.request_id"), consumerName: consumerName,
            priorityLevel: priorityLevel, durable: durable, startMessageID: startMessageID, metadata: metadata,
            readCompacted: readCompacted, schema: schema, initialPosition: initialPosition,
            replicateSubscriptionState: replicateSubscriptionState, forceTopicCreation: forceTopicCreation,
            startMessageRollbackDurationSec: startMessageRollbackDurationSec,
            subscriptionProperties: subscriptionProperties, consumerEpoch: consumerEpoch)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, topic)
        sink.field(2, subscription)
        sink.field(3, subType)
        sink.field(4, consumerID)
        sink.field(5, requestID)
        sink.field(6, consumerName)
        sink.field(7, priorityLevel)
        sink.field(8, durable)
        sink.field(9, startMessageID)
        sink.fields(10, metadata)
        sink.field(11, readCompacted)
        sink.field(12, schema)
        sink.field(13, initialPosition)
        sink.field(14, replicateSubscriptionState)
        sink.field(15, forceTopicCreation)
        sink.field(16, startMessageRollbackDurationSec)
        sink.fields(18, subscriptionProperties)
        sink.field(19, consumerEpoch)
    }
}

/// UNSUBSCRIBE: ends a subscription.
package struct UnsubscribeCommand: ProtobufMessage {
    package var consumerID: UInt64
    package var requestID: UInt64

    package init(consumerID: UInt64, requestID: UInt64) {
        self.consumerID = consumerID
        self.requestID = requestID
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var consumerID: UInt64?
        var requestID: UInt64?
        while let field = try reader.next() {
            switch field.number {
            case 1: consumerID = field.uint64
            case 2: requestID = field.uint64
            default: break
            }
        }
        self.init(
            consumerID: try required(consumerID, "UNSUBSCRIBE.consumer_id"),
            requestID: try required(requestID, "UNSUBSCRIBE.request_id"))
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, consumerID)
        sink.field(2, requestID)
    }
}
