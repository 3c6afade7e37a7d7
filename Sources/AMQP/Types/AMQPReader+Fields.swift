package import NIOCore

extension AMQPReader {
    // MARK: Typed values, nil for null

    package mutating func optionalBoolean() throws(AMQPCodecError) -> Bool? {
        switch try byte() {
        case 0x40: return nil
        case 0x41: return true
        case 0x42: return false
        case 0x56: return try booleanByte()
        case let code: throw unexpected(code, "a boolean")
        }
    }

    package mutating func optionalUByte() throws(AMQPCodecError) -> UInt8? {
        switch try byte() {
        case 0x40: return nil
        case 0x50: return try byte()
        case let code: throw unexpected(code, "a ubyte")
        }
    }

    package mutating func optionalUShort() throws(AMQPCodecError) -> UInt16? {
        switch try byte() {
        case 0x40: return nil
        case 0x60: return try integer()
        case let code: throw unexpected(code, "a ushort")
        }
    }

    package mutating func optionalUInt() throws(AMQPCodecError) -> UInt32? {
        switch try byte() {
        case 0x52: return UInt32(try byte())
        case 0x43: return 0
        case 0x70: return try integer()
        case 0x40: return nil
        case let code: throw unexpected(code, "a uint")
        }
    }

    package mutating func optionalULong() throws(AMQPCodecError) -> UInt64? {
        switch try byte() {
        case 0x53: return UInt64(try byte())
        case 0x44: return 0
        case 0x80: return try integer()
        case 0x40: return nil
        case let code: throw unexpected(code, "a ulong")
        }
    }

    package mutating func optionalTimestamp() throws(AMQPCodecError) -> Int64? {
        switch try byte() {
        case 0x40: return nil
        case 0x83: return try integer()
        case let code: throw unexpected(code, "a timestamp")
        }
    }

    /// A string or a symbol: peers mix them up where only one is allowed, and nothing is lost by reading both.
    package mutating func optionalText() throws(AMQPCodecError) -> String? {
        switch try byte() {
        case 0x40: return nil
        case 0xA1, 0xA3: return try text(try length(wide: false))
        case 0xB1, 0xB3: return try text(try length(wide: true))
        case let code: throw unexpected(code, "a string or symbol")
        }
    }

    package mutating func optionalBinary() throws(AMQPCodecError) -> ByteBuffer? {
        switch try byte() {
        case 0x40: return nil
        case 0xA0: return try bytes(Int(try byte()))
        case 0xB0: return try bytes(Int(try integer(UInt32.self)))
        case let code: throw unexpected(code, "a binary")
        }
    }

    package mutating func optionalMap() throws(AMQPCodecError) -> AMQPMap? {
        switch try byte() {
        case 0x40: return nil
        case 0xC1: return try map(wide: false, depth: 0)
        case 0xD1: return try map(wide: true, depth: 0)
        case let code: throw unexpected(code, "a map")
        }
    }

    /// A field with `multiple="true"`: null, one symbol, or an array of symbols.
    package mutating func symbols() throws(AMQPCodecError) -> [String] {
        let at = offset
        switch try value() {
        case .null: return []
        case .symbol(let name): return [name]
        case .array(let values):
            var names: [String] = []
            names.reserveCapacity(values.count)
            for value in values {
                guard case .symbol(let name) = value else {
                    throw AMQPCodecError(.unexpectedType, "an array element that is no symbol", at: at)
                }
                names.append(name)
            }
            return names
        default: throw AMQPCodecError(.unexpectedType, "a value where a symbol or an array of them belongs", at: at)
        }
    }

    // MARK: Lists of fields

    /// The fields of a composite type (part 1, section 1.4) while they are read in order.
    package struct Fields {
        fileprivate var left: Int
        fileprivate let end: Int
    }

    /// Enters a list; read its fields with the `…(_: inout Fields)` functions, then call `leave`.
    package mutating func enter() throws(AMQPCodecError) -> Fields {
        switch try byte() {
        case 0x45: return Fields(left: 0, end: position)
        case 0xC0:
            let (end, count) = try compound(wide: false)
            return Fields(left: count, end: end)
        case 0xD0:
            let (end, count) = try compound(wide: true)
            return Fields(left: count, end: end)
        case let code: throw unexpected(code, "a list")
        }
    }

    /// Skips the fields that were not asked for (newer versions of a type may have more).
    package mutating func leave(_ fields: Fields) throws(AMQPCodecError) {
        guard position <= fields.end else {
            throw failure(.truncated, "fields run \(position - fields.end) bytes past the end of their list")
        }
        position = fields.end
    }

    /// False when the list has no more fields: the rest is null.
    package mutating func next(_ fields: inout Fields) -> Bool {
        guard fields.left > 0 else { return false }
        fields.left -= 1
        return true
    }

    package mutating func boolean(_ fields: inout Fields) throws(AMQPCodecError) -> Bool? {
        next(&fields) ? try optionalBoolean() : nil
    }
    package mutating func ubyte(_ fields: inout Fields) throws(AMQPCodecError) -> UInt8? {
        next(&fields) ? try optionalUByte() : nil
    }
    package mutating func ushort(_ fields: inout Fields) throws(AMQPCodecError) -> UInt16? {
        next(&fields) ? try optionalUShort() : nil
    }
    package mutating func uint(_ fields: inout Fields) throws(AMQPCodecError) -> UInt32? {
        next(&fields) ? try optionalUInt() : nil
    }
    package mutating func ulong(_ fields: inout Fields) throws(AMQPCodecError) -> UInt64? {
        next(&fields) ? try optionalULong() : nil
    }
    package mutating func timestamp(_ fields: inout Fields) throws(AMQPCodecError) -> Int64? {
        next(&fields) ? try optionalTimestamp() : nil
    }
    package mutating func text(_ fields: inout Fields) throws(AMQPCodecError) -> String? {
        next(&fields) ? try optionalText() : nil
    }
    package mutating func binary(_ fields: inout Fields) throws(AMQPCodecError) -> ByteBuffer? {
        next(&fields) ? try optionalBinary() : nil
    }
    package mutating func map(_ fields: inout Fields) throws(AMQPCodecError) -> AMQPMap? {
        next(&fields) ? try optionalMap() : nil
    }
    package mutating func symbols(_ fields: inout Fields) throws(AMQPCodecError) -> [String] {
        next(&fields) ? try symbols() : []
    }
    package mutating func value(_ fields: inout Fields) throws(AMQPCodecError) -> AMQPValue {
        next(&fields) ? try value() : .null
    }

    package func require<T>(_ value: T?, _ field: String) throws(AMQPCodecError) -> T {
        guard let value else { throw failure(.missingField, "\(field) is missing") }
        return value
    }

    // MARK: Descriptors

    /// The numeric code of the descriptor that comes next, or nil (nothing consumed) if a null or plain value comes.
    /// Symbolic descriptors that the specification defines are turned into their numbers.
    package mutating func descriptor() throws(AMQPCodecError) -> Descriptor? {
        guard let first: UInt8 = buffer.getInteger(at: position) else { throw truncated(1) }
        guard first == 0 else { return nil }
        position += 1
        let code = try byte()
        switch code {
        case 0x53: return Descriptor(code: UInt64(try byte()))
        case 0x80: return Descriptor(code: try integer())
        default:
            position -= 1
            switch try value(depth: 1) {
            case .ulong(let code): return Descriptor(code: code)
            case .symbol(let name): return Descriptor(name: name)
            case let other: return Descriptor(other: other)
            }
        }
    }
}
