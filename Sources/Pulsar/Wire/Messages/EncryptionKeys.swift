/// The key of an encrypted payload, itself encrypted.
package struct EncryptionKeys: ProtobufMessage {
    package var key: String
    /// The data key, encrypted with the public key of that name.
    package var value: [UInt8]
    package var metadata: [Property]

    package init(key: String, value: [UInt8], metadata: [Property] = []) {
        self.key = key
        self.value = value
        self.metadata = metadata
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var key: String?
        var value: [UInt8]?
        var metadata: [Property] = []
        while let field = try reader.next() {
            switch field.number {
            case 1: key = field.string
            case 2: value = field.bytes
            case 3: if let value: Property = try field.message() { metadata.append(value) }
            default: break
            }
        }
        self.init(
            key: try required(key, "EncryptionKeys.key"), value: try required(value, "EncryptionKeys.value"),
            metadata: metadata)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, key)
        sink.field(2, value)
        sink.fields(3, metadata)
    }
}
