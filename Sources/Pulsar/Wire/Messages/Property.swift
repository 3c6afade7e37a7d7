/// A property of a message, a producer or a consumer (KeyValue in the protocol's file).
package struct Property: ProtobufMessage {
    package var key: String
    package var value: String

    package init(key: String, value: String) {
        self.key = key
        self.value = value
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var key: String?
        var value: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: key = field.string
            case 2: value = field.string
            default: break
            }
        }
        self.init(key: try required(key, "KeyValue.key"), value: try required(value, "KeyValue.value"))
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, key)
        sink.field(2, value)
    }
}
