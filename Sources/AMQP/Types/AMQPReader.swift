package import NIOCore

/// Reads AMQP values from a buffer, from its reader index on; the buffer itself is not moved.
///
/// Nothing that a peer writes makes it trap, loop or allocate beyond a small multiple of the bytes at hand:
/// nesting stops at `AMQPReader.maximumDepth`, counts are checked against the bytes that are left, and elements without
/// bytes (an array of nulls) are paid from a budget of 4096 plus one per byte.
package struct AMQPReader {
    /// Lists, maps, arrays and described values inside each other; real messages stay below ten.
    package static let maximumDepth = 32
    private static let freeElements = 4096

    package let buffer: ByteBuffer
    package let start: Int
    package let end: Int
    /// An index of `buffer`.
    package internal(set) var position: Int
    private var emptyElementBudget: Int

    package init(_ buffer: ByteBuffer) {
        self.buffer = buffer
        start = buffer.readerIndex
        end = buffer.writerIndex
        position = start
        emptyElementBudget = Self.freeElements + buffer.readableBytes
    }

    package var isAtEnd: Bool { position >= end }
    package var remaining: Int { end - position }
    /// Bytes read so far.
    package var offset: Int { position - start }

    /// What follows the bytes read so far.
    package var rest: ByteBuffer {
        buffer.getSlice(at: position, length: remaining) ?? ByteBuffer()
    }

    @inline(never)
    package func failure(_ kind: AMQPCodecError.Kind, _ message: String) -> AMQPCodecError {
        AMQPCodecError(kind, message, at: offset)
    }

    @inline(never)
    func truncated(_ needed: Int) -> AMQPCodecError {
        failure(.truncated, "\(needed) more bytes are needed, \(remaining) are left")
    }

    @inline(never)
    package func unexpected(_ code: UInt8, _ wanted: String) -> AMQPCodecError {
        AMQPCodecError(.unexpectedType, "constructor 0x\(hexadecimal(code)) where \(wanted) belongs", at: offset - 1)
    }

    // MARK: Bytes

    package mutating func byte() throws(AMQPCodecError) -> UInt8 {
        guard let value: UInt8 = buffer.getInteger(at: position) else { throw truncated(1) }
        position += 1
        return value
    }

    package mutating func integer<T: FixedWidthInteger>(_: T.Type = T.self) throws(AMQPCodecError) -> T {
        guard let value: T = buffer.getInteger(at: position) else { throw truncated(MemoryLayout<T>.size) }
        position += MemoryLayout<T>.size
        return value
    }

    package mutating func bytes(_ count: Int) throws(AMQPCodecError) -> ByteBuffer {
        guard let slice = buffer.getSlice(at: position, length: count) else { throw truncated(count) }
        position += count
        return slice
    }

    package mutating func advance(_ count: Int) throws(AMQPCodecError) {
        guard count <= remaining else { throw truncated(count) }
        position += count
    }

    mutating func text(_ count: Int) throws(AMQPCodecError) -> String {
        guard count <= remaining else { throw truncated(count) }
        guard let value = try? buffer.getUTF8ValidatedString(at: position, length: count) else {
            throw failure(.invalidValue, "text of \(count) bytes is not valid UTF-8")
        }
        position += count
        return value
    }

    /// A length as it stands before variable-width data: one byte, or four for the wide constructor.
    mutating func length(wide: Bool) throws(AMQPCodecError) -> Int {
        if wide { return Int(try integer(UInt32.self)) }
        return Int(try byte())
    }

    // MARK: Whole values

    /// The next value, whatever its type.
    package mutating func value(depth: Int = 0) throws(AMQPCodecError) -> AMQPValue {
        let code = try byte()
        if code == 0 {
            try check(depth: depth)
            let descriptor = try value(depth: depth + 1)
            return .described(descriptor: descriptor, value: try value(depth: depth + 1))
        }
        return try value(code, depth: depth)
    }

    private func check(depth: Int) throws(AMQPCodecError) {
        guard depth < Self.maximumDepth else {
            throw failure(.limitExceeded, "values nested deeper than \(Self.maximumDepth)")
        }
    }

    /// The value that follows its constructor byte (not the descriptor's).
    private mutating func value(_ code: UInt8, depth: Int) throws(AMQPCodecError) -> AMQPValue {
        switch code {
        case 0x40: return .null
        case 0x41: return .boolean(true)
        case 0x42: return .boolean(false)
        case 0x56: return .boolean(try booleanByte())
        case 0x50: return .ubyte(try byte())
        case 0x60: return .ushort(try integer())
        case 0x70: return .uint(try integer())
        case 0x52: return .uint(UInt32(try byte()))
        case 0x43: return .uint(0)
        case 0x80: return .ulong(try integer())
        case 0x53: return .ulong(UInt64(try byte()))
        case 0x44: return .ulong(0)
        case 0x51: return .byte(try integer())
        case 0x61: return .short(try integer())
        case 0x71: return .int(try integer())
        case 0x54: return .int(Int32(try integer(Int8.self)))
        case 0x81: return .long(try integer())
        case 0x55: return .long(Int64(try integer(Int8.self)))
        case 0x72: return .float(Float(bitPattern: try integer()))
        case 0x82: return .double(Double(bitPattern: try integer()))
        case 0x74: return .decimal32(try integer())
        case 0x84: return .decimal64(try integer())
        case 0x94: return .decimal128(try uuid())
        case 0x73: return .char(try character())
        case 0x83: return .timestamp(try integer())
        case 0x98: return .uuid(try uuid())
        case 0xA0, 0xB0: return .binary(try bytes(try length(wide: code == 0xB0)))
        case 0xA1, 0xB1: return .string(try text(try length(wide: code == 0xB1)))
        case 0xA3, 0xB3: return .symbol(try text(try length(wide: code == 0xB3)))
        case 0x45: return .list([])
        case 0xC0, 0xD0: return .list(try elements(wide: code == 0xD0, depth: depth))
        case 0xC1, 0xD1: return .map(try map(wide: code == 0xD1, depth: depth))
        case 0xE0, 0xF0: return .array(try array(wide: code == 0xF0, depth: depth))
        default:
            throw AMQPCodecError(
                .unknownConstructor, "0x\(hexadecimal(code)) is no constructor of AMQP 1.0", at: offset - 1)
        }
    }

    mutating func booleanByte() throws(AMQPCodecError) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        case let other:
            throw AMQPCodecError(.invalidValue, "boolean with byte 0x\(hexadecimal(other))", at: offset - 1)
        }
    }

    private mutating func character() throws(AMQPCodecError) -> Unicode.Scalar {
        let bits: UInt32 = try integer()
        guard let scalar = Unicode.Scalar(bits) else {
            throw AMQPCodecError(
                .invalidValue, "char 0x\(String(bits, radix: 16)) is no Unicode scalar", at: offset - 4)
        }
        return scalar
    }

    private mutating func uuid() throws(AMQPCodecError) -> AMQPUUID {
        let high: UInt64 = try integer()
        return AMQPUUID(high: high, low: try integer())
    }

    /// Size and count of a list, map or array; the size is checked to lie inside the buffer.
    mutating func compound(wide: Bool) throws(AMQPCodecError) -> (end: Int, count: Int) {
        let size = try length(wide: wide)
        guard size <= remaining else { throw truncated(size) }
        let compoundEnd = position + size
        let count = try length(wide: wide)
        guard position <= compoundEnd else { throw failure(.truncated, "a size of \(size) has no room for the count") }
        return (compoundEnd, count)
    }

    private func check(end compoundEnd: Int) throws(AMQPCodecError) {
        guard position == compoundEnd else {
            throw failure(
                .invalidValue, "elements end \(position - compoundEnd) bytes off the end that their size states")
        }
    }

    private mutating func elements(wide: Bool, depth: Int) throws(AMQPCodecError) -> [AMQPValue] {
        try check(depth: depth)
        let (listEnd, count) = try compound(wide: wide)
        guard count <= listEnd - position else {
            throw failure(.truncated, "\(count) elements in \(listEnd - position) bytes")
        }
        var elements: [AMQPValue] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try value(depth: depth + 1)) }
        try check(end: listEnd)
        return elements
    }

    mutating func map(wide: Bool, depth: Int) throws(AMQPCodecError) -> AMQPMap {
        try check(depth: depth)
        let (mapEnd, count) = try compound(wide: wide)
        guard count % 2 == 0 else { throw failure(.invalidValue, "a map of \(count) items: a key has no value") }
        guard count <= mapEnd - position else {
            throw failure(.truncated, "\(count) items in \(mapEnd - position) bytes")
        }
        var map = AMQPMap()
        map.entries.reserveCapacity(count / 2)
        for _ in 0..<count / 2 {
            let key = try value(depth: depth + 1)
            map.entries.append(AMQPMap.Entry(key, try value(depth: depth + 1)))
        }
        try check(end: mapEnd)
        return map
    }

    private mutating func array(wide: Bool, depth: Int) throws(AMQPCodecError) -> [AMQPValue] {
        try check(depth: depth)
        let (arrayEnd, count) = try compound(wide: wide)
        if count == 0 {
            position = arrayEnd
            return []
        }
        var descriptors: [AMQPValue] = []
        var code = try byte()
        while code == 0 {
            try check(depth: depth + descriptors.count)
            descriptors.append(try value(depth: depth + descriptors.count + 1))
            code = try byte()
        }
        let width = Self.minimumWidth(code)
        if width == 0 {
            guard count <= emptyElementBudget else {
                throw failure(.limitExceeded, "an array of \(count) elements without bytes")
            }
            emptyElementBudget -= count
        } else {
            // `count` has at most 32 bits and `width` is at most 16: no overflow.
            guard count * width <= arrayEnd - position else {
                throw failure(.truncated, "\(count) array elements in \(arrayEnd - position) bytes")
            }
        }
        var elements: [AMQPValue] = []
        elements.reserveCapacity(count)
        for _ in 0..<count {
            var element = try value(code, depth: depth + descriptors.count + 1)
            for descriptor in descriptors.reversed() { element = .described(descriptor: descriptor, value: element) }
            elements.append(element)
        }
        try check(end: arrayEnd)
        return elements
    }

    /// The least number of bytes that follow a constructor: by its high nibble (part 1, section 1.2).
    private static func minimumWidth(_ code: UInt8) -> Int {
        switch code >> 4 {
        case 0x4: 0
        case 0x5, 0xA: 1
        case 0x6: 2
        case 0x7, 0xB: 4
        case 0x8: 8
        case 0x9: 16
        case 0xC, 0xE: 2
        case 0xD, 0xF: 8
        default: 1
        }
    }

    /// Passes over one value without building it.
    package mutating func skip() throws(AMQPCodecError) {
        // A described value is its descriptor and one more value; a descriptor may be described itself.
        var pending = 1
        while pending > 0 {
            pending -= 1
            let code = try byte()
            switch code >> 4 {
            case 0x0 where code == 0:
                pending += 2
                // Every level costs a byte; the limit keeps this as strict as `value()`.
                guard pending <= Self.maximumDepth else {
                    throw failure(.limitExceeded, "descriptors nested deeper than \(Self.maximumDepth)")
                }
            case 0x4: break
            case 0x5: try advance(1)
            case 0x6: try advance(2)
            case 0x7: try advance(4)
            case 0x8: try advance(8)
            case 0x9: try advance(16)
            case 0xA, 0xC, 0xE: try advance(Int(try byte()))
            case 0xB, 0xD, 0xF: try advance(Int(try integer(UInt32.self)))
            default:
                throw AMQPCodecError(
                    .unknownConstructor, "0x\(hexadecimal(code)) is no constructor of AMQP 1.0", at: offset - 1)
            }
        }
    }
}

func hexadecimal(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
}
