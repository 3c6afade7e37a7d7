package import NIOCore

/// One field as it stands on the wire. Read as another type than it has, it is nil, as if it were not there: readers of
/// protobuf treat such a field as one that they do not know.
package struct ProtobufField {
    package enum Content {
        case varint(UInt64)
        /// 4 or 8 bytes; the protocol has no such field of its own.
        case fixed(ByteBuffer)
        case bytes(ByteBuffer)
    }

    package let number: Int
    package let content: Content
    /// How many messages are around the one that the field is in.
    let depth: Int

    package var uint64: UInt64? {
        guard case .varint(let value) = content else { return nil }
        return value
    }

    package var int64: Int64? { uint64.map { Int64(bitPattern: $0) } }
    package var uint32: UInt32? { uint64.map { UInt32(truncatingIfNeeded: $0) } }
    package var int32: Int32? { uint64.map { Int32(truncatingIfNeeded: $0) } }
    package var bool: Bool? { uint64.map { $0 != 0 } }

    package var buffer: ByteBuffer? {
        guard case .bytes(let value) = content else { return nil }
        return value
    }

    package var bytes: [UInt8]? { buffer.map { Array($0.readableBytesView) } }
    /// Invalid UTF-8 is mended, not refused: texts of a peer are only ever shown or compared.
    package var string: String? { buffer.map { String(buffer: $0) } }

    package func value<Value: RawRepresentable<UInt64>>() -> Value? { uint64.flatMap { Value(rawValue: $0) } }

    package func message<Message: ProtobufMessage>() throws(WireError) -> Message? {
        guard let buffer else { return nil }
        guard depth < ProtobufReader.maximumDepth else {
            throw WireError(
                .limitExceeded, "more than \(ProtobufReader.maximumDepth) protobuf messages inside each other")
        }
        var reader = ProtobufReader(buffer, depth: depth + 1)
        return try Message(from: &reader)
    }
}
