package import NIOCore

/// Writes the fields of a composite type in order; nulls at the end are left out.
package struct FieldWriter {
    private let start: Int
    private var count = 0
    private var nulls = 0

    package init(_ buffer: inout ByteBuffer) { start = buffer.beginAMQPCompound(0xC0) }

    package mutating func end(_ buffer: inout ByteBuffer) {
        if count == 0 {
            buffer.moveWriterIndex(to: start)
            buffer.writeInteger(0x45 as UInt8)
        } else {
            buffer.endAMQPCompound(start, count: count, large: 0xD0)
        }
    }

    /// Ends the list with its nulls written out. Performatives and what is in them are written like this, as the service
    /// does: the official Python client reads their fields by index and fails on a list that is cut short.
    package mutating func endWithAllFields(_ buffer: inout ByteBuffer) {
        while nulls > 0 {
            buffer.writeAMQP(null: ())
            nulls -= 1
            count += 1
        }
        end(&buffer)
    }

    /// The nulls that were held back stand before a field that is not null.
    package mutating func next(_ buffer: inout ByteBuffer) {
        while nulls > 0 {
            buffer.writeAMQP(null: ())
            nulls -= 1
            count += 1
        }
        count += 1
    }

    package mutating func null() { nulls += 1 }

    /// A boolean whose absence means `absent`.
    package mutating func boolean(_ value: Bool?, absent: Bool? = nil, _ buffer: inout ByteBuffer) {
        guard let value, value != absent else { return null() }
        next(&buffer)
        buffer.writeAMQP(boolean: value)
    }

    package mutating func ubyte(_ value: UInt8?, _ buffer: inout ByteBuffer) {
        guard let value else { return null() }
        next(&buffer)
        buffer.writeAMQP(ubyte: value)
    }

    package mutating func ushort(_ value: UInt16?, _ buffer: inout ByteBuffer) {
        guard let value else { return null() }
        next(&buffer)
        buffer.writeAMQP(ushort: value)
    }

    package mutating func uint(_ value: UInt32?, _ buffer: inout ByteBuffer) {
        guard let value else { return null() }
        next(&buffer)
        buffer.writeAMQP(uint: value)
    }

    package mutating func ulong(_ value: UInt64?, _ buffer: inout ByteBuffer) {
        guard let value else { return null() }
        next(&buffer)
        buffer.writeAMQP(ulong: value)
    }

    package mutating func timestamp(_ value: Int64?, _ buffer: inout ByteBuffer) {
        guard let value else { return null() }
        next(&buffer)
        buffer.writeAMQP(timestamp: value)
    }

    package mutating func string(_ value: String?, _ buffer: inout ByteBuffer) {
        guard let value else { return null() }
        next(&buffer)
        buffer.writeAMQP(string: value)
    }

    package mutating func symbol(_ value: String?, _ buffer: inout ByteBuffer) {
        guard let value else { return null() }
        next(&buffer)
        buffer.writeAMQP(symbol: value)
    }

    package mutating func binary(_ value: ByteBuffer?, _ buffer: inout ByteBuffer) {
        guard let value else { return null() }
        next(&buffer)
        buffer.writeAMQP(binary: value)
    }

    /// An empty map is left out.
    package mutating func map(_ value: AMQPMap, _ buffer: inout ByteBuffer) {
        guard !value.entries.isEmpty else { return null() }
        next(&buffer)
        buffer.writeAMQP(map: value)
    }

    /// None is left out; several become an array.
    package mutating func symbols(_ value: [String], _ buffer: inout ByteBuffer) {
        guard !value.isEmpty else { return null() }
        next(&buffer)
        buffer.writeAMQP(symbols: value)
    }

    package mutating func value(_ value: AMQPValue, _ buffer: inout ByteBuffer) {
        guard value != .null else { return null() }
        next(&buffer)
        buffer.writeAMQP(value)
    }
}
