package import TailraceDelivery

/// How an agent tells how far a replay or a drop came: a line `RECORDS LEFT STATE`, and behind `waiting` the reason.
package enum SettlingReply {
    package static func line(_ progress: SettlingProgress) -> String {
        let state =
            switch progress.state {
            case .more: "more"
            case .done: "done"
            case .waiting(let reason): "waiting \(reason)"
            }
        return "\(progress.records) \(progress.left) \(state)\n"
    }

    /// Nil for what `line` does not write.
    package static func progress(_ line: String) -> SettlingProgress? {
        let text = line.hasSuffix("\n") ? line.dropLast() : line[...]
        let words = text.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
        guard words.count >= 3, let records = UInt64(words[0]), let left = UInt64(words[1]) else { return nil }
        var progress = SettlingProgress()
        progress.records = records
        progress.left = left
        switch (words[2], words.count) {
        case ("more", 3): progress.state = .more
        case ("done", 3): progress.state = .done
        case ("waiting", 4): progress.state = .waiting(reason: String(words[3]))
        default: return nil
        }
        return progress
    }
}
