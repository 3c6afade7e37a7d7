/// One pass over the text of a document: tables, keys, arrays. Scalars are in `TOMLParser+Scalars.swift`.
struct TOMLParser {
    let bytes: [UInt8]
    var index = 0
    var line = 1

    init(_ bytes: [UInt8]) {
        // A byte order mark is no part of the text.
        self.bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
    }

    mutating func parseDocument() throws(TOMLError) -> TOMLTable {
        let root = TOMLTable(origin: .header)
        var current = root
        while true {
            skipBlankLines()
            guard let byte = peek() else { return root }
            if byte == UInt8(ascii: "[") {
                current = try parseHeader(root)
            } else {
                try parseKeyValue(into: current, depth: 0)
            }
            try expectEndOfLine()
        }
    }

    // MARK: Headers

    private mutating func parseHeader(_ root: TOMLTable) throws(TOMLError) -> TOMLTable {
        let headerLine = line
        advance()
        let isArray = peek() == UInt8(ascii: "[")
        if isArray { advance() }
        let path = try parseKeyPath()
        try expect("]", "a table header ends with \"]\"")
        if isArray { try expect("]", "an array of tables' header ends with \"]]\"") }
        var table = root
        for key in path.dropLast() { table = try descend(table, key, headerLine) }
        let last = path[path.count - 1]
        return isArray
            ? try appendToArray(table, last, headerLine) : try defineTable(table, last, headerLine)
    }

    /// The table at `key` on the way to a header's own table; made when missing.
    private func descend(_ table: TOMLTable, _ key: String, _ line: Int) throws(TOMLError) -> TOMLTable {
        guard let entry = table[key] else {
            let next = TOMLTable(origin: .implicit)
            _ = table.insert(.init(key: key, line: line, node: TOMLNode(value: .table(next), line: line)))
            return next
        }
        switch entry.node.value {
        case .table(let next) where next.origin != .inline: return next
        case .array(let elements):
            if case .table(let next)? = elements.last?.value, next.origin != .inline { return next }
            throw TOMLError(line: line, message: "\"\(key)\" is an array (line \(entry.line)), not a table")
        default:
            throw TOMLError(
                line: line, message: "\"\(key)\" is \(entry.node.typeName) already (line \(entry.line))")
        }
    }

    private func defineTable(_ parent: TOMLTable, _ key: String, _ line: Int) throws(TOMLError) -> TOMLTable {
        guard let entry = parent[key] else {
            let table = TOMLTable(origin: .header)
            _ = parent.insert(.init(key: key, line: line, node: TOMLNode(value: .table(table), line: line)))
            return table
        }
        guard case .table(let table) = entry.node.value, table.origin == .implicit else {
            throw TOMLError(line: line, message: "\"\(key)\" is defined twice: first on line \(entry.line)")
        }
        table.origin = .header
        return table
    }

    private func appendToArray(_ parent: TOMLTable, _ key: String, _ line: Int) throws(TOMLError) -> TOMLTable {
        let table = TOMLTable(origin: .header)
        guard let entry = parent[key] else {
            let node = TOMLNode(value: .array([TOMLNode(value: .table(table), line: line)]), line: line)
            _ = parent.insert(.init(key: key, line: line, node: node))
            return table
        }
        guard case .array(let elements) = entry.node.value, case .table(let last)? = elements.last?.value,
            last.origin == .header
        else {
            throw TOMLError(line: line, message: "\"\(key)\" is defined twice: first on line \(entry.line)")
        }
        parent.append(table, line: line, toArray: key)
        return table
    }

    // MARK: Keys

    private mutating func parseKeyValue(into table: TOMLTable, depth: Int) throws(TOMLError) {
        let keyLine = line
        let path = try parseKeyPath()
        try expect("=", "a key is followed by \"=\" and a value")
        skipSpaces()
        let node = try parseValue(depth: depth)
        var target = table
        for key in path.dropLast() {
            guard let entry = target[key] else {
                let next = TOMLTable(origin: .dotted)
                _ = target.insert(.init(key: key, line: keyLine, node: TOMLNode(value: .table(next), line: keyLine)))
                target = next
                continue
            }
            guard case .table(let next) = entry.node.value, next.origin == .dotted else {
                throw TOMLError(
                    line: keyLine, message: "\"\(key)\" is \(entry.node.typeName) already (line \(entry.line))")
            }
            target = next
        }
        let last = path[path.count - 1]
        guard target.insert(.init(key: last, line: keyLine, node: node)) else {
            throw TOMLError(
                line: keyLine, message: "\"\(last)\" is set twice: first on line \(target[last]?.line ?? keyLine)")
        }
    }

    /// At least one key.
    private mutating func parseKeyPath() throws(TOMLError) -> [String] {
        var path: [String] = []
        repeat {
            skipSpaces()
            path.append(try parseKey())
            skipSpaces()
            guard path.count <= TOMLDocument.maximumDepth else {
                throw TOMLError(line: line, message: "a key has more than \(TOMLDocument.maximumDepth) parts")
            }
        } while take(".")
        return path
    }

    private mutating func parseKey() throws(TOMLError) -> String {
        switch peek() {
        case UInt8(ascii: "\""): return try parseBasicString()
        case UInt8(ascii: "'"): return try parseLiteralString()
        default:
            let start = index
            while let byte = peek(), Self.isBareKey(byte) { advance() }
            guard index > start else { throw unexpected("a key") }
            return String(decoding: bytes[start..<index], as: UTF8.self)
        }
    }

    private static func isBareKey(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    // MARK: Values

    private mutating func parseValue(depth: Int) throws(TOMLError) -> TOMLNode {
        guard depth < TOMLDocument.maximumDepth else {
            throw TOMLError(line: line, message: "values are nested more than \(TOMLDocument.maximumDepth) deep")
        }
        let start = line
        let value: TOMLNode.Value
        switch peek() {
        case UInt8(ascii: "["): value = .array(try parseArray(depth: depth + 1))
        case UInt8(ascii: "{"): value = .table(try parseInlineTable(depth: depth + 1))
        default: value = try parseScalar()
        }
        return TOMLNode(value: value, line: start)
    }

    private mutating func parseArray(depth: Int) throws(TOMLError) -> [TOMLNode] {
        let start = line
        var elements: [TOMLNode] = []
        advance()
        while true {
            skipBlankLines()
            if take("]") { return elements }
            if peek() != nil {
                elements.append(try parseValue(depth: depth))
                skipBlankLines()
                if take("]") { return elements }
            }
            guard peek() != nil else {
                throw TOMLError(line: start, message: "the array that begins here has no \"]\"")
            }
            guard take(",") else { throw unexpected("\",\" or \"]\" in the array of line \(start)") }
        }
    }

    private mutating func parseInlineTable(depth: Int) throws(TOMLError) -> TOMLTable {
        let table = TOMLTable(origin: .inline)
        advance()
        skipSpaces()
        if take("}") { return table }
        while true {
            try parseKeyValue(into: table, depth: depth)
            skipSpaces()
            if take("}") { return table }
            guard take(",") else { throw unexpected("\",\" or \"}\" in the inline table, on the same line") }
        }
    }

    // MARK: Text

    func peek(_ ahead: Int = 0) -> UInt8? { index + ahead < bytes.count ? bytes[index + ahead] : nil }

    mutating func advance(_ count: Int = 1) {
        for _ in 0..<count where index < bytes.count {
            if bytes[index] == UInt8(ascii: "\n") { line += 1 }
            index += 1
        }
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek() == UInt8(ascii: character) else { return false }
        advance()
        return true
    }

    mutating func skipSpaces() {
        while peek() == UInt8(ascii: " ") || peek() == UInt8(ascii: "\t") { advance() }
    }

    /// Passes over spaces, line ends and comments.
    private mutating func skipBlankLines() {
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): advance()
            case UInt8(ascii: "#"): skipComment()
            default: return
            }
        }
    }

    private mutating func skipComment() {
        while let byte = peek(), byte != UInt8(ascii: "\n") { advance() }
    }

    private mutating func expect(_ character: Unicode.Scalar, _ rule: String) throws(TOMLError) {
        skipSpaces()
        guard take(character) else { throw unexpected("\"\(character)\": \(rule)") }
    }

    private mutating func expectEndOfLine() throws(TOMLError) {
        skipSpaces()
        if peek() == UInt8(ascii: "#") { skipComment() }
        if peek() == UInt8(ascii: "\r") { advance() }
        guard peek() == nil || take("\n") else { throw unexpected("the end of the line") }
    }

    func unexpected(_ expected: String) -> TOMLError {
        let found =
            switch peek() {
            case nil: "the end of the file"
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"): "the end of the line"
            case .some(let byte) where byte < 0x80: "\"\(Character(Unicode.Scalar(byte)))\""
            default: "a character outside ASCII"
            }
        return TOMLError(line: line, message: "expected \(expected), found \(found)")
    }
}
