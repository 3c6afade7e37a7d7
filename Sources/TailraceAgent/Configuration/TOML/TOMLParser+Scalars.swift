extension TOMLParser {
    mutating func parseScalar() throws(TOMLError) -> TOMLNode.Value {
        switch peek() {
        case UInt8(ascii: "\""): return .string(try parseBasicString(multiline: true))
        case UInt8(ascii: "'"): return .string(try parseLiteralString(multiline: true))
        default: break
        }
        let start = index
        while let byte = peek(), Self.belongsToWord(byte) { advance() }
        // A date and a time may stand apart by one space.
        if index - start == 10, bytes[start + 4] == UInt8(ascii: "-"), peek() == UInt8(ascii: " "),
            let digit = peek(1), Self.isDigit(digit)
        {
            advance()
            while let byte = peek(), Self.belongsToWord(byte) { advance() }
        }
        guard index > start else { throw unexpected("a value") }
        let word = String(decoding: bytes[start..<index], as: UTF8.self)
        guard let value = Self.interpret(word) else {
            throw TOMLError(line: line, message: "\"\(word)\" is not a value; a text needs quotes: \"\(word)\"")
        }
        return value
    }

    private static func belongsToWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"), UInt8(ascii: ","),
            UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: "#"), UInt8(ascii: "["), UInt8(ascii: "{"),
            UInt8(ascii: "="), UInt8(ascii: "\""), UInt8(ascii: "'"):
            false
        default: true
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func interpret(_ word: String) -> TOMLNode.Value? {
        switch word {
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case "inf", "+inf": return .float(.infinity)
        case "-inf": return .float(-.infinity)
        case "nan", "+nan", "-nan": return .float(.nan)
        default: break
        }
        if looksLikeDate(Array(word.utf8)) { return .date(word) }
        guard let digits = withoutUnderscores(Array(word.utf8)) else { return nil }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where digits.hasPrefix(prefix) {
            let rest = digits.dropFirst(2)
            guard let first = rest.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") else {
                return nil
            }
            return Int64(rest, radix: radix).map { .integer($0) }
        }
        let unsigned = digits.hasPrefix("+") || digits.hasPrefix("-") ? digits.dropFirst() : Substring(digits)
        guard let first = unsigned.utf8.first, isDigit(first) else { return nil }
        if unsigned.utf8.allSatisfy(isDigit) {
            guard unsigned.utf8.count == 1 || first != UInt8(ascii: "0") else { return nil }
            return Int64(digits).map { .integer($0) }
        }
        return isFloat(Array(unsigned.utf8)) ? Double(digits).map { .float($0) } : nil
    }

    /// `digits [. digits] [e [sign] digits]` without a leading zero.
    private static func isFloat(_ text: [UInt8]) -> Bool {
        var index = 0
        func digits() -> Bool {
            let start = index
            while index < text.count, isDigit(text[index]) { index += 1 }
            return index > start
        }
        guard digits(), index == 1 || text[0] != UInt8(ascii: "0") else { return false }
        if index < text.count, text[index] == UInt8(ascii: ".") {
            index += 1
            guard digits() else { return false }
        }
        if index < text.count, text[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < text.count, text[index] == UInt8(ascii: "+") || text[index] == UInt8(ascii: "-") { index += 1 }
            guard digits() else { return false }
        }
        return index == text.count
    }

    /// `1979-05-27…` or `07:32:00…`. The fields are not checked: the value is only ever part of an error.
    private static func looksLikeDate(_ text: [UInt8]) -> Bool {
        func matches(_ pattern: StaticString) -> Bool {
            guard text.count >= pattern.utf8CodeUnitCount else { return false }
            return pattern.withUTF8Buffer { pattern in
                zip(pattern, text).allSatisfy { $0 == UInt8(ascii: "0") ? isDigit($1) : $0 == $1 }
            }
        }
        return matches("0000-00-00") || matches("00:00:00")
    }

    /// Nil when an underscore does not stand between two digits.
    private static func withoutUnderscores(_ text: [UInt8]) -> String? {
        for (index, byte) in text.enumerated() where byte == UInt8(ascii: "_") {
            guard index > 0, index + 1 < text.count, text[index - 1] != UInt8(ascii: "_"),
                isAlphanumeric(text[index - 1]), isAlphanumeric(text[index + 1])
            else { return nil }
        }
        return String(decoding: text.filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }

    // MARK: Strings

    /// `"…"` with escapes; `"""…"""` too when `multiline`.
    mutating func parseBasicString(multiline: Bool = false) throws(TOMLError) -> String {
        let start = line
        let long = try openString(UInt8(ascii: "\""), multiline: multiline)
        var text: [UInt8] = []
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\""):
                if let quotes = closeString(byte, long: long) {
                    text.append(contentsOf: quotes)
                    return String(decoding: text, as: UTF8.self)
                }
                text.append(byte)
                advance()
            case UInt8(ascii: "\\"): try parseEscape(into: &text, long: long)
            case UInt8(ascii: "\n") where !long, UInt8(ascii: "\r") where !long:
                throw TOMLError(line: line, message: "the string has no closing quote on this line")
            default:
                text.append(byte)
                advance()
            }
        }
        throw TOMLError(line: start, message: "the string that begins here has no closing quote")
    }

    /// `'…'` without escapes; `'''…'''` too when `multiline`.
    mutating func parseLiteralString(multiline: Bool = false) throws(TOMLError) -> String {
        let start = line
        let long = try openString(UInt8(ascii: "'"), multiline: multiline)
        var text: [UInt8] = []
        while let byte = peek() {
            if byte == UInt8(ascii: "'"), let quotes = closeString(byte, long: long) {
                text.append(contentsOf: quotes)
                return String(decoding: text, as: UTF8.self)
            }
            if !long, byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
                throw TOMLError(line: line, message: "the string has no closing quote on this line")
            }
            text.append(byte)
            advance()
        }
        throw TOMLError(line: start, message: "the string that begins here has no closing quote")
    }

    /// Passes the opening quotes; true when there were three of them.
    private mutating func openString(_ quote: UInt8, multiline: Bool) throws(TOMLError) -> Bool {
        guard peek(1) == quote, peek(2) == quote else {
            advance()
            return false
        }
        guard multiline else { throw TOMLError(line: line, message: "a key cannot be a string of several lines") }
        advance(3)
        if peek() == UInt8(ascii: "\r") { advance() }
        if peek() == UInt8(ascii: "\n") { advance() }
        return true
    }

    /// Passes the closing quotes; nil when the quote is part of a long string. Up to two quotes may stand before the
    /// three that close a long string: those are returned.
    private mutating func closeString(_ quote: UInt8, long: Bool) -> [UInt8]? {
        guard long else {
            advance()
            return []
        }
        guard peek(1) == quote, peek(2) == quote else { return nil }
        var extra: [UInt8] = []
        while extra.count < 2, peek(3 + extra.count) == quote { extra.append(quote) }
        advance(3 + extra.count)
        return extra
    }

    private mutating func parseEscape(into text: inout [UInt8], long: Bool) throws(TOMLError) {
        let escape = peek(1)
        switch escape {
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): text.append(escape ?? 0)
        case UInt8(ascii: "u"): return try parseUnicodeEscape(digits: 4, into: &text)
        case UInt8(ascii: "U"): return try parseUnicodeEscape(digits: 8, into: &text)
        case UInt8(ascii: " ") where long, UInt8(ascii: "\t") where long, UInt8(ascii: "\r") where long,
            UInt8(ascii: "\n") where long:
            return try skipLineEnd()
        default:
            throw TOMLError(
                line: line,
                message: "unknown escape after \"\\\"; write \"\\\\\" for a backslash, or use single quotes")
        }
        advance(2)
    }

    /// A backslash at the end of a line of a long string: what follows up to the next text is left out.
    private mutating func skipLineEnd() throws(TOMLError) {
        let start = line
        advance()
        while let byte = peek(), byte == 9 || byte == 10 || byte == 13 || byte == 32 { advance() }
        guard line > start else {
            throw TOMLError(line: start, message: "only spaces may stand between \"\\\" and the end of the line")
        }
    }

    private mutating func parseUnicodeEscape(digits: Int, into text: inout [UInt8]) throws(TOMLError) {
        let end = index + 2 + digits
        guard end <= bytes.count, bytes[(index + 2)..<end].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let number = UInt32(String(decoding: bytes[(index + 2)..<end], as: UTF8.self), radix: 16),
            let scalar = Unicode.Scalar(number)
        else {
            throw TOMLError(line: line, message: "a Unicode escape needs \(digits) hexadecimal digits of a character")
        }
        text.append(contentsOf: Array(String(scalar).utf8))
        advance(2 + digits)
    }
}
