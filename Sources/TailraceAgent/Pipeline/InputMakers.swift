internal import Logging
internal import TailraceInputs
internal import TailraceSpool

/// Makes the inputs of a configuration: what can be wrong with them shows before anything is touched that runs or is stored.
struct InputMakers {
    private let host: String
    /// They share one thread.
    let files: [FileTailConfiguration]
    /// Each with its open sockets.
    private var syslogs: [(SyslogConfiguration, SyslogListeners)] = []
    /// Each has a thread and a journalctl of its own.
    private var journals: [(name: String, JournalConfiguration)] = []

    /// - Parameters:
    ///   - isWanted: by name, whether an input with a thread of its own is to be made.
    ///   - heirloom: sockets of inputs that are about to end, to be gone on with.
    init(
        _ configuration: AgentConfiguration, heirloom: [ListeningSocket] = [],
        isWanted: (_ name: String) -> Bool = { _ in true }
    ) throws(AgentError) {
        host = configuration.host
        var files: [FileTailConfiguration] = []
        for input in configuration.inputs {
            switch input.kind {
            case .file(let settings): files.append(try Self.tail(input.name, settings))
            case .syslog(let settings) where isWanted(input.name):
                syslogs.append(try Self.syslog(input.name, settings, heirloom))
            case .journal(let settings) where isWanted(input.name): journals.append((input.name, settings))
            case .syslog, .journal: break
            }
        }
        self.files = files
    }

    /// Nothing of them runs yet.
    ///
    /// - Parameter positions: how far each source has been read when an input begins; each knows its own.
    func make(
        positions: @escaping @Sendable () -> [SourceKey: [UInt8]], sink: SpoolSink, logger: Logger
    ) throws -> [InputRunner] {
        var inputs: [InputRunner] = []
        for (configuration, listeners) in syslogs {
            let gate = InputGate(sink)
            let input = try SyslogInput(configuration, listeners, host: host, sink: gate, logger: logger)
            inputs.append(InputRunner(configuration.name, input, gate))
        }
        for (name, journal) in journals {
            let gate = InputGate(sink)
            let input = try JournalReader(
                journal, host: host, machine: ConfigurationLoader.machineName(), positions: positions(), sink: gate,
                logger: logger)
            inputs.append(InputRunner(name, input, gate))
        }
        return inputs
    }

    /// The one that all file inputs share; nil when there are none.
    func makeTailer(
        positions: @escaping @Sendable () -> [SourceKey: [UInt8]], sink: SpoolSink, logger: Logger
    ) throws -> InputRunner? {
        if files.isEmpty { return nil }
        let gate = InputGate(sink)
        let tailer = try FileTailer(inputs: files, host: host, positions: positions(), sink: gate, logger: logger)
        return InputRunner(nil, tailer, gate)
    }

    private static func syslog(
        _ name: String, _ input: SyslogInputSettings, _ heirloom: [ListeningSocket]
    ) throws(AgentError) -> (SyslogConfiguration, SyslogListeners) {
        let configuration = input.configuration(name: name)
        do throws(SyslogError) {
            return (configuration, try SyslogListeners.open(configuration, heirloom: heirloom))
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
