// A reader of TOML 1.0.0 that knows on which line everything stands.
//
// Why our own: every error in a configuration has to name its line, also an unknown key or a value out of range, and
// the Swift packages that read TOML either lose the positions or link the whole of Foundation (TOMLKit 0.6.0 does both).
//
// Limits: a document of at most `TOMLDocument.maximumSize` bytes, nested at most `TOMLDocument.maximumDepth` deep.
// Dates and times are read and kept as text: no key of ours has such a value, so they only need a good error.

/// A value and where it stands.
struct TOMLNode {
    enum Value {
        case string(String)
        case integer(Int64)
        case float(Double)
        case boolean(Bool)
        /// A date, a time or both, as written.
        case date(String)
        case array([TOMLNode])
        case table(TOMLTable)
    }

    var value: Value
    /// The line on which the value begins, counted from 1.
    var line: Int

    /// What a person would call the value's type.
    var typeName: String {
        switch value {
        case .string: "a string"
        case .integer: "an integer"
        case .float: "a floating-point number"
        case .boolean: "a boolean"
        case .date: "a date or time"
        case .array: "an array"
        case .table: "a table"
        }
    }
}

/// A table: keys in the order in which they were written.
///
/// A class, because headers such as `[a.b]` come back to tables that were made earlier.
final class TOMLTable {
    /// Who made the table, which decides who may add to it.
    enum Origin {
        /// On the way to another table (`a` of `[a.b]`): a header may still define it.
        case implicit
        /// By its own header: closed to a second header.
        case header
        /// By a dotted key: only dotted keys of the same table may add to it.
        case dotted
        /// Inline: closed.
        case inline
    }

    struct Entry {
        var key: String
        /// The line of the key.
        var line: Int
        var node: TOMLNode
    }

    private(set) var entries: [Entry] = []
    private var indices: [String: Int] = [:]
    var origin: Origin

    init(origin: Origin) { self.origin = origin }

    subscript(key: String) -> Entry? { indices[key].map { entries[$0] } }

    /// False when the key is there already.
    func insert(_ entry: Entry) -> Bool {
        guard indices[entry.key] == nil else { return false }
        indices[entry.key] = entries.count
        entries.append(entry)
        return true
    }

    /// Adds an element to the array of tables at `key`.
    func append(_ table: TOMLTable, line: Int, toArray key: String) {
        guard let index = indices[key], case .array(let elements) = entries[index].node.value else { return }
        entries[index].node.value = .array(elements + [TOMLNode(value: .table(table), line: line)])
    }
}

/// Why a text is not TOML.
struct TOMLError: Error, Equatable {
    var line: Int
    var message: String
}

enum TOMLDocument {
    /// Bytes. A configuration is a few kilobytes; a larger file is a mistake, such as a log in its place.
    static let maximumSize = 1 << 20
    /// Levels of arrays, inline tables and dotted keys.
    static let maximumDepth = 32

    static func parse(_ bytes: [UInt8]) throws(TOMLError) -> TOMLTable {
        guard bytes.count <= maximumSize else {
            throw TOMLError(line: 1, message: "the file is larger than \(maximumSize) bytes")
        }
        try checkText(bytes)
        var parser = TOMLParser(bytes)
        return try parser.parseDocument()
    }

    /// TOML is UTF-8 without control characters other than tab and line ends.
    private static func checkText(_ bytes: [UInt8]) throws(TOMLError) {
        var line = 1
        var start = bytes.startIndex
        func check(_ end: Int) throws(TOMLError) {
            if String(validating: bytes[start..<end], as: UTF8.self) == nil {
                throw TOMLError(line: line, message: "the line is not valid UTF-8")
            }
        }
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\n") {
                try check(index)
                start = index + 1
                line += 1
            } else if byte == 0x7F || (byte < 0x20 && byte != UInt8(ascii: "\t") && byte != UInt8(ascii: "\r")) {
                throw TOMLError(line: line, message: "a control character (byte \(byte)) is not allowed")
            } else if byte == UInt8(ascii: "\r"), index + 1 == bytes.count || bytes[index + 1] != UInt8(ascii: "\n") {
                throw TOMLError(line: line, message: "a carriage return without a line feed is not allowed")
            }
        }
        try check(bytes.count)
    }
}
