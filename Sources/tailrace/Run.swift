import ArgumentParser
import CTailrace
import Glibc
import Logging
import TailraceAgent

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the agent until SIGTERM or SIGINT, then stops in order.")

    @OptionGroup var common: CommonOptions

    @Option(help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"))
    var logLevel = "info"

    func validate() throws {
        guard Logger.Level(logLevel) != nil else { throw ValidationError("unknown log level \"\(logLevel)\"") }
    }

    func run() throws {
        tailrace_tune_memory()
        tailrace_hide_memory()
        signal(SIGPIPE, SIG_IGN)
        let signals = AgentSignals.install()
        let configuration = try ConfigurationLoader.load(path: common.config)
        let shared = StandardErrorLog.Shared()
        let level = Logger.Level(logLevel) ?? .info
        let logger = Logger(label: "tailrace") { StandardErrorLog(label: $0, level: level, shared: shared) }
        for warning in configuration.warnings { logger.warning("\(warning)") }
        defer { shared.tellRepetitions(isEnd: true) }
        try Agent(configuration, logger: logger).run(obeying: signals) { shared.tellRepetitions() }
    }
}
