import Glibc
internal import TailraceDelivery
internal import TailraceInputs
internal import Transports

/// Turns the text of a configuration into an `AgentConfiguration`, or into the list of everything wrong with it.
///
/// A configuration is the file that is named and the files of `conf.d` beside it (see `ConfigurationText`, `TOMLMerge`).
/// Reads only: nothing of the state directory is touched before the configuration is known to be valid.
package struct ConfigurationLoader {
    /// The path that is named.
    let file: String
    let collector: ProblemCollector
    /// Of `[agent]`.
    private var host = ""
    private var warnings: [ConfigurationProblem] = []

    private init(_ sources: ConfigurationSources) {
        file = sources.files[0]
        collector = ProblemCollector(sources)
    }

    package static func load(path: String) throws(ConfigurationError) -> AgentConfiguration {
        var configuration = try parse(try ConfigurationText.all(at: path))
        configuration.marks = configuration.currentMarks
        return configuration
    }

    package static func parse(_ bytes: [UInt8], file: String) throws(ConfigurationError) -> AgentConfiguration {
        try parse([ConfigurationText(file: file, bytes: bytes)])
    }

    static func parse(_ texts: [ConfigurationText]) throws(ConfigurationError) -> AgentConfiguration {
        var loader = ConfigurationLoader(ConfigurationSources(files: texts.map(\.file)))
        guard let root = loader.merge(texts) else { throw ConfigurationError(loader.collector.problems) }
        return try loader.read(root)
    }

    /// All files as one; nil when one of them cannot be understood.
    private func merge(_ texts: [ConfigurationText]) -> TOMLTable? {
        let root = TOMLTable(origin: .header)
        let merge = TOMLMerge(sources: collector.sources, collector: collector)
        var isWhole = true
        for (index, text) in texts.enumerated() {
            do throws(TOMLError) {
                merge.add(try TOMLDocument.parse(text.bytes), index: index, to: root)
            } catch {
                isWhole = false
                collector.report(
                    line: collector.sources.base(of: index) + error.line, error.message, remedy: "correct this line")
            }
        }
        return isWhole ? root : nil
    }

    /// What all files say together, when they can be understood and do not contradict each other.
    static func table(ofConfigurationAt path: String) -> TOMLTable? {
        guard let texts = try? ConfigurationText.all(at: path) else { return nil }
        let loader = ConfigurationLoader(ConfigurationSources(files: texts.map(\.file)))
        guard let root = loader.merge(texts), loader.collector.isEmpty else { return nil }
        return root
    }

    /// Where the agent with this configuration keeps what it has. Only `[agent]` counts: somebody may ask for the status
    /// who may not read the keys, nor every file of `conf.d`.
    package static func places(ofConfigurationAt path: String) throws(ConfigurationError) -> AgentPlaces {
        let texts = try ConfigurationText.all(at: path, skipsForbidden: true)
        let sources = ConfigurationSources(files: texts.map(\.file))
        if let root = ConfigurationLoader(sources).merge(texts) {
            let loader = ConfigurationLoader(sources)
            var top = SettingsReader(root, name: "the file", line: 1, collector: loader.collector)
            var found = AgentConfiguration(file: path)
            loader.readAgent(loader.table("agent", of: &top), into: &found)
            if loader.collector.isEmpty { return found.places }
        }
        // Tells what is wrong when even [agent] cannot be read.
        return try parse(texts).places
    }

    private mutating func read(_ root: TOMLTable) throws(ConfigurationError) -> AgentConfiguration {
        var top = SettingsReader(root, name: "the file", line: 1, collector: collector)
        var configuration = AgentConfiguration(file: file)
        configuration.dropIns = Array(collector.sources.files.dropFirst())
        readAgent(table("agent", of: &top), into: &configuration)
        host = configuration.host
        readSpool(table("spool", of: &top), into: &configuration)
        for reader in namedTables("input", of: &top) {
            if let input = readInput(reader.1, name: reader.0) { configuration.inputs.append(input) }
        }
        for reader in namedTables("output", of: &top) {
            if let output = readOutput(reader.1, name: reader.0) { configuration.outputs.append(output) }
        }
        top.finish()
        if !collector.isEmpty { throw ConfigurationError(collector.problems) }
        if configuration.inputs.isEmpty {
            collector.report(
                line: nil, "there is no input", remedy: "add [input.NAME] with type = \"file\" and include = [\"…\"]")
        }
        if configuration.outputs.isEmpty {
            collector.report(
                line: nil, "there is no output",
                remedy: "add [output.NAME] with type = \"eventhubs\" and connection_string_file = \"…\"")
        }
        if !collector.isEmpty { throw ConfigurationError(collector.problems) }
        configuration.warnings = warnings
        return configuration
    }

    // MARK: Tables

    private func table(_ key: String, of top: inout SettingsReader) -> SettingsReader? {
        guard let node = top.take(key) else { return nil }
        guard case .table(let table) = node.value else {
            top.report(key, "is \(node.typeName), not a table", remedy: "write a header [\(key)]")
            return nil
        }
        return SettingsReader(table, name: "[\(key)]", line: node.line, collector: collector)
    }

    private func namedTables(_ kind: String, of top: inout SettingsReader) -> [(String, SettingsReader)] {
        guard let tables = table(kind, of: &top) else { return [] }
        var readers: [(String, SettingsReader)] = []
        for entry in tables.table.entries {
            guard case .table(let table) = entry.node.value else {
                collector.report(
                    line: entry.line, "\"\(SettingsReader.shortened(entry.key))\" in [\(kind)] is not a table",
                    remedy: "write a header [\(kind).NAME] before the keys of that \(kind)")
                continue
            }
            guard Self.isName(entry.key) else {
                collector.report(
                    line: entry.line,
                    "\"\(SettingsReader.shortened(entry.key))\" cannot be the name of an \(kind)",
                    remedy: "use 1 to 64 letters, digits, \"-\" and \"_\"")
                continue
            }
            readers.append(
                (
                    entry.key,
                    SettingsReader(table, name: "[\(kind).\(entry.key)]", line: entry.line, collector: collector)
                ))
        }
        return readers
    }

    /// Names become parts of file names.
    private static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    // MARK: [agent] and [spool]

    private func readAgent(_ reader: SettingsReader?, into configuration: inout AgentConfiguration) {
        configuration.host = Self.machineName()
        guard var reader else { return }
        if let directory = reader.string("state_directory") {
            if !Self.isAbsolute(directory) {
                reader.report(
                    "state_directory", "is not an absolute path", remedy: "write it from \"/\" on, without NUL")
            } else if directory.utf8.count > AgentPlaces.maximumStateDirectory {
                reader.report(
                    "state_directory", "has more than \(AgentPlaces.maximumStateDirectory) bytes",
                    remedy: "choose a shorter path: a socket is made in it")
            } else {
                configuration.stateDirectory = directory
            }
        }
        if let host = reader.string("host"), host != "auto" {
            if (1...255).contains(host.utf8.count), host.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) {
                configuration.host = host
            } else {
                reader.report("host", "is not a host name", remedy: "write 1 to 255 bytes of text, or \"auto\"")
            }
        }
        if let metrics = reader.string("metrics"), !metrics.isEmpty {
            configuration.metrics = ListenAddress(metrics)
            if configuration.metrics == nil {
                reader.report(
                    "metrics", "is not an address", remedy: "write \"127.0.0.1:9477\", or \"\" for none")
            }
        }
        reader.finish()
    }

    private func readSpool(_ reader: SettingsReader?, into configuration: inout AgentConfiguration) {
        guard var reader else { return }
        if let size = reader.size("maximum_size", in: SpoolSettings.sizes) { configuration.spool.maximumSize = size }
        if let free = reader.size("minimum_free", in: 0...(1 << 50)) { configuration.spool.minimumFree = free }
        if let sync = reader.string("sync") {
            switch (sync, Quantity.duration(sync)) {
            case ("always", _): configuration.spool.sync = .always
            case ("never", _): configuration.spool.sync = .never
            case (_, let interval?) where interval >= .milliseconds(1) && interval <= .seconds(3600):
                configuration.spool.sync = .interval(interval)
            default:
                reader.report(
                    "sync", "is \"\(SettingsReader.shortened(sync))\"",
                    remedy: "write \"always\", \"never\", or an interval from \"1ms\" to \"1h\"")
            }
        }
        reader.finish()
    }

    /// The type, or `usual` with a problem reported, so that the other keys are checked too.
    private func readType(_ usual: String, _ reader: inout SettingsReader) -> String {
        let type = reader.string("type")
        if reader.table["type"] == nil {
            reader.report("type", "is missing", remedy: "write type = \"\(usual)\"")
        }
        return type ?? usual
    }

    // MARK: Inputs

    private func readInput(_ reader: SettingsReader, name: String) -> InputSettings? {
        var reader = reader
        let filter = readFilter(&reader)
        let fields = readFields(&reader)
        var input = readInputOfType(&reader, name: name)
        input?.filter = filter
        input?.fields = fields
        return input
    }

    private func readInputOfType(_ reader: inout SettingsReader, name: String) -> InputSettings? {
        switch readType("file", &reader) {
        case "file": return InputSettings(name: name, .file(readFile(&reader)))
        case "journal": return InputSettings(name: name, .journal(readJournal(&reader, name: name)))
        case "syslog": return InputSettings(name: name, .syslog(readSyslog(&reader)))
        case let type:
            let meant = Suggestion.nearest(to: type, among: ["file", "journal", "syslog"])
            reader.report(
                "type", "is \"\(SettingsReader.shortened(type))\"",
                remedy: meant.map { "did you mean \"\($0)\"?" } ?? "write \"file\", \"journal\" or \"syslog\"")
            return nil
        }
    }

    // MARK: Outputs

    private mutating func readOutput(_ reader: SettingsReader, name: String) -> OutputSettings? {
        var reader = reader
        switch readType("eventhubs", &reader) {
        case "eventhubs": return readEventHubs(&reader, name: name).map { .eventHubs($0) }
        case "pulsar": return readPulsar(&reader, name: name, host: host).map { .pulsar($0) }
        case let type:
            let meant = Suggestion.nearest(to: type, among: ["eventhubs", "pulsar"])
            reader.report(
                "type", "is \"\(SettingsReader.shortened(type))\"",
                remedy: meant.map { "did you mean \"\($0)\"?" } ?? "write \"eventhubs\" or \"pulsar\"")
            return nil
        }
    }

    func readRoutingKey(_ reader: inout SettingsReader) -> RoutingKey? {
        reader.choice("key", of: RoutingKey.allCases.map(\.rawValue)).flatMap { RoutingKey(rawValue: $0) }
    }

    func readPartitionCheck(_ reader: inout SettingsReader) -> Duration? {
        reader.duration("partition_check", in: OutputSettings.partitionChecks)
    }

    /// The PEM file of the authorities to trust; nil for the system's store.
    func readAuthorities(_ reader: inout SettingsReader) -> String? {
        guard let file = reader.string("ca_file"), !file.isEmpty else { return nil }
        checkFile(file, "ca_file", reader, remedy: ", or \"\" for the system's store")
        return file
    }

    /// Reports a PEM file that cannot be used.
    func checkFile(_ path: String, _ key: String, _ reader: SettingsReader, remedy: String = "") {
        if !Self.isAbsolute(path) {
            reader.report(key, "is not an absolute path", remedy: "write it from \"/\" on")
        } else if access(path, R_OK) != 0 {
            reader.report(
                key, "cannot be read: \(SystemError.describe(errno))",
                remedy: "name a PEM file that the agent's user may read\(remedy)")
        }
    }

    /// - Parameter content: what belongs in it.
    mutating func readSecretFile(
        _ path: String, _ key: String, _ content: String, _ reader: inout SettingsReader
    ) -> Secret<String>? {
        guard let bytes = secretBytes(path, key, content, reader) else { return nil }
        let place = SecretVariable.name(path) == nil ? "file" : "variable"
        guard let text = String(validating: bytes, as: UTF8.self) else {
            reader.report(key, "names a \(place) that is not text", remedy: "put \(content) in it")
            return nil
        }
        let trimmed = text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
        if trimmed.isEmpty {
            reader.report(key, "names an empty \(place)", remedy: "put \(content) in it")
            return nil
        }
        return Secret(String(trimmed))
    }

    private mutating func secretBytes(
        _ path: String, _ key: String, _ content: String, _ reader: SettingsReader
    ) -> [UInt8]? {
        if let variable = SecretVariable.name(path) {
            if let bytes = SecretVariable.value(variable) { return bytes }
            reader.report(
                key, "names the environment variable \(variable), which is not set",
                remedy: "set it where the agent is started, such as by EnvironmentFile= in the unit, and start it anew")
            return nil
        }
        guard Self.isAbsolute(path) else {
            reader.report(
                key, "is not an absolute path",
                remedy: "write it from \"/\" on, or \"credential:NAME\" or \"environment:NAME\"")
            return nil
        }
        do throws(SmallFile.Failure) {
            let bytes = try SmallFile.bytes(path, limit: SecretFile.sizeLimit, what: content, takesPipes: true)
            if SmallFile.isWorldReadable(path) {
                warnings.append(
                    collector.problem(
                        line: reader.table[key]?.node.line,
                        "\(SettingsReader.shortened(path)) can be read by everybody on this machine",
                        remedy: "chmod o-r it"))
            }
            return bytes
        } catch {
            reader.report(
                key, "names \(SettingsReader.shortened(path)), which cannot be read: \(error.reason)",
                remedy: "create the file, readable by the agent's user only")
            return nil
        }
    }

    static func isAbsolute(_ path: String) -> Bool {
        path.hasPrefix("/") && !path.utf8.contains(0) && path.utf8.count < 4096
    }

    /// This machine's name as the kernel knows it.
    package static func machineName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.isEmpty ? "localhost" : text
    }
}
