public import NIOCore

/// Any value of the AMQP 1.0 type system (part 1, section 1.6).
///
/// `string`, `binary` and friends keep their bytes in Swift's own types; a described value keeps its descriptor.
public indirect enum AMQPValue: Hashable, Sendable {
    case null
    case boolean(Bool)
    case ubyte(UInt8)
    case ushort(UInt16)
    case uint(UInt32)
    case ulong(UInt64)
    case byte(Int8)
    case short(Int16)
    case int(Int32)
    case long(Int64)
    case float(Float)
    case double(Double)
    /// IEEE 754 decimals are carried as their bits: Swift has no such types.
    case decimal32(UInt32)
    case decimal64(UInt64)
    case decimal128(AMQPUUID)
    case char(Unicode.Scalar)
    /// Milliseconds since 1970-01-01T00:00:00Z.
    case timestamp(Int64)
    case uuid(AMQPUUID)
    case binary(ByteBuffer)
    case string(String)
    case symbol(String)
    case list([AMQPValue])
    case map(AMQPMap)
    /// All elements have one type: that of the first. Encoding an array of mixed types is a mistake of the caller (it
    /// traps).
    case array([AMQPValue])
    case described(descriptor: AMQPValue, value: AMQPValue)
}

/// Sixteen bytes: a UUID, or the bits of a decimal128.
public struct AMQPUUID: Hashable, Sendable, CustomStringConvertible {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A random (version 4) UUID.
    public init() {
        high = UInt64.random(in: 0 ... .max) & ~0xF000 | 0x4000
        low = UInt64.random(in: 0 ... .max) & ~(3 << 62) | 1 << 63
    }

    /// Lower-case, in the usual groups of 8-4-4-4-12 hexadecimal digits.
    public var description: String {
        func digits(_ value: UInt64) -> [UInt8] {
            (0..<16).map { Array("0123456789abcdef".utf8)[Int(value >> (60 - 4 * $0) & 15)] }
        }
        let all = digits(high) + digits(low)
        let groups = [all[0..<8], all[8..<12], all[12..<16], all[16..<20], all[20..<32]]
        return groups.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "-")
    }
}

/// A map that keeps the order in which its keys came (the order is significant for equality on the wire, and for
/// people).
public struct AMQPMap: Hashable, Sendable {
    public var entries: [Entry]

    public struct Entry: Hashable, Sendable {
        public var key: AMQPValue
        public var value: AMQPValue
        public init(_ key: AMQPValue, _ value: AMQPValue) {
            self.key = key
            self.value = value
        }
    }

    public init(_ entries: [Entry] = []) { self.entries = entries }

    /// The value of `key`; setting nil removes the entry, setting a new key appends it. Linear: these maps are small.
    public subscript(key: AMQPValue) -> AMQPValue? {
        get { entries.first { $0.key == key }?.value }
        set {
            let index = entries.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): entries[index].value = value
            case (let index?, nil): entries.remove(at: index)
            case (nil, let value?): entries.append(Entry(key, value))
            case (nil, nil): break
            }
        }
    }

    public subscript(symbol key: String) -> AMQPValue? {
        get { self[.symbol(key)] }
        set { self[.symbol(key)] = newValue }
    }

    public subscript(string key: String) -> AMQPValue? {
        get { self[.string(key)] }
        set { self[.string(key)] = newValue }
    }
}
