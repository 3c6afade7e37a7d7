import Glibc

/// One line of docker's json-file: an object whose string `log` is what the container wrote.
///
/// The whole line is checked before a byte is changed, so that a line that is something else stays what it is.
enum DockerLine {
    static func decode(
        _ line: UnsafeMutableRawBufferPointer
    ) -> Result<ContainerFormat.Line, ContainerFormat.Refusal> {
        var scanner = JSONScanner(UnsafeRawBufferPointer(line))
        var log: Range<Int>?
        var stream = ContainerFormat.Stream?.none
        var hasStream = false
        var time: Int64?
        guard scanner.skip(UInt8(ascii: "{")) else { return .failure(.init(.notJSON)) }
        if !scanner.skip(UInt8(ascii: "}")) {
            repeat {
                guard let key = scanner.string(), scanner.skip(UInt8(ascii: ":")) else {
                    return .failure(.init(.notJSON))
                }
                if let value = scanner.string() {
                    let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(line)[value])
                    switch line[key].count {
                    case 3 where line[key].elementsEqual("log".utf8): log = value
                    case 6 where line[key].elementsEqual("stream".utf8):
                        hasStream = true
                        stream = ContainerFormat.stream(bytes)
                    case 4 where line[key].elementsEqual("time".utf8): time = InternetTime.milliseconds(bytes)
                    default: break
                    }
                } else if !scanner.skipValue() {
                    return .failure(.init(.notJSON))
                }
            } while scanner.skip(UInt8(ascii: ","))
            guard scanner.skip(UInt8(ascii: "}")) else { return .failure(.init(.notJSON)) }
        }
        guard scanner.isAtEnd else { return .failure(.init(.notJSON)) }
        guard let log else { return .failure(.init(.noLog)) }
        guard !hasStream || stream != nil else { return .failure(.init(.noStream)) }
        var length = unescape(UnsafeMutableRawBufferPointer(rebasing: line[log]))
        let isPartial = length == 0 || line[log.lowerBound + length - 1] != UInt8(ascii: "\n")
        if !isPartial { length -= 1 }
        return .success(
            .init(
                body: log.lowerBound..<(log.lowerBound + length), stream: stream ?? .stdout, time: time,
                isPartial: isPartial))
    }

    /// Undoes the escapes of a string that has been checked, in place; returns its length.
    private static func unescape(_ text: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = text.baseAddress else { return 0 }
        var from = 0
        var to = 0
        while from < text.count {
            guard let found = memchr(base + from, 0x5C, text.count - from) else {
                memmove(base + to, base + from, text.count - from)
                return to + text.count - from
            }
            let run = UnsafeRawPointer(found) - UnsafeRawPointer(base + from)
            if to != from { memmove(base + to, base + from, run) }
            from += run
            to += run
            switch text[from + 1] {
            case UInt8(ascii: "n"): text[to] = 10
            case UInt8(ascii: "t"): text[to] = 9
            case UInt8(ascii: "r"): text[to] = 13
            case UInt8(ascii: "b"): text[to] = 8
            case UInt8(ascii: "f"): text[to] = 12
            case UInt8(ascii: "u"):
                var code = JSONScanner.hexadecimal(text, from + 2)
                from += 6
                if (0xD800..<0xDC00).contains(code), from + 6 <= text.count, text[from] == 0x5C,
                    text[from + 1] == UInt8(ascii: "u")
                {
                    let low = JSONScanner.hexadecimal(text, from + 2)
                    if (0xDC00..<0xE000).contains(low) {
                        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
                        from += 6
                    }
                }
                // Half of a pair is no character.
                for byte in Unicode.UTF8.encode(Unicode.Scalar(code) ?? "\u{FFFD}")
                    ?? Unicode.UTF8.encodedReplacementCharacter
                {
                    text[to] = byte
                    to += 1
                }
                continue
            case let other: text[to] = other
            }
            from += 2
            to += 1
        }
        return to
    }
}

/// Passes over JSON: checks what it passes, allocates nothing, and nests no deeper than its bits.
struct JSONScanner {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private mutating func skipSpaces() {
        while index < bytes.count, bytes[index] == 32 || bytes[index] == 9 || bytes[index] == 13 || bytes[index] == 10 {
            index += 1
        }
    }

    var isAtEnd: Bool {
        var rest = self
        rest.skipSpaces()
        return rest.index == bytes.count
    }

    mutating func skip(_ byte: UInt8) -> Bool {
        skipSpaces()
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    /// What lies between the quotes, with its escapes, which are right; nil, and nothing passed, when there is no string.
    mutating func string() -> Range<Int>? {
        skipSpaces()
        guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else { return nil }
        let start = index + 1
        var at = start
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: "\""):
                index = at + 1
                return start..<at
            case 0x5C:
                guard at + 1 < bytes.count else { return nil }
                switch bytes[at + 1] {
                case UInt8(ascii: "u"):
                    guard at + 6 <= bytes.count, bytes[(at + 2)..<(at + 6)].allSatisfy({ Self.digit($0) != nil }) else {
                        return nil
                    }
                    at += 6
                case UInt8(ascii: "\""), 0x5C, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
                    UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                    at += 2
                default: return nil
                }
            default: at += 1
            }
        }
        return nil
    }

    /// Passes over a value of any kind; brackets are counted and not matched by kind.
    mutating func skipValue() -> Bool {
        var depth = 0
        repeat {
            skipSpaces()
            guard index < bytes.count else { return false }
            switch bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                index += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { return false }
                depth -= 1
                index += 1
            case UInt8(ascii: "\""): guard string() != nil else { return false }
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard depth > 0 else { return false }
                index += 1
            default:
                let start = index
                while index < bytes.count, Self.belongsToWord(bytes[index]) { index += 1 }
                guard index > start else { return false }
            }
        } while depth > 0
        return true
    }

    private static func belongsToWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private static func digit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A")) + 10
        default: nil
        }
    }

    /// The number that four digits at `index` make.
    static func hexadecimal(_ bytes: UnsafeMutableRawBufferPointer, _ index: Int) -> UInt32 {
        bytes[index..<(index + 4)].reduce(0) { $0 << 4 | (digit($1) ?? 0) }
    }
}
