/// What all records of a batch share: the properties a consumer sees on each of them, and the routing key's candidates.
///
/// Encoded once per source, not per record: `[u8 version = 1][u8 field count]` then per field
/// `[u8 key length][key][u16 little-endian value length][value]`.
package struct RecordContext: Hashable, Sendable {
    /// The host that the records come from: the agent's own, or the peer of a relay.
    package var host: String
    /// The file's path, the journal's name, the peer's address.
    package var source: String
    /// The input's name in the configuration (`app` of `[input.app]`).
    package var input: String
    /// More properties of every record, such as those that the configuration adds; at most `maximumFields`.
    package var fields: [Field]
    /// The one output that the records are for, by its name; nil: all of them are. Consumers do not see it.
    package var onlyOutput: String?

    package struct Field: Hashable, Sendable {
        /// 1 to 255 bytes of UTF-8.
        package var key: String
        /// Cut at 65,535 bytes of UTF-8.
        package var value: String

        package init(_ key: String, _ value: String) {
            self.key = key
            self.value = value
        }
    }

    /// The count is one byte, and four may be taken.
    package static let maximumFields = 251
    /// What `onlyOutput` lies under among the encoded fields.
    package static let onlyOutputKey = "tailrace:only_output"

    package init(host: String, source: String, input: String, fields: [Field] = [], onlyOutput: String? = nil) {
        self.host = host
        self.source = source
        self.input = input
        self.fields = fields
        self.onlyOutput = onlyOutput
    }

    /// Everything, in the order in which consumers get it.
    package var properties: [(String, String)] {
        [("host", host), ("source", source), ("input", input)] + fields.map { ($0.key, $0.value) }
    }

    package var encoded: [UInt8] {
        var fields = Array(properties.prefix(3 + Self.maximumFields))
        if let onlyOutput { fields.append((Self.onlyOutputKey, onlyOutput)) }
        var bytes: [UInt8] = [1, UInt8(fields.count)]
        for (key, value) in fields {
            let key = key.utf8.prefix(Int(UInt8.max))
            let value = Array(value.utf8.prefix(Int(UInt16.max)))
            bytes.append(UInt8(key.count))
            bytes.append(contentsOf: key)
            bytes.append(UInt8(truncatingIfNeeded: value.count))
            bytes.append(UInt8(truncatingIfNeeded: value.count >> 8))
            bytes.append(contentsOf: value)
        }
        return bytes
    }

    /// Nil when the bytes are not a context of a version that we know.
    package init?(decoding bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 2, bytes[0] == 1 else { return nil }
        self.init(host: "", source: "", input: "")
        var index = 2
        for _ in 0..<bytes[1] {
            guard index < bytes.count else { return nil }
            let keyEnd = index + 1 + Int(bytes[index])
            guard keyEnd + 2 <= bytes.count else { return nil }
            let key = bytes[(index + 1)..<keyEnd]
            let valueEnd = keyEnd + 2 + Int(bytes[keyEnd]) + Int(bytes[keyEnd + 1]) << 8
            guard valueEnd <= bytes.count else { return nil }
            let value = String(decoding: bytes[(keyEnd + 2)..<valueEnd], as: UTF8.self)
            switch String(decoding: key, as: UTF8.self) {
            case "host": host = value
            case "source": source = value
            case "input": input = value
            case Self.onlyOutputKey: onlyOutput = value
            case let other: fields.append(Field(other, value))
            }
            index = valueEnd
        }
    }
}
