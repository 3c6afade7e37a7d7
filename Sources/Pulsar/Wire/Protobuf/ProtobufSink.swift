package import NIOCore

/// Where the fields of a message go: into a buffer, or only into a sum of lengths. So a message describes its fields once,
/// and a length that stands in front of its bytes is known before they are written.
package protocol ProtobufSink {
    mutating func varint(_ value: UInt64)
    mutating func bytes(_ bytes: [UInt8])
    mutating func text(_ text: String)
}

extension ProtobufSink {
    package mutating func field(_ number: Int, _ value: UInt64?) {
        guard let value else { return }
        varint(UInt64(number) << 3)
        varint(value)
    }

    /// A negative number takes ten bytes, of 32 bits or 64.
    package mutating func field(_ number: Int, _ value: Int64?) { field(number, value.map { UInt64(bitPattern: $0) }) }
    package mutating func field(_ number: Int, _ value: Int32?) { field(number, value.map { Int64($0) }) }
    package mutating func field(_ number: Int, _ value: UInt32?) { field(number, value.map { UInt64($0) }) }
    package mutating func field(_ number: Int, _ value: Bool?) { field(number, value.map { $0 ? 1 : 0 } as UInt64?) }

    package mutating func field<Value: RawRepresentable<UInt64>>(_ number: Int, _ value: Value?) {
        field(number, value?.rawValue)
    }

    package mutating func field(_ number: Int, _ value: String?) {
        guard let value else { return }
        head(number, length: value.utf8.count)
        text(value)
    }

    package mutating func field(_ number: Int, _ value: [UInt8]?) {
        guard let value else { return }
        head(number, length: value.count)
        bytes(value)
    }

    package mutating func field<Message: ProtobufMessage>(_ number: Int, _ value: Message?) {
        guard let value else { return }
        head(number, length: value.encodedLength)
        value.encode(to: &self)
    }

    package mutating func fields<Message: ProtobufMessage>(_ number: Int, _ values: [Message]) {
        for value in values { field(number, value) }
    }

    package mutating func fields(_ number: Int, _ values: [String]) {
        for value in values { field(number, value) }
    }

    /// Not packed: the protocol's file does not say so.
    package mutating func fields(_ number: Int, _ values: [Int64]) {
        for value in values { field(number, value) }
    }

    /// What stands before the `length` bytes of a string, of bytes or of a message.
    package mutating func head(_ number: Int, length: Int) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(length))
    }
}

/// The sum of what would be written.
package struct ProtobufLength: ProtobufSink {
    package private(set) var bytes = 0

    package init() {}

    package mutating func varint(_ value: UInt64) { bytes += Self.varint(value) }
    package mutating func bytes(_ value: [UInt8]) { bytes += value.count }
    package mutating func text(_ value: String) { bytes += value.utf8.count }

    /// Seven bits to a byte.
    package static func varint(_ value: UInt64) -> Int { (70 - (value | 1).leadingZeroBitCount) / 7 }
}

extension ByteBuffer: ProtobufSink {
    package mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        writeInteger(UInt8(truncatingIfNeeded: value))
    }

    package mutating func bytes(_ bytes: [UInt8]) { writeBytes(bytes) }
    package mutating func text(_ text: String) { writeString(text) }
}
