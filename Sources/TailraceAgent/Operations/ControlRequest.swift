package import TailraceDelivery
package import TailraceInputs

/// What a running agent can be asked by its control socket: one line of text each.
///
/// A path comes last in its line, with `%` and line ends written as in URLs. The reply of a request about a path or a
/// position begins with a line `ok` or `failed`.
package enum ControlRequest: Equatable, Sendable {
    case status(isJSON: Bool)
    case explain(path: String, isJSON: Bool)
    case positions(isJSON: Bool)
    case setPosition(path: String, PositionPlace)
    case forgetPosition(path: String)
    /// A piece of a replay or a drop of an output's dead letters, by their ids; the reply is a `SettlingReply`.
    case settle(DeadLetterAction, output: String, [Range<UInt64>])

    package var line: String {
        switch self {
        case .status(let isJSON): "status \(Self.form(isJSON))"
        case .explain(let path, let isJSON): "explain \(Self.form(isJSON)) \(Self.encoded(path))"
        case .positions(let isJSON): "positions \(Self.form(isJSON))"
        case .setPosition(let path, .end): "position-set end \(Self.encoded(path))"
        case .setPosition(let path, .offset(let offset)): "position-set \(offset) \(Self.encoded(path))"
        case .forgetPosition(let path): "position-forget \(Self.encoded(path))"
        case .settle(let action, let output, let ranges):
            "dead-\(action.rawValue) \(output) \(ranges.map(SettledLetters.text).joined(separator: ","))"
        }
    }

    /// Nil for what is no request.
    package init?(line: String) {
        let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        let rest = words.count > 1 ? words[1] : ""
        switch words[0] {
        case "status":
            guard let isJSON = Self.isJSON(rest) else { return nil }
            self = .status(isJSON: isJSON)
        case "positions":
            guard let isJSON = Self.isJSON(rest) else { return nil }
            self = .positions(isJSON: isJSON)
        case "position-forget": self = .forgetPosition(path: Self.decoded(rest))
        case "dead-replay", "dead-drop":
            guard let space = rest.firstIndex(of: " ") else { return nil }
            let words = rest[rest.index(after: space)...].split(separator: ",", omittingEmptySubsequences: false)
            let ranges = words.compactMap { SettledLetters.range($0) }
            guard ranges.count == words.count else { return nil }
            self = .settle(line.hasPrefix("dead-replay") ? .replay : .drop, output: String(rest[..<space]), ranges)
        case "explain", "position-set":
            guard let space = rest.firstIndex(of: " ") else { return nil }
            let word = rest[..<space]
            let path = Self.decoded(rest[rest.index(after: space)...])
            if words[0] == "explain" {
                guard let isJSON = Self.isJSON(word) else { return nil }
                self = .explain(path: path, isJSON: isJSON)
            } else if word == "end" {
                self = .setPosition(path: path, .end)
            } else {
                guard let offset = UInt64(word) else { return nil }
                self = .setPosition(path: path, .offset(offset))
            }
        default: return nil
        }
    }

    private static func form(_ isJSON: Bool) -> String { isJSON ? "json" : "text" }

    private static func isJSON(_ word: Substring) -> Bool? {
        switch word {
        case "json": true
        case "text": false
        default: nil
        }
    }

    private static func encoded(_ path: String) -> String {
        var text = ""
        for scalar in path.unicodeScalars {
            switch scalar {
            case "%": text += "%25"
            case "\n": text += "%0A"
            case "\r": text += "%0D"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
