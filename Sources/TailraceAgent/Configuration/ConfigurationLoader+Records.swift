internal import TailraceInputs
internal import TailraceSpool

/// The keys that say what becomes of an input's records: `keep`, `drop`, `sample`, `redact`, `fields`; and of a file's
/// lines: `multiline`.
extension ConfigurationLoader {
    /// Patterns of one key, and fields, at most.
    private static let maximumPatterns = 64
    private static let maximumFields = 64
    /// What the agent itself says about a record.
    private static let ownProperties: Set<String> = [
        "host", "source", "input", "offset", "timestamp", "severity", "facility", "app", "pid", "unit", "peer",
        "truncated", "stream", "hostname", "msgid", "sd", "event_time", "parse_error", RecordContext.onlyOutputKey,
    ]

    func readFilter(_ reader: inout SettingsReader) -> RecordFilterRules {
        var rules = RecordFilterRules()
        rules.keep = readPatterns("keep", &reader)
        rules.drop = readPatterns("drop", &reader)
        if let share = reader.number("sample") {
            if share > 0, share <= 1 {
                rules.sample = share < 1 ? share : nil
            } else {
                reader.report(
                    "sample", "is \(share)", remedy: "write the share of records that goes along: above 0, up to 1")
            }
        }
        let example = "{ pattern = '(password=)\\S+', replace = '$1***' }"
        for var rule in reader.tables("redact", example: example) ?? [] {
            let text = rule.string("pattern")
            if rule.table["pattern"] == nil {
                rule.report("pattern", "is missing", remedy: "write redact = [\(example)]")
            }
            let replace = rule.string("replace") ?? "***"
            rule.finish()
            guard let pattern = text.flatMap({ compile($0, "pattern", rule) }) else { continue }
            if let replacement = Replacement(replace, groups: pattern.groups) {
                rules.redact.append(RedactionRule(pattern, replacement))
            } else {
                rule.report(
                    "replace", "names a group that the pattern does not have",
                    remedy:
                        "the pattern has \(counted(pattern.groups, "group")): use $0 to $\(pattern.groups); $$ is a dollar"
                )
            }
        }
        if rules.redact.count > Self.maximumPatterns {
            reader.report("redact", "has more than \(Self.maximumPatterns) rules", remedy: "join patterns with \"|\"")
        }
        return rules
    }

    func readFields(_ reader: inout SettingsReader) -> [RecordContext.Field] {
        guard let node = reader.take("fields") else { return [] }
        guard case .table(let table) = node.value else {
            reader.report("fields", "is \(node.typeName), not a table", remedy: "write fields = { team = \"ops\" }")
            return []
        }
        var fields: [RecordContext.Field] = []
        for entry in table.entries {
            func report(_ message: String, _ remedy: String) {
                collector.report(
                    line: entry.line,
                    "\"\(SettingsReader.shortened(entry.key))\" of fields in \(reader.name) \(message)", remedy: remedy)
            }
            guard case .string(let value) = entry.node.value else {
                report("is \(entry.node.typeName), not a string", "put it in quotes")
                continue
            }
            if Self.ownProperties.contains(entry.key) {
                report("is a property that the agent itself gives to records", "choose another name")
            } else if !(1...255).contains(entry.key.utf8.count) || value.utf8.count > 4096 {
                report("is too long", "use names of 1 to 255 bytes and values of up to 4096")
            } else {
                fields.append(RecordContext.Field(entry.key, value))
            }
        }
        if fields.count > Self.maximumFields {
            reader.report("fields", "has more than \(Self.maximumFields) of them", remedy: "remove some")
        }
        return fields
    }

    // MARK: Several lines

    private static let languages = ["java", "python", "go"]

    /// `multiline = "java"`, or a table with one of `start`, `end`, `indent` and `trace`, and limits.
    func readMultiline(_ reader: inout SettingsReader) -> MultilineRules? {
        guard let node = reader.take("multiline") else { return nil }
        switch node.value {
        case .string(let text):
            if text == "indent" { return MultilineRules(.indent) }
            if let kind = trace(text, "multiline", reader) { return MultilineRules(kind) }
            return nil
        case .table(let table):
            let inner = SettingsReader(
                table, name: "multiline of \(reader.name)", line: node.line, collector: collector)
            return readMultilineTable(inner)
        default:
            reader.report(
                "multiline", "is \(node.typeName), not a table or a language",
                remedy: "write multiline = { start = '^\\d{4}-' }, or multiline = \"java\"")
            return nil
        }
    }

    private func readMultilineTable(_ reader: SettingsReader) -> MultilineRules? {
        var reader = reader
        var kinds: [MultilineRules.Kind] = []
        let given = ["start", "end", "indent", "trace"].filter { reader.table[$0] != nil }
        if let pattern = reader.string("start").flatMap({ compile($0, "start", reader) }) {
            kinds.append(.start(pattern))
        }
        if let pattern = reader.string("end").flatMap({ compile($0, "end", reader) }) { kinds.append(.end(pattern)) }
        if let isIndented = reader.boolean("indent") {
            if isIndented {
                kinds.append(.indent)
            } else {
                reader.report("indent", "is false", remedy: "remove it")
            }
        }
        if let kind = reader.string("trace").flatMap({ trace($0, "trace", reader) }) { kinds.append(kind) }
        let lines = reader.integer("maximum_lines", in: MultilineRules.lineLimits)
        let timeout = reader.duration("timeout", in: .milliseconds(10)...Duration.seconds(3600))
        reader.finish()
        if given.count != 1 {
            collector.report(
                line: reader.line, "\(reader.name) has \(given.isEmpty ? "none" : given.joined(separator: " and "))",
                remedy: "write one of start, end, indent and trace")
        }
        guard var rules = kinds.first.map({ MultilineRules($0) }) else { return nil }
        if let lines { rules.maximumLines = Int(lines) }
        if let timeout { rules.timeout = timeout }
        return rules
    }

    private func trace(_ language: String, _ key: String, _ reader: SettingsReader) -> MultilineRules.Kind? {
        do throws(PatternError) {
            switch language {
            case "java": return .trace(try .java())
            case "python": return .trace(try .python())
            case "go": return .trace(try .go())
            default: break
            }
        } catch {
            report(error, key, reader)
            return nil
        }
        let known = Self.languages + (key == "multiline" ? ["indent"] : [])
        let meant = Suggestion.nearest(to: language, among: known)
        reader.report(
            key, "is \"\(SettingsReader.shortened(language))\"",
            remedy: meant.map { "did you mean \"\($0)\"?" }
                ?? "write " + known.map { "\"\($0)\"" }.joined(separator: " or "))
        return nil
    }

    // MARK: Patterns

    private func readPatterns(_ key: String, _ reader: inout SettingsReader) -> [Pattern] {
        guard let texts = reader.strings(key) else { return [] }
        if texts.isEmpty { reader.report(key, "is empty", remedy: "name a pattern, or remove it") }
        if texts.count > Self.maximumPatterns {
            reader.report(key, "has more than \(Self.maximumPatterns) patterns", remedy: "join patterns with \"|\"")
        }
        return texts.compactMap { compile($0, key, reader) }
    }

    private func compile(_ text: String, _ key: String, _ reader: SettingsReader) -> Pattern? {
        do throws(PatternError) {
            return try Pattern(text)
        } catch {
            report(error, key, reader, of: text)
            return nil
        }
    }

    private func report(_ error: PatternError, _ key: String, _ reader: SettingsReader, of text: String? = nil) {
        let pattern = text.map { "holds the pattern \"\(SettingsReader.shortened($0))\": " } ?? "needs patterns: "
        reader.report(key, pattern + "\(error)", remedy: error.remedy)
    }
}
