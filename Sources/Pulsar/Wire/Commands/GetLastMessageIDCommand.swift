/// GET_LAST_MESSAGE_ID: where does the topic end?
package struct GetLastMessageIDCommand: ProtobufMessage {
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
            consumerID: try required(consumerID, "GET_LAST_MESSAGE_ID.consumer_id"),
            requestID: try required(requestID, "GET_LAST_MESSAGE_ID.request_id"))
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, consumerID)
        sink.field(2, requestID)
    }
}

/// GET_LAST_MESSAGE_ID_RESPONSE.
package struct GetLastMessageIDResponseCommand: ProtobufMessage {
    package var lastMessageID: MessageIDData
    package var requestID: UInt64
    package var consumerMarkDeletePosition: MessageIDData?

    package init(lastMessageID: MessageIDData, requestID: UInt64, consumerMarkDeletePosition: MessageIDData? = nil) {
        self.lastMessageID = lastMessageID
        self.requestID = requestID
        self.consumerMarkDeletePosition = consumerMarkDeletePosition
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var lastMessageID: MessageIDData?
        var requestID: UInt64?
        var consumerMarkDeletePosition: MessageIDData?
        while let field = try reader.next() {
            switch field.number {
            case 1: lastMessageID = try field.message()
            case 2: requestID = field.uint64
            case 3: consumerMarkDeletePosition = try field.message()
            default: break
            }
        }
        self.init(
            lastMessageID: try required(lastMessageID, "GET_LAST_MESSAGE_ID_RESPONSE.last_message_id"),
            requestID: try required(requestID, "GET_LAST_MESSAGE_ID_RESPONSE.request_id"),
            consumerMarkDeletePosition: consumerMarkDeletePosition)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, lastMessageID)
        sink.field(2, requestID)
        sink.field(3, consumerMarkDeletePosition)
    }
}
