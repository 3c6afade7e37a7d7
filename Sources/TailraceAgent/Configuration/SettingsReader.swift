/// Collects the problems of one configuration, whose lines are those of `sources`.
final class ProblemCollector {
    let sources: ConfigurationSources
    private var found: [(line: Int, problem: ConfigurationProblem)] = []

    init(_ sources: ConfigurationSources) { self.sources = sources }

    func report(line: Int?, _ message: String, remedy: String) {
        found.append((line ?? 0, problem(line: line, message, remedy: remedy)))
    }

    /// As it would be reported.
    func problem(line: Int?, _ message: String, remedy: String) -> ConfigurationProblem {
        let place = sources.place(line)
        return ConfigurationProblem(file: place.file, line: place.line, message: message, remedy: remedy)
    }

    var isEmpty: Bool { found.isEmpty }

    /// In the order of the files and their lines.
    var problems: [ConfigurationProblem] { found.sorted { $0.line < $1.line }.map(\.problem) }
}

/// Reads the keys of one table, notes which are known, and reports the others with a suggestion.
///
/// Every getter returns nil when the key is absent, and also when its value is wrong: then the problem has been
/// reported, and the caller goes on with a default to find the rest of the problems.
struct SettingsReader {
    let table: TOMLTable
    /// The table as it stands in the file, such as `[input.app]`.
    let name: String
    /// The line of the table's header.
    let line: Int
    let collector: ProblemCollector
    private var known: [String] = []

    init(_ table: TOMLTable, name: String, line: Int, collector: ProblemCollector) {
        self.table = table
        self.name = name
        self.line = line
        self.collector = collector
    }

    func report(_ key: String, _ message: String, remedy: String) {
        collector.report(line: table[key]?.node.line ?? line, "\(key) in \(name) \(message)", remedy: remedy)
    }

    mutating func string(_ key: String) -> String? {
        guard let node = take(key) else { return nil }
        guard case .string(let text) = node.value else {
            report(key, "is \(node.typeName), not a string", remedy: "write \(key) = \"…\"")
            return nil
        }
        return Self.namesFile(key) ? file(key, text) : text
    }

    private static func namesFile(_ key: String) -> Bool {
        key.hasSuffix("_file") || key == "client_key" || key == "client_certificate"
    }

    /// Where the file is, when it is a credential of the service; a variable of the environment stays what it is.
    private func file(_ key: String, _ text: String) -> String? {
        if let variable = SecretVariable.name(text) {
            guard SecretVariable.keys.contains(key) else {
                report(
                    key, "names a variable of the environment, and must be a file",
                    remedy: "write a path, or \"credential:NAME\"")
                return nil
            }
            guard SecretVariable.isName(variable) else {
                report(
                    key, "is \"\(Self.shortened(text))\"",
                    remedy: "write \"environment:NAME\", with a name of letters, digits and \"_\"")
                return nil
            }
            return text
        }
        do throws(ServiceCredential.Failure) {
            return try ServiceCredential.path(text) ?? text
        } catch .name {
            report(
                key, "is \"\(Self.shortened(text))\"", remedy: "write \"credential:NAME\", with a name without \"/\"")
        } catch {
            report(
                key, "names a credential, and nobody has passed any",
                remedy: "set LoadCredential= in the unit, and start the service; by hand, ask as root while it runs")
        }
        return nil
    }

    mutating func strings(_ key: String) -> [String]? {
        guard let node = take(key) else { return nil }
        guard case .array(let elements) = node.value else {
            report(key, "is \(node.typeName), not an array of strings", remedy: "write \(key) = [\"…\"]")
            return nil
        }
        var texts: [String] = []
        for element in elements {
            guard case .string(let text) = element.value else {
                collector.report(
                    line: element.line, "an element of \(key) in \(name) is \(element.typeName), not a string",
                    remedy: "put it in quotes")
                return nil
            }
            texts.append(text)
        }
        return texts
    }

    /// One of `choices`.
    mutating func choice(_ key: String, of choices: [String]) -> String? {
        guard let text = string(key) else { return nil }
        guard choices.contains(text) else {
            let meant = Suggestion.nearest(to: text, among: choices)
            let list = choices.map { "\"\($0)\"" }.joined(separator: " or ")
            report(
                key, "is \"\(Self.shortened(text))\"",
                remedy: meant.map { "did you mean \"\($0)\"?" } ?? "write \(list)")
            return nil
        }
        return text
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int64>) -> Int64? {
        guard let node = take(key) else { return nil }
        guard case .integer(let number) = node.value else {
            report(key, "is \(node.typeName), not a number", remedy: "write \(key) = \(range.upperBound)")
            return nil
        }
        guard range.contains(number) else {
            report(key, "is \(number)", remedy: "choose from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    /// Bytes, from a string with a unit or an integer, within `range`.
    mutating func size(_ key: String, in range: ClosedRange<UInt64>) -> UInt64? {
        guard let node = take(key) else { return nil }
        let size: UInt64? =
            switch node.value {
            case .string(let text): Quantity.size(text)
            case .integer(let number): UInt64(exactly: number)
            default: nil
            }
        guard let size else {
            report(key, "is not a size", remedy: "write a number of bytes, or a text such as \"64MiB\" or \"10GiB\"")
            return nil
        }
        guard range.contains(size) else {
            report(
                key, "is \(Quantity.describe(bytes: size))",
                remedy: "choose from \(Quantity.describe(bytes: range.lowerBound)) to "
                    + Quantity.describe(bytes: range.upperBound))
            return nil
        }
        return size
    }

    /// A share, such as 0.25.
    mutating func number(_ key: String) -> Double? {
        guard let node = take(key) else { return nil }
        switch node.value {
        case .float(let number): return number
        case .integer(let number): return Double(number)
        default:
            report(key, "is \(node.typeName), not a number", remedy: "write a number such as 0.25")
            return nil
        }
    }

    mutating func boolean(_ key: String) -> Bool? {
        guard let node = take(key) else { return nil }
        guard case .boolean(let value) = node.value else {
            report(key, "is \(node.typeName), not true or false", remedy: "write \(key) = true")
            return nil
        }
        return value
    }

    mutating func duration(_ key: String, in range: ClosedRange<Duration>) -> Duration? {
        guard let text = string(key) else { return nil }
        guard let duration = Quantity.duration(text), range.contains(duration) else {
            report(
                key, "is \"\(Self.shortened(text))\"",
                remedy: "write a duration from \(range.lowerBound) to \(range.upperBound), such as \"2s\"")
            return nil
        }
        return duration
    }

    /// The tables of an array, each with a reader of its own.
    mutating func tables(_ key: String, example: String) -> [SettingsReader]? {
        guard let node = take(key) else { return nil }
        guard case .array(let elements) = node.value else {
            report(key, "is \(node.typeName), not an array of tables", remedy: "write \(key) = [\(example)]")
            return nil
        }
        var readers: [SettingsReader] = []
        for element in elements {
            guard case .table(let table) = element.value else {
                collector.report(
                    line: element.line, "an element of \(key) in \(name) is \(element.typeName), not a table",
                    remedy: "write \(key) = [\(example)]")
                continue
            }
            readers.append(SettingsReader(table, name: "\(key) of \(name)", line: element.line, collector: collector))
        }
        return readers
    }

    /// A key that a later version will have: any value is an error.
    mutating func unsupported(_ key: String, remedy: String) {
        guard take(key) != nil else { return }
        report(key, "is not supported by this version", remedy: remedy)
    }

    /// Reports every key that was not asked for.
    func finish() {
        for entry in table.entries where !known.contains(entry.key) {
            let meant = Suggestion.nearest(to: entry.key, among: known)
            collector.report(
                line: entry.line, "unknown key \"\(Self.shortened(entry.key))\" in \(name)",
                remedy: meant.map { "did you mean \"\($0)\"?" } ?? "known keys are \(known.joined(separator: ", "))")
        }
    }

    /// The value as written, noted as known.
    mutating func take(_ key: String) -> TOMLNode? {
        known.append(key)
        return table[key]?.node
    }

    /// A text as it may stand in a message of one line.
    static func shortened(_ text: String) -> String {
        let scalars = text.unicodeScalars.prefix(60).map { $0.properties.generalCategory == .control ? "?" : $0 }
        return String(String.UnicodeScalarView(scalars)) + (text.unicodeScalars.count > 60 ? "…" : "")
    }
}
