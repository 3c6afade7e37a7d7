/// The extra properties of one record, as they lie in a block: per attribute
/// `[u8 key length][key][u8 type: 1 = UTF-8 string, 2 = 64-bit integer][u32 little-endian length][value]`.
package enum RecordAttributes {
    package enum Value: Equatable {
        case string(UnsafeRawBufferPointer)
        case integer(Int64)

        package static func == (a: Value, b: Value) -> Bool {
            switch (a, b) {
            case (.integer(let a), .integer(let b)): a == b
            case (.string(let a), .string(let b)): a.elementsEqual(b)
            default: false
            }
        }
    }

    /// The length in bytes that a line had before it was cut.
    package static let truncatedKey: StaticString = "truncated"
    /// When it happened, as its source tells: milliseconds since 1970.
    package static let eventTimeKey: StaticString = "event_time"
    /// Why the record could not be taken apart.
    package static let parseErrorKey: StaticString = "parse_error"
    /// The record's offset in its source, where its place in the block does not tell it: the first of its attributes.
    package static let offsetKey: StaticString = "offset"
    /// Bytes that the attribute `offset` takes.
    package static let offsetSize = 1 + 6 + 5 + 8

    /// The value of a leading `offset`, and the attributes behind it.
    @inline(__always)
    package static func splitOffset(
        _ bytes: UnsafeRawBufferPointer
    ) -> (offset: UInt64, rest: UnsafeRawBufferPointer)? {
        guard bytes.count >= offsetSize, bytes[0] == 6, bytes[1] == UInt8(ascii: "o"), bytes[7] == 2,
            offsetKey.withUTF8Buffer({ bytes[1..<7].elementsEqual($0) })
        else { return nil }
        let offset = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt64.self))
        return (offset, UnsafeRawBufferPointer(rebasing: bytes[offsetSize...]))
    }

    /// Appends one attribute to `bytes`.
    package static func append(_ key: StaticString, _ value: Int64, to bytes: inout [UInt8]) {
        appendKey(key, type: 2, length: 8, to: &bytes)
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package static func append(_ key: StaticString, _ value: UnsafeRawBufferPointer, to bytes: inout [UInt8]) {
        appendKey(key, type: 1, length: UInt32(value.count), to: &bytes)
        bytes.append(contentsOf: value)
    }

    /// The same for a key that is not known beforehand: 1 to 255 bytes of UTF-8.
    package static func append(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, to bytes: inout [UInt8]
    ) {
        precondition((1...255).contains(key.count))
        bytes.append(UInt8(key.count))
        bytes.append(contentsOf: key)
        bytes.append(1)
        withUnsafeBytes(of: UInt32(value.count).littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: value)
    }

    private static func appendKey(_ key: StaticString, type: UInt8, length: UInt32, to bytes: inout [UInt8]) {
        bytes.append(UInt8(key.utf8CodeUnitCount))
        key.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(type)
        withUnsafeBytes(of: length.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Calls `body` for each attribute; false when the bytes end early or hold an unknown type (what came before it
    /// has been delivered).
    @discardableResult
    package static func forEach(
        in bytes: UnsafeRawBufferPointer, _ body: (_ key: UnsafeRawBufferPointer, Value) -> Void
    ) -> Bool {
        var index = 0
        while index < bytes.count {
            let keyEnd = index + 1 + Int(bytes[index])
            guard keyEnd + 5 <= bytes.count else { return false }
            let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: keyEnd + 1, as: UInt32.self)))
            let end = keyEnd + 5 + length
            guard end <= bytes.count else { return false }
            let key = UnsafeRawBufferPointer(rebasing: bytes[(index + 1)..<keyEnd])
            let value = UnsafeRawBufferPointer(rebasing: bytes[(keyEnd + 5)..<end])
            switch (bytes[keyEnd], length) {
            case (1, _): body(key, .string(value))
            case (2, 8):
                body(key, .integer(Int64(littleEndian: value.loadUnaligned(as: Int64.self))))
            default: return false
            }
            index = end
        }
        return true
    }
}
