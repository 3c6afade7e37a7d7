/// What stands in front of one message inside a batch.
package struct SingleMessageMetadata: ProtobufMessage {
    package var properties: [Property]
    package var partitionKey: String?
    /// Bytes.
    package var payloadSize: Int32
    /// To be passed over by consumers.
    package var compactedOut: Bool?
    /// Milliseconds since 1970.
    package var eventTime: UInt64?
    package var partitionKeyB64Encoded: Bool?
    package var orderingKey: [UInt8]?
    package var sequenceID: UInt64?
    package var nullValue: Bool?
    package var nullPartitionKey: Bool?

    package init(
        properties: [Property] = [], partitionKey: String? = nil, payloadSize: Int32, compactedOut: Bool? = nil,
        eventTime: UInt64? = nil, partitionKeyB64Encoded: Bool? = nil, orderingKey: [UInt8]? = nil,
        sequenceID: UInt64? = nil, nullValue: Bool? = nil, nullPartitionKey: Bool? = nil
    ) {
        self.properties = properties
        self.partitionKey = partitionKey
        self.payloadSize = payloadSize
        self.compactedOut = compactedOut
        self.eventTime = eventTime
        self.partitionKeyB64Encoded = partitionKeyB64Encoded
        self.orderingKey = orderingKey
        self.sequenceID = sequenceID
        self.nullValue = nullValue
        self.nullPartitionKey = nullPartitionKey
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var payloadSize: Int32?
        var properties: [Property] = []
        var partitionKey: String?
        var compactedOut: Bool?
        var eventTime: UInt64?
        var partitionKeyB64Encoded: Bool?
        var orderingKey: [UInt8]?
        var sequenceID: UInt64?
        var nullValue: Bool?
        var nullPartitionKey: Bool?
        while let field = try reader.next() {
            switch field.number {
            case 1: if let value: Property = try field.message() { properties.append(value) }
            case 2: partitionKey = field.string
            case 3: payloadSize = field.int32
            case 4: compactedOut = field.bool
            case 5: eventTime = field.uint64
            case 6: partitionKeyB64Encoded = field.bool
            case 7: orderingKey = field.bytes
            case 8: sequenceID = field.uint64
            case 9: nullValue = field.bool
            case 10: nullPartitionKey = field.bool
            default: break
            }
        }
        self.init(
            properties: properties, partitionKey: partitionKey,
            payloadSize: try required(payloadSize, "SingleMessageMetadata.payload_size"), compactedOut: compactedOut,
            eventTime: eventTime, partitionKeyB64Encoded: partitionKeyB64Encoded, orderingKey: orderingKey,
            sequenceID: sequenceID, nullValue: nullValue, nullPartitionKey: nullPartitionKey)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.fields(1, properties)
        sink.field(2, partitionKey)
        sink.field(3, payloadSize)
        sink.field(4, compactedOut)
        sink.field(5, eventTime)
        sink.field(6, partitionKeyB64Encoded)
        sink.field(7, orderingKey)
        sink.field(8, sequenceID)
        sink.field(9, nullValue)
        sink.field(10, nullPartitionKey)
    }
}
