/// PRODUCER: opens a producer on a topic, or on one partition.
package struct ProducerCommand: ProtobufMessage {
    package var topic: String
    /// Chosen by the client, unique on the connection.
    package var producerID: UInt64
    package var requestID: UInt64
    /// Absent: the broker makes one up.
    package var producerName: String?
    package var encrypted: Bool?
    package var metadata: [Property]
    package var schema: Schema?
    /// One more for every attempt to open this producer again.
    package var epoch: UInt64?
    /// False when the name is one that the broker made up before.
    package var userProvidedProducerName: Bool?
    package var producerAccessMode: ProducerAccessMode?
    /// That of the last PRODUCER_SUCCESS; for exclusive access.
    package var topicEpoch: UInt64?
    package var txnEnabled: Bool?
    package var initialSubscriptionName: String?

    package init(
        topic: String, producerID: UInt64, requestID: UInt64, producerName: String? = nil, encrypted: Bool? = nil,
        metadata: [Property] = [], schema: Schema? = nil, epoch: UInt64? = nil, userProvidedProducerName: Bool? = nil,
        producerAccessMode: ProducerAccessMode? = nil, topicEpoch: UInt64? = nil, txnEnabled: Bool? = nil,
        initialSubscriptionName: String? = nil
    ) {
        self.topic = topic
        self.producerID = producerID
        self.requestID = requestID
        self.producerName = producerName
        self.encrypted = encrypted
        self.metadata = metadata
        self.schema = schema
        self.epoch = epoch
        self.userProvidedProducerName = userProvidedProducerName
        self.producerAccessMode = producerAccessMode
        self.topicEpoch = topicEpoch
        self.txnEnabled = txnEnabled
        self.initialSubscriptionName = initialSubscriptionName
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var topic: String?
        var producerID: UInt64?
        var requestID: UInt64?
        var producerName: String?
        var encrypted: Bool?
        var metadata: [Property] = []
        var schema: Schema?
        var epoch: UInt64?
        var userProvidedProducerName: Bool?
        var producerAccessMode: ProducerAccessMode?
        var topicEpoch: UInt64?
        var txnEnabled: Bool?
        var initialSubscriptionName: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: topic = field.string
            case 2: producerID = field.uint64
            case 3: requestID = field.uint64
            case 4: producerName = field.string
            case 5: encrypted = field.bool
            case 6: if let value: Property = try field.message() { metadata.append(value) }
            case 7: schema = try field.message()
            case 8: epoch = field.uint64
            case 9: userProvidedProducerName = field.bool
            case 10: producerAccessMode = field.value()
            case 11: topicEpoch = field.uint64
            case 12: txnEnabled = field.bool
            case 13: initialSubscriptionName = field.string
            default: break
            }
        }
        self.init(
            topic: try required(topic, "PRODUCER.topic"), producerID: try required(producerID, "PRODUCER.producer_id"),
            requestID: try required(requestID, "PRODUCER.request_id"), producerName: producerName, encrypted: encrypted,
            metadata: metadata, schema: schema, epoch: epoch, userProvidedProducerName: userProvidedProducerName,
            producerAccessMode: producerAccessMode, topicEpoch: topicEpoch, txnEnabled: txnEnabled,
            initialSubscriptionName: initialSubscriptionName)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, topic)
        sink.field(2, producerID)
        sink.field(3, requestID)
        sink.field(4, producerName)
        sink.field(5, encrypted)
        sink.fields(6, metadata)
        sink.field(7, schema)
        sink.field(8, epoch)
        sink.field(9, userProvidedProducerName)
        sink.field(10, producerAccessMode)
        sink.field(11, topicEpoch)
        sink.field(12, txnEnabled)
        sink.field(13, initialSubscriptionName)
    }
}

/// PRODUCER_SUCCESS.
package struct ProducerSuccessCommand: ProtobufMessage {
    package var requestID: UInt64
    package var producerName: String
    /// The highest stored id of this name; -1: none, or the broker does not deduplicate.
    package var lastSequenceID: Int64?
    package var schemaVersion: [UInt8]?
    package var topicEpoch: UInt64?
    /// False: the producer waits for exclusive access, and a second PRODUCER_SUCCESS will follow.
    package var producerReady: Bool?

    package init(
        requestID: UInt64, producerName: String, lastSequenceID: Int64? = nil, schemaVersion: [UInt8]? = nil,
        topicEpoch: UInt64? = nil, producerReady: Bool? = nil
    ) {
        self.requestID = requestID
        self.producerName = producerName
        self.lastSequenceID = lastSequenceID
        self.schemaVersion = schemaVersion
        self.topicEpoch = topicEpoch
        self.producerReady = producerReady
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var requestID: UInt64?
        var producerName: String?
        var lastSequenceID: Int64?
        var schemaVersion: [UInt8]?
        var topicEpoch: UInt64?
        var producerReady: Bool?
        while let field = try reader.next() {
            switch field.number {
            case 1: requestID = field.uint64
            case 2: producerName = field.string
            case 3: lastSequenceID = field.int64
            case 4: schemaVersion = field.bytes
            case 5: topicEpoch = field.uint64
            case 6: producerReady = field.bool
            default: break
            }
        }
        self.init(
            requestID: try required(requestID, "PRODUCER_SUCCESS.request_id"),
            producerName: try required(producerName, "PRODUCER_SUCCESS.producer_name"), lastSequenceID: lastSequenceID,
            schemaVersion: schemaVersion, topicEpoch: topicEpoch, producerReady: producerReady)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, requestID)
        sink.field(2, producerName)
        sink.field(3, lastSequenceID)
        sink.field(4, schemaVersion)
        sink.field(5, topicEpoch)
        sink.field(6, producerReady)
    }
}
