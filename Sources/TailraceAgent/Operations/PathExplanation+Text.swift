extension PathExplanation {
    /// For people.
    package var text: String {
        var lines = ["\(path): \(verdict.rawValue)", "    \(reason)"]
        if let remedy { lines.append("    what to do: \(remedy)") }
        for match in includes { lines.append("    matched by \(match.pattern) of input \(match.input)") }
        for match in excludes { lines.append("    excluded by \(match.pattern) of input \(match.input)") }
        if let target = facts.linkTarget { lines.append("    a link to \(target)") }
        if facts.inode != 0 {
            let kind = facts.kind.rawValue
            lines.append("    \(kind), \(facts.size) bytes, device \(facts.device), inode \(facts.inode)")
        }
        if let known {
            lines.append(
                "    source \(known.state.source), generation \(known.state.generation), input \(known.state.input):"
                    + " position \(known.state.offset) of \(known.state.size) bytes")
            if let encoding = known.encoding, encoding.isConverted {
                lines.append("    \(encoding.rawValue): its lines become UTF-8")
            }
        }
        if let stored {
            lines.append(
                "    stored: source \(stored.source), generation \(stored.generation), offset \(stored.offset)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// One object; the names are part of the command's contract.
    package var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.field("path", path)
            json.field("verdict", verdict.rawValue)
            json.field("reason", reason)
            json.field("remedy", remedy)
            json.field("running", state != .stopped)
            json.key("includes")
            json.array(includes) { json, match in Self.write(match, to: &json) }
            json.key("excludes")
            json.array(excludes) { json, match in Self.write(match, to: &json) }
            json.field("kind", facts.kind.rawValue)
            json.field("link_target", facts.linkTarget)
            json.field("missing_right", facts.missingRight)
            if facts.inode != 0 {
                json.field("device", facts.device)
                json.field("inode", facts.inode)
                json.field("birth_ns", facts.birth)
                json.field("size", facts.size)
            }
            if let known {
                json.field("file") { json in
                    json.field("path", known.state.path)
                    json.field("source", known.state.source)
                    json.field("input", known.state.input)
                    json.field("generation", known.state.generation)
                    json.field("offset", known.state.offset)
                    json.field("size", known.state.size)
                    json.field("lag", known.state.lag)
                    json.field("waits_for", known.predecessor?.path)
                    json.field("copy_of", known.copyOf)
                    json.field("encoding", known.encoding?.rawValue)
                }
            }
            if let stored { json.field("stored") { stored.write(to: &$0) } }
        }
        return json.bytes
    }

    private static func write(_ match: Match, to json: inout JSONText) {
        json.object {
            $0.field("input", match.input)
            $0.field("pattern", match.pattern)
        }
    }
}
