/// RFC 5424's `[id name="value" …][…]`: `"`, `\` and `]` are escaped in values by `\`. Ids may come twice.
package enum StructuredData {
    /// Where the elements that begin at `start` end; nil when they are no structured data.
    static func end(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var reader = Reader(bytes: bytes, at: start)
        while reader.byte == UInt8(ascii: "[") {
            guard reader.readElement({ _, _, _ in }) else { return nil }
        }
        return reader.at > start ? reader.at : nil
    }

    /// Calls `body` for each parameter with the id of its element, its name, and its value without escapes. False when
    /// the bytes are no structured data from a place on (what came before it was told).
    @discardableResult
    package static func forEach(
        in bytes: UnsafeRawBufferPointer, _ body: (_ id: String, _ name: String, _ value: [UInt8]) -> Void
    ) -> Bool {
        var reader = Reader(bytes: bytes, at: 0)
        while reader.at < bytes.count {
            let isWhole = reader.readElement { id, name, value in
                body(
                    String(decoding: bytes[id], as: UTF8.self), String(decoding: bytes[name], as: UTF8.self),
                    unescaped(bytes[value]))
            }
            guard isWhole else { return false }
        }
        return true
    }

    /// A backslash before anything else stands for itself.
    private static func unescaped(_ bytes: Slice<UnsafeRawBufferPointer>) -> [UInt8] {
        var result: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.endIndex, Reader.isEscapable(bytes[index + 1]) {
                index += 1
            }
            result.append(bytes[index])
            index += 1
        }
        return result
    }

    private struct Reader {
        let bytes: UnsafeRawBufferPointer
        var at: Int

        /// 0 at the end.
        var byte: UInt8 { at < bytes.count ? bytes[at] : 0 }

        static func isEscapable(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "]")
        }

        mutating func readElement(_ body: (_ id: Range<Int>, _ name: Range<Int>, _ value: Range<Int>) -> Void) -> Bool {
            guard byte == UInt8(ascii: "[") else { return false }
            at += 1
            guard let id = readName() else { return false }
            while byte == .space {
                while byte == .space { at += 1 }
                if byte == UInt8(ascii: "]") { break }
                guard let name = readName(), byte == UInt8(ascii: "=") else { return false }
                at += 1
                guard let value = readValue() else { return false }
                body(id, name, value)
            }
            guard byte == UInt8(ascii: "]") else { return false }
            at += 1
            return true
        }

        /// Printable ASCII but `=`, `]`, `"` and space.
        private mutating func readName() -> Range<Int>? {
            let start = at
            while byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "="), byte != UInt8(ascii: "]"),
                byte != UInt8(ascii: "\"")
            { at += 1 }
            return at > start ? start..<at : nil
        }

        private mutating func readValue() -> Range<Int>? {
            guard byte == UInt8(ascii: "\"") else { return nil }
            at += 1
            let start = at
            while at < bytes.count {
                switch bytes[at] {
                case UInt8(ascii: "\""):
                    at += 1
                    return start..<(at - 1)
                case UInt8(ascii: "\\") where at + 1 < bytes.count && Self.isEscapable(bytes[at + 1]): at += 2
                default: at += 1
                }
            }
            return nil
        }
    }
}
