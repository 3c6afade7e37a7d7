/// SUCCESS: the reply to a request that has no other.
package struct SuccessCommand: ProtobufMessage {
    package var requestID: UInt64
    package var schema: Schema?

    package init(requestID: UInt64, schema: Schema? = nil) {
        self.requestID = requestID
        self.schema = schema
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var requestID: UInt64?
        var schema: Schema?
        while let field = try reader.next() {
            switch field.number {
            case 1: requestID = field.uint64
            case 2: schema = try field.message()
            default: break
            }
        }
        self.init(requestID: try required(requestID, "SUCCESS.request_id"), schema: schema)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, requestID)
        sink.field(2, schema)
    }
}

/// ERROR: a request failed; in the handshake, the broker refuses the client.
package struct ErrorCommand: ProtobufMessage {
    package var requestID: UInt64
    package var error: ServerError
    package var message: String

    package init(requestID: UInt64, error: ServerError, message: String) {
        self.requestID = requestID
        self.error = error
        self.message = message
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var requestID: UInt64?
        var error: ServerError?
        var message: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: requestID = field.uint64
            case 2: error = field.value()
            case 3: message = field.string
            default: break
            }
        }
        self.init(
            requestID: try required(requestID, "ERROR.request_id"), error: try required(error, "ERROR.error"),
            message: try required(message, "ERROR.message"))
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, requestID)
        sink.field(2, error)
        sink.field(3, message)
    }
}
