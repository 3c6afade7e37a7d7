/// SEND: a message or a batch, with a payload behind the command.
package struct SendCommand: ProtobufMessage {
    package var producerID: UInt64
    /// Of the message, or the lowest of the batch.
    package var sequenceID: UInt64
    /// In the batch.
    package var numMessages: Int32?
    package var txnIDLeastBits: UInt64?
    package var txnIDMostBits: UInt64?
    /// Of the batch.
    package var highestSequenceID: UInt64?
    package var isChunk: Bool?
    package var marker: Bool?
    package var messageID: MessageIDData?

    package init(
        producerID: UInt64, sequenceID: UInt64, numMessages: Int32? = nil, txnIDLeastBits: UInt64? = nil,
        txnIDMostBits: UInt64? = nil, highestSequenceID: UInt64? = nil, isChunk: Bool? = nil, marker: Bool? = nil,
        messageID: MessageIDData? = nil
    ) {
        self.producerID = producerID
        self.sequenceID = sequenceID
        self.numMessages = numMessages
        self.txnIDLeastBits = txnIDLeastBits
        self.txnIDMostBits = txnIDMostBits
        self.highestSequenceID = highestSequenceID
        self.isChunk = isChunk
        self.marker = marker
        self.messageID = messageID
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var producerID: UInt64?
        var sequenceID: UInt64?
        var numMessages: Int32?
        var txnIDLeastBits: UInt64?
        var txnIDMostBits: UInt64?
        var highestSequenceID: UInt64?
        var isChunk: Bool?
        var marker: Bool?
        var messageID: MessageIDData?
        while let field = try reader.next() {
            switch field.number {
            case 1: producerID = field.uint64
            case 2: sequenceID = field.uint64
            case 3: numMessages = field.int32
            case 4: txnIDLeastBits = field.uint64
            case 5: txnIDMostBits = field.uint64
            case 6: highestSequenceID = field.uint64
            case 7: isChunk = field.bool
            case 8: marker = field.bool
            case 9: messageID = try field.message()
            default: break
            }
        }
        self.init(
            producerID: try required(producerID, "SEND.producer_id"),
            sequenceID: try required(sequenceID, "SEND.sequence_id"), numMessages: numMessages,
            txnIDLeastBits: txnIDLeastBits, txnIDMostBits: txnIDMostBits, highestSequenceID: highestSequenceID,
            isChunk: isChunk, marker: marker, messageID: messageID)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, producerID)
        sink.field(2, sequenceID)
        sink.field(3, numMessages)
        sink.field(4, txnIDLeastBits)
        sink.field(5, txnIDMostBits)
        sink.field(6, highestSequenceID)
        sink.field(7, isChunk)
        sink.field(8, marker)
        sink.field(9, messageID)
    }
}

/// SEND_RECEIPT: what a SEND brought is stored, or was stored before.
package struct SendReceiptCommand: ProtobufMessage {
    package var producerID: UInt64
    /// As in the SEND.
    package var sequenceID: UInt64
    /// -1 as ledger and entry: a duplicate, not stored again.
    package var messageID: MessageIDData?
    /// As in the SEND.
    package var highestSequenceID: UInt64?

    package init(
        producerID: UInt64, sequenceID: UInt64, messageID: MessageIDData? = nil, highestSequenceID: UInt64? = nil
    ) {
        self.producerID = producerID
        self.sequenceID = sequenceID
        self.messageID = messageID
        self.highestSequenceID = highestSequenceID
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var producerID: UInt64?
        var sequenceID: UInt64?
        var messageID: MessageIDData?
        var highestSequenceID: UInt64?
        while let field = try reader.next() {
            switch field.number {
            case 1: producerID = field.uint64
            case 2: sequenceID = field.uint64
            case 3: messageID = try field.message()
            case 4: highestSequenceID = field.uint64
            default: break
            }
        }
        self.init(
            producerID: try required(producerID, "SEND_RECEIPT.producer_id"),
            sequenceID: try required(sequenceID, "SEND_RECEIPT.sequence_id"), messageID: messageID,
            highestSequenceID: highestSequenceID)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, producerID)
        sink.field(2, sequenceID)
        sink.field(3, messageID)
        sink.field(4, highestSequenceID)
    }
}

/// SEND_ERROR: what a SEND brought was refused.
package struct SendErrorCommand: ProtobufMessage {
    package var producerID: UInt64
    /// The higher one of the two ids of the SEND.
    package var sequenceID: UInt64
    package var error: ServerError
    package var message: String

    package init(producerID: UInt64, sequenceID: UInt64, error: ServerError, message: String) {
        self.producerID = producerID
        self.sequenceID = sequenceID
        self.error = error
        self.message = message
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var producerID: UInt64?
        var sequenceID: UInt64?
        var error: ServerError?
        var message: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: producerID = field.uint64
            case 2: sequenceID = field.uint64
            case 3: error = field.value()
            case 4: message = field.string
            default: break
            }
        }
        self.init(
            producerID: try required(producerID, "SEND_ERROR.producer_id"),
            sequenceID: try required(sequenceID, "SEND_ERROR.sequence_id"),
            error: try required(error, "SEND_ERROR.error"), message: try required(message, "SEND_ERROR.message"))
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, producerID)
        sink.field(2, sequenceID)
        sink.field(3, error)
        sink.field(4, message)
    }
}
