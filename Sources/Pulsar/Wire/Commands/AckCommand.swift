/// ACK: messages that a consumer is done with.
package struct AckCommand: ProtobufMessage {
    package var consumerID: UInt64
    package var ackType: AcknowledgementType
    package var messageID: [MessageIDData]
    package var validationError: ValidationError?
    package var txnIDLeastBits: UInt64?
    package var txnIDMostBits: UInt64?
    package var requestID: UInt64?

    package init(
        consumerID: UInt64, ackType: AcknowledgementType, messageID: [MessageIDData] = [],
        validationError: ValidationError? = nil, txnIDLeastBits: UInt64? = nil, txnIDMostBits: UInt64? = nil,
        requestID: UInt64? = nil
    ) {
        self.consumerID = consumerID
        self.ackType = ackType
        self.messageID = messageID
        self.validationError = validationError
        self.txnIDLeastBits = txnIDLeastBits
        self.txnIDMostBits = txnIDMostBits
        self.requestID = requestID
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var consumerID: UInt64?
        var ackType: AcknowledgementType?
        var messageID: [MessageIDData] = []
        var validationError: ValidationError?
        var txnIDLeastBits: UInt64?
        var txnIDMostBits: UInt64?
        var requestID: UInt64?
        while let field = try reader.next() {
            switch field.number {
            case 1: consumerID = field.uint64
            case 2: ackType = field.value()
            case 3: if let value: MessageIDData = try field.message() { messageID.append(value) }
            case 4: validationError = field.value()
            case 6: txnIDLeastBits = field.uint64
            case 7: txnIDMostBits = field.uint64
            case 8: requestID = field.uint64
            default: break
            }
        }
        self.init(
            consumerID: try required(consumerID, "ACK.consumer_id"), ackType: try required(ackType, "ACK.ack_type"),
            messageID: messageID, validationError: validationError, txnIDLeastBits: txnIDLeastBits,
            txnIDMostBits: txnIDMostBits, requestID: requestID)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, consumerID)
        sink.field(2, ackType)
        sink.fields(3, messageID)
        sink.field(4, validationError)
        sink.field(6, txnIDLeastBits)
        sink.field(7, txnIDMostBits)
        sink.field(8, requestID)
    }
}

/// ACK_RESPONSE: the reply to an ACK that has a request id.
package struct AckResponseCommand: ProtobufMessage {
    package var consumerID: UInt64
    package var error: ServerError?
    package var message: String?
    package var requestID: UInt64?

    package init(consumerID: UInt64, error: ServerError? = nil, message: String? = nil, requestID: UInt64? = nil) {
        self.consumerID = consumerID
        self.error = error
        self.message = message
        self.requestID = requestID
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var consumerID: UInt64?
        var error: ServerError?
        var message: String?
        var requestID: UInt64?
        while let field = try reader.next() {
            switch field.number {
            case 1: consumerID = field.uint64
            case 4: error = field.value()
            case 5: message = field.string
            case 6: requestID = field.uint64
            default: break
            }
        }
        self.init(
            consumerID: try required(consumerID, "ACK_RESPONSE.consumer_id"), error: error, message: message,
            requestID: requestID)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, consumerID)
        sink.field(4, error)
        sink.field(5, message)
        sink.field(6, requestID)
    }
}
