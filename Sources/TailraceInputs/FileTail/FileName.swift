import Glibc

/// Names of files as text. A name is bytes, and some are no UTF-8: in the text such a byte is `\xNN`, and so is the
/// backslash of a name that looks like one. So every name has a text, and every text leads back to its name.
package enum FileName {
    private static let backslash = UInt8(ascii: "\\")

    package static func text(_ name: some Collection<UInt8>) -> String {
        if let text = String(validating: name, as: UTF8.self), !hasEscape(text) { return text }
        let bytes = Array(name)
        var text = ""
        var index = 0
        while index < bytes.count {
            if !isEscape(bytes[index...]), let (scalar, length) = scalar(bytes[index...]) {
                text.unicodeScalars.append(scalar)
                index += length
            } else {
                text += "\\x" + (bytes[index] < 16 ? "0" : "") + String(bytes[index], radix: 16)
                index += 1
            }
        }
        return text
    }

    package static func bytes(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard hasEscape(text) else { return bytes }
        var name: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if isEscape(bytes[index...]), let high = digit(bytes[index + 2]), let low = digit(bytes[index + 3]) {
                name.append(high << 4 | low)
                index += 4
            } else {
                name.append(bytes[index])
                index += 1
            }
        }
        return name
    }

    static func withBytes<Result>(_ text: String, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        if hasEscape(text) { return bytes(text).withUnsafeBufferPointer(body) }
        var text = text
        return text.withUTF8(body)
    }

    /// The one text of the name that `text` leads to: people may write more escapes than are needed.
    package static func canonical(_ text: String) -> String { hasEscape(text) ? self.text(bytes(text)) : text }

    fileprivate static func hasEscape(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var rest = bytes[...]
            while let index = rest.firstIndex(of: backslash) {
                if isEscape(bytes[index...]) { return true }
                rest = rest[(index + 1)...]
            }
            return false
        }
    }

    /// Whether `\xNN` stands at the beginning; `\x00` is none, for no name has such a byte.
    private static func isEscape(_ bytes: some RandomAccessCollection<UInt8>) -> Bool {
        guard bytes.count >= 4 else { return false }
        let four = Array(bytes.prefix(4))
        guard four[0] == backslash, four[1] == UInt8(ascii: "x"), let high = digit(four[2]), let low = digit(four[3])
        else { return false }
        return high | low != 0
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func scalar(_ bytes: ArraySlice<UInt8>) -> (Unicode.Scalar, length: Int)? {
        for length in 1...4 where length <= bytes.count {
            if let text = String(validating: bytes.prefix(length), as: UTF8.self),
                let scalar = text.unicodeScalars.first
            {
                return (scalar, length)
            }
        }
        return nil
    }
}

extension String {
    /// Calls `body` with the path that this text stands for, as the system takes it.
    func withSystemPath<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        guard FileName.hasEscape(self) else { return withCString(body) }
        return (FileName.bytes(self) + [0]).withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { buffer in
                guard let base = buffer.baseAddress else { return withCString(body) }
                return body(base)
            }
        }
    }
}
