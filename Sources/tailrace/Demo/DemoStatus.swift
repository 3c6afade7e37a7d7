import TailraceAgent

/// The few numbers of the agent's status that the demo shows.
struct DemoStatus {
    var spooled = 0
    var acknowledged = 0
    /// Sent or not, but not yet acknowledged.
    var unsettled = 0
    /// Per partition, the last acknowledged id of the spool.
    var partitions: [Int?] = []
    var lagBytes = 0
    /// In force for the output.
    var guarantee = ""

    /// Nil while no agent answers.
    init?(controlSocket: String) {
        guard let reply = try? ControlClient.ask("status json", path: controlSocket) else { return nil }
        self.init(json: String(decoding: reply, as: UTF8.self))
    }

    /// Reads the command's own, compact JSON: no general parser.
    init(json: String) {
        guard let outputs = Self.end(of: "\"outputs\":[", in: json[...]) else { return }
        let output = json[outputs...]
        spooled = Self.number("spooled", in: output) ?? 0
        acknowledged = Self.number("acknowledged", in: output) ?? 0
        unsettled = (Self.number("in_flight", in: output) ?? 0) + (Self.number("waiting", in: output) ?? 0)
        lagBytes = Self.number("lag_bytes", in: json[...]) ?? 0
        if let start = Self.end(of: "\"guarantee\":\"", in: output) {
            guarantee = String(output[start...].prefix { $0 != "\"" && $0 != "\\" })
        }
        var rest = output
        while let start = Self.end(of: "\"last_acknowledged\":", in: rest) {
            rest = rest[start...]
            partitions.append(Int(rest.prefix { $0.isNumber }))
        }
    }

    private static func number(_ name: String, in text: Substring) -> Int? {
        guard let start = end(of: "\"\(name)\":", in: text) else { return nil }
        return Int(text[start...].prefix { $0.isNumber })
    }

    private static func end(of word: String, in text: Substring) -> Substring.Index? {
        let word = Array(word.utf8)
        var index = text.utf8.startIndex
        while index != text.utf8.endIndex {
            if text.utf8[index...].starts(with: word) { return text.utf8.index(index, offsetBy: word.count) }
            index = text.utf8.index(after: index)
        }
        return nil
    }
}
