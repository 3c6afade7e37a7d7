internal import Logging
internal import TailraceInputs
internal import TailraceSpool

/// Makes the inputs of a configuration: what can be wrong with them shows before the state directory is touched.
struct InputMakers {
    private let host: String
    /// They share one thread.
    private var files: [FileTailConfiguration] = []
    /// Each with its open sockets.
    private var syslogs: [(SyslogConfiguration, SyslogListeners)] = []
    /// Each has a thread and a journalctl of its own.
    private var journals: [JournalConfiguration] = []

    init(_ configuration: AgentConfiguration) throws(AgentError) {
        host = configuration.host
        for input in configuration.inputs {
            switch input.kind {
            case .file(let settings): files.append(try Self.tail(input.name, settings))
            case .syslog(let settings): syslogs.append(try Self.syslog(input.name, settings))
            case .journal(let settings): journals.append(settings)
            }
        }
    }

    /// - Parameter positions: how far each source has been read; each input knows its own.
    func make(
        positions: [SourceKey: [UInt8]], sink: SpoolSink, logger: Logger
    ) throws -> [any RunningInput] {
        var inputs: [any RunningInput] = []
        if !files.isEmpty {
            inputs.append(
                try FileTailer(inputs: files, host: host, positions: positions, sink: sink, logger: logger))
        }
        for (configuration, listeners) in syslogs {
            inputs.append(try SyslogInput(configuration, listeners, host: host, sink: sink, logger: logger))
        }
        for journal in journals {
            inputs.append(
                try JournalReader(
                    journal, host: host, machine: ConfigurationLoader.machineName(), positions: positions, sink: sink,
                    logger: logger))
        }
        return inputs
    }

    private static func syslog(
        _ name: String, _ input: SyslogInputSettings
    ) throws(AgentError) -> (SyslogConfiguration, SyslogListeners) {
        let configuration = input.configuration(name: name)
        do throws(SyslogError) {
            return (configuration, try SyslogListeners.open(configuration))
        } catch {
            throw AgentError("input \(name): \(error)")
        }
    }

    static func tail(_ name: String, _ input: FileInputSettings) throws(AgentError) -> FileTailConfiguration {
        var include: [GlobPattern] = []
        for text in input.include {
            guard let pattern = GlobPattern(text) else {
                throw AgentError("input \(name): include holds \"\(text)\", which is no absolute path of a file")
            }
            include.append(pattern)
        }
        var configuration = FileTailConfiguration(
            name: name, include: include, exclude: input.exclude.map { ExcludePattern($0) })
        configuration.maximumLine = input.maximumLine
        configuration.format = input.format
        configuration.multiline = input.multiline
        configuration.startAt = input.start == .beginning ? .beginning : .end
        configuration.ignoreOlder = input.ignoreOlder
        configuration.stripsCarriageReturns = input.lineEnd == .crlf
        configuration.encoding = input.encoding
        configuration.deletedMinimumFree = input.deletedMinimumFree
        return configuration
    }
}
