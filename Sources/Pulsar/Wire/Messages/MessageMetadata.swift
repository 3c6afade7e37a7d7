/// What stands in front of a payload: of one message, or of a batch as a whole.
package struct MessageMetadata: ProtobufMessage {
    package var producerName: String
    /// Of the message, or the lowest of the batch.
    package var sequenceID: UInt64
    /// Milliseconds since 1970, by the clock of the client.
    package var publishTime: UInt64
    package var properties: [Property]
    package var replicatedFrom: String?
    package var partitionKey: String?
    /// Clusters; `__local__` alone: none.
    package var replicateTo: [String]
    package var compression: CompressionType?
    /// Bytes of the payload before compression.
    package var uncompressedSize: UInt32?
    /// Its presence says that the payload is a batch, be it of one.
    package var numMessagesInBatch: Int32?
    /// Milliseconds since 1970; 0: not set.
    package var eventTime: UInt64?
    package var encryptionKeys: [EncryptionKeys]
    package var encryptionAlgo: String?
    package var encryptionParam: [UInt8]?
    package var schemaVersion: [UInt8]?
    /// The key is base64 of bytes.
    package var partitionKeyB64Encoded: Bool?
    package var orderingKey: [UInt8]?
    /// Milliseconds since 1970.
    package var deliverAtTime: Int64?
    /// Internal to brokers.
    package var markerType: Int32?
    package var txnIDLeastBits: UInt64?
    package var txnIDMostBits: UInt64?
    /// Of the batch; deduplication reads it here when a broker reads its entries again.
    package var highestSequenceID: UInt64?
    /// The message has no value, which is not the same as an empty one.
    package var nullValue: Bool?
    package var uuid: String?
    package var numChunksFromMsg: Int32?
    /// Bytes of all chunks.
    package var totalChunkMsgSize: Int32?
    package var chunkID: Int32?
    package var nullPartitionKey: Bool?

    package init(
        producerName: String, sequenceID: UInt64, publishTime: UInt64, properties: [Property] = [],
        replicatedFrom: String? = nil, partitionKey: String? = nil, replicateTo: [String] = [],
        compression: CompressionType? = nil, uncompressedSize: UInt32? = nil, numMessagesInBatch: Int32? = nil,
        eventTime: UInt64? = nil, encryptionKeys: [EncryptionKeys] = [], encryptionAlgo: String? = nil,
        encryptionParam: [UInt8]? = nil, schemaVersion: [UInt8]? = nil, partitionKeyB64Encoded: Bool? = nil,
        orderingKey: [UInt8]? = nil, deliverAtTime: Int64? = nil, markerType: Int32? = nil,
        txnIDLeastBits: UInt64? = nil, txnIDMostBits: UInt64? = nil, highestSequenceID: UInt64? = nil,
        nullValue: Bool? = nil, uuid: String? = nil, numChunksFromMsg: Int32? = nil, totalChunkMsgSize: Int32? = nil,
        chunkID: Int32? = nil, nullPartitionKey: Bool? = nil
    ) {
        self.producerName = producerName
        self.sequenceID = sequenceID
        self.publishTime = publishTime
        self.properties = properties
        self.replicatedFrom = replicatedFrom
        self.partitionKey = partitionKey
        self.replicateTo = replicateTo
        self.compression = compression
        self.uncompressedSize = uncompressedSize
        self.numMessagesInBatch = numMessagesInBatch
        self.eventTime = eventTime
        self.encryptionKeys = encryptionKeys
        self.encryptionAlgo = encryptionAlgo
        self.encryptionParam = encryptionParam
        self.schemaVersion = schemaVersion
        self.partitionKeyB64Encoded = partitionKeyB64Encoded
        self.orderingKey = orderingKey
        self.deliverAtTime = deliverAtTime
        self.markerType = markerType
        self.txnIDLeastBits = txnIDLeastBits
        self.txnIDMostBits = txnIDMostBits
        self.highestSequenceID = highestSequenceID
        self.nullValue = nullValue
        self.uuid = uuid
        self.numChunksFromMsg = numChunksFromMsg
        self.totalChunkMsgSize = totalChunkMsgSize
        self.chunkID = chunkID
        self.nullPartitionKey = nullPartitionKey
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var producerName: String?
        var sequenceID: UInt64?
        var publishTime: UInt64?
        var properties: [Property] = []
        var replicatedFrom: String?
        var partitionKey: String?
        var replicateTo: [String] = []
        var compression: CompressionType?
        var uncompressedSize: UInt32?
        var numMessagesInBatch: Int32?
        var eventTime: UInt64?
        var encryptionKeys: [EncryptionKeys] = []
        var encryptionAlgo: String?
        var encryptionParam: [UInt8]?
        var schemaVersion: [UInt8]?
        var partitionKeyB64Encoded: Bool?
        var orderingKey: [UInt8]?
        var deliverAtTime: Int64?
        var markerType: Int32?
        var txnIDLeastBits: UInt64?
        var txnIDMostBits: UInt64?
        var highestSequenceID: UInt64?
        var nullValue: Bool?
        var uuid: String?
        var numChunksFromMsg: Int32?
        var totalChunkMsgSize: Int32?
        var chunkID: Int32?
        var nullPartitionKey: Bool?
        while let field = try reader.next() {
            switch field.number {
            case 1: producerName = field.string
            case 2: sequenceID = field.uint64
            case 3: publishTime = field.uint64
            case 4: if let value: Property = try field.message() { properties.append(value) }
            case 5: replicatedFrom = field.string
            case 6: partitionKey = field.string
            case 7: if let value = field.string { replicateTo.append(value) }
            case 8: compression = field.value()
            case 9: uncompressedSize = field.uint32
            case 11: numMessagesInBatch = field.int32
            case 12: eventTime = field.uint64
            case 13: if let value: EncryptionKeys = try field.message() { encryptionKeys.append(value) }
            case 14: encryptionAlgo = field.string
            case 15: encryptionParam = field.bytes
            case 16: schemaVersion = field.bytes
            case 17: partitionKeyB64Encoded = field.bool
            case 18: orderingKey = field.bytes
            case 19: deliverAtTime = field.int64
            case 20: markerType = field.int32
            case 22: txnIDLeastBits = field.uint64
            case 23: txnIDMostBits = field.uint64
            case 24: highestSequenceID = field.uint64
            case 25: nullValue = field.bool
            case 26: uuid = field.string
            case 27: numChunksFromMsg = field.int32
            case 28: totalChunkMsgSize = field.int32
            case 29: chunkID = field.int32
            case 30: nullPartitionKey = field.bool
            default: break
            }
        }
        self.init(
            producerName: try required(producerName, "MessageMetadata.producer_name"),
            sequenceID: try required(sequenceID, "MessageMetadata.sequence_id"),
            publishTime: try required(publishTime, "MessageMetadata.publish_time"), properties: properties,
            replicatedFrom: replicatedFrom, partitionKey: partitionKey, replicateTo: replicateTo,
            compression: compression, uncompressedSize: uncompressedSize, numMessagesInBatch: numMessagesInBatch,
            eventTime: eventTime, encryptionKeys: encryptionKeys, encryptionAlgo: encryptionAlgo,
            encryptionParam: encryptionParam, schemaVersion: schemaVersion,
            partitionKeyB64Encoded: partitionKeyB64Encoded, orderingKey: orderingKey, deliverAtTime: deliverAtTime,
            markerType: markerType, txnIDLeastBits: txnIDLeastBits, txnIDMostBits: txnIDMostBits,
            highestSequenceID: highestSequenceID, nullValue: nullValue, uuid: uuid, numChunksFromMsg: numChunksFromMsg,
            totalChunkMsgSize: totalChunkMsgSize, chunkID: chunkID, nullPartitionKey: nullPartitionKey)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, producerName)
        sink.field(2, sequenceID)
        sink.field(3, publishTime)
        sink.fields(4, properties)
        sink.field(5, replicatedFrom)
        sink.field(6, partitionKey)
        sink.fields(7, replicateTo)
        sink.field(8, compression)
        sink.field(9, uncompressedSize)
        sink.field(11, numMessagesInBatch)
        sink.field(12, eventTime)
        sink.fields(13, encryptionKeys)
        sink.field(14, encryptionAlgo)
        sink.field(15, encryptionParam)
        sink.field(16, schemaVersion)
        sink.field(17, partitionKeyB64Encoded)
        sink.field(18, orderingKey)
        sink.field(19, deliverAtTime)
        sink.field(20, markerType)
        sink.field(22, txnIDLeastBits)
        sink.field(23, txnIDMostBits)
        sink.field(24, highestSequenceID)
        sink.field(25, nullValue)
        sink.field(26, uuid)
        sink.field(27, numChunksFromMsg)
        sink.field(28, totalChunkMsgSize)
        sink.field(29, chunkID)
        sink.field(30, nullPartitionKey)
    }
}
