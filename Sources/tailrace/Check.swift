import ArgumentParser
import Logging
import TailraceAgent

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Validates the configuration and says what would run; exit code 78 when it is wrong.")

    @OptionGroup var common: CommonOptions

    @Option(
        name: .customLong("try"),
        help: ArgumentHelp(
            "Show what an input makes of a file: its records, and what is filtered and redacted.", valueName: "file"))
    var sample: String?

    @Option(help: ArgumentHelp("The input for --try; needed when there are several.", valueName: "name"))
    var input: String?

    func validate() throws {
        if input != nil, sample == nil { throw ValidationError("--input goes with --try") }
    }

    func run() throws {
        let configuration = try ConfigurationLoader.load(path: common.config)
        for warning in configuration.warnings { Tailrace.printError("warning: \(warning)") }
        guard let sample else {
            print(ConfigurationReport.text(configuration))
            return
        }
        let shared = StandardErrorLog.Shared()
        let logger = Logger(label: "tailrace") { StandardErrorLog(label: $0, level: .warning, shared: shared) }
        try SampleRun.run(configuration, path: sample, input: input, logger: logger) { print($0) }
    }
}
