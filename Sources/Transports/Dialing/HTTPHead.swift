package import NIOCore

/// The head of an HTTP/1 message: what comes before the body.
package struct HTTPHead: Hashable, Sendable {
    package struct Field: Hashable, Sendable {
        /// As it came; names are compared without regard to case.
        package var name: String
        package var value: String
    }

    package var startLine: String
    package var fields: [Field]

    /// The values of all fields of that name, joined with a comma as RFC 9110 section 5.3 has it; nil when there is none.
    package subscript(_ name: String) -> String? {
        let values = fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    /// Whether the comma-separated list in a field contains `token`, without regard to case.
    package func has(_ token: String, in name: String) -> Bool {
        list(name).contains { $0.lowercased() == token.lowercased() }
    }

    /// The words of the comma-separated list in a field.
    package func list(_ name: String) -> [String] {
        (self[name] ?? "").split(separator: ",").map { Self.trimmed($0) }.filter { !$0.isEmpty }
    }

    /// The status of a response: `HTTP/1.1 200 OK`.
    package var status: (code: Int, reason: String)? {
        let words = startLine.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count >= 2, words[0].hasPrefix("HTTP/"), words[1].utf8.count == 3, let code = Int(words[1]),
            code >= 100
        else { return nil }
        return (code, words.count > 2 ? String(words[2]) : "")
    }

    /// `404 Not Found`, as far as it can be printed.
    package var statusText: String {
        status.map { $0.reason.isEmpty ? "\($0.code)" : "\($0.code) \(PeerText.printable($0.reason))" }
            ?? "\"\(PeerText.printable(startLine))\""
    }

    fileprivate static func trimmed(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}

/// Why bytes are no HTTP head.
package enum HTTPHeadError: Error, Hashable, Sendable {
    /// They begin with something else: these bytes, as far as they can be printed.
    case notHTTP(String)
    case malformed(String)
    /// It has more bytes than `HTTPHeadParser.limit`.
    case tooLong
    /// The connection ended before the head did.
    case closed
}

/// Collects the head of an HTTP/1 message from a byte stream, and leaves what follows.
package struct HTTPHeadParser: Sendable {
    /// Bytes of a head.
    package static let limit = 16 << 10

    private let prefix: [UInt8]
    private var bytes: [UInt8] = []
    /// Where the line that is being read begins.
    private var lineStart = 0

    /// - Parameter prefix: what the head must begin with; anything else is refused at the first byte that differs.
    package init(startingWith prefix: String) { self.prefix = Array(prefix.utf8) }

    /// Takes bytes off the front of `input` until the head is whole; nil when more are needed.
    package mutating func receive(_ input: inout ByteBuffer) throws(HTTPHeadError) -> HTTPHead? {
        var used = 0
        var isWhole = false
        for byte in input.readableBytesView {
            used += 1
            if bytes.count < prefix.count, byte != prefix[bytes.count] {
                let beginning = bytes + input.readableBytesView.dropFirst(used - 1).prefix(PeerText.limit)
                throw .notHTTP(PeerText.printable(String(decoding: beginning, as: UTF8.self)))
            }
            guard bytes.count < Self.limit else { throw .tooLong }
            bytes.append(byte)
            guard byte == UInt8(ascii: "\n") else { continue }
            // Lines end in CR LF; a bare LF is understood too (RFC 9112 section 2.2).
            let line = bytes[lineStart...].dropLast()
            lineStart = bytes.count
            if line.isEmpty || line.elementsEqual([UInt8(ascii: "\r")]) {
                isWhole = true
                break
            }
        }
        input.moveReaderIndex(forwardBy: used)
        return isWhole ? try head() : nil
    }

    private func head() throws(HTTPHeadError) -> HTTPHead {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast(2)
        for index in lines.indices where lines[index].last == UInt8(ascii: "\r") { lines[index].removeLast() }
        guard let first = lines.first, !first.isEmpty else { throw .malformed("it has no first line") }
        var head = HTTPHead(startLine: String(decoding: first, as: UTF8.self), fields: [])
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
                line[..<colon].allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else {
                throw .malformed("\"\(PeerText.printable(String(decoding: line, as: UTF8.self)))\" is no header field")
            }
            let value = String(decoding: line[(colon + 1)...], as: UTF8.self)
            head.fields.append(
                .init(name: String(decoding: line[..<colon], as: UTF8.self), value: HTTPHead.trimmed(value[...])))
        }
        return head
    }
}

/// What a peer wrote, made fit for a message of ours.
package enum PeerText {
    /// Characters that are shown.
    static let limit = 120

    /// Without control characters, and not too long.
    package static func printable(_ text: String) -> String {
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            guard count < limit else { return result + "…" }
            count += 1
            let isPlain = scalar.value >= 0x20 && scalar.value != 0x7F && !(0x80..<0xA0).contains(scalar.value)
            result.unicodeScalars.append(isPlain ? scalar : "·")
        }
        return result
    }
}
