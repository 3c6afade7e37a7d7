package import NIOCore

/// Reads the fields of one protobuf (proto2) message, in whatever order they come.
///
/// Nothing that a peer writes makes it trap or allocate beyond the bytes at hand: every length is checked against what is
/// left, and messages inside each other stop at `maximumDepth`.
package struct ProtobufReader {
    /// Messages inside each other; the protocol's own stay below five.
    package static let maximumDepth = 16

    private let buffer: ByteBuffer
    /// An index of `buffer`.
    private var position: Int
    private let end: Int
    private let depth: Int

    package init(_ buffer: ByteBuffer) {
        self.init(buffer, depth: 0)
    }

    init(_ buffer: ByteBuffer, depth: Int) {
        self.buffer = buffer
        self.depth = depth
        position = buffer.readerIndex
        end = buffer.writerIndex
    }

    /// The next field, known to the caller or not; nil at the end of the message.
    package mutating func next() throws(WireError) -> ProtobufField? {
        guard position < end else { return nil }
        let tag = try varint()
        // Field numbers have 29 bits.
        guard tag >> 3 > 0, tag >> 3 < 1 << 29 else {
            throw WireError(.malformedField, "a protobuf field with the number \(tag >> 3)")
        }
        let number = Int(tag >> 3)
        switch tag & 7 {
        case 0: return ProtobufField(number: number, content: .varint(try varint()), depth: depth)
        case 1: return ProtobufField(number: number, content: .fixed(try slice(8)), depth: depth)
        case 2:
            let length = try varint()
            guard length <= UInt64(end - position) else {
                throw WireError(
                    .truncated, "protobuf field \(number) says \(length) bytes, \(end - position) are left")
            }
            return ProtobufField(number: number, content: .bytes(try slice(Int(length))), depth: depth)
        case 5: return ProtobufField(number: number, content: .fixed(try slice(4)), depth: depth)
        default:
            throw WireError(.malformedField, "protobuf field \(number) has wire type \(tag & 7)")
        }
    }

    private mutating func varint() throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 70 {
            guard position < end, let byte: UInt8 = buffer.getInteger(at: position) else {
                throw WireError(.truncated, "a protobuf number ends in its middle")
            }
            position += 1
            // Bits beyond the 64th are dropped, as every protobuf reader does.
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw WireError(.malformedField, "a protobuf number of more than ten bytes")
    }

    private mutating func slice(_ length: Int) throws(WireError) -> ByteBuffer {
        guard length <= end - position, let slice = buffer.getSlice(at: position, length: length) else {
            throw WireError(.truncated, "\(length) bytes of a protobuf field are needed, \(end - position) are left")
        }
        position += length
        return slice
    }
}
