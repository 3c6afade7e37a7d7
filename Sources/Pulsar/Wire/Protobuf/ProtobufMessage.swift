package import NIOCore

/// A message of the protocol's proto2 file.
package protocol ProtobufMessage: Equatable, Sendable {
    /// Takes all the fields that `reader` has; unknown ones are skipped.
    init(from reader: inout ProtobufReader) throws(WireError)
    /// Writes the fields that are there, by ascending number as the official clients do.
    func encode<Sink: ProtobufSink>(to sink: inout Sink)
}

extension ProtobufMessage {
    package init(_ buffer: ByteBuffer) throws(WireError) {
        var reader = ProtobufReader(buffer)
        try self.init(from: &reader)
    }

    /// Bytes on the wire, without a length in front.
    package var encodedLength: Int {
        var length = ProtobufLength()
        encode(to: &length)
        return length.bytes
    }
}

/// A required field's value; a message without one is no message.
func required<Value>(_ value: Value?, _ name: StaticString) throws(WireError) -> Value {
    guard let value else { throw WireError(.missingField, "the required field \(name) is missing") }
    return value
}
