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

    @Flag(
        help:
            "Look at all that the agent needs: spool, rights, ports, DNS, TCP, TLS, token, hub or topic; exit code 1 for errors."
    )
    var deep = false

    @Flag(help: "With --deep: one JSON object, for scripts.")
    var json = false

    @Flag(help: "Say nothing when all is well.")
    var quiet = false

    @Flag(
        help:
            "Only tell, by exit code 1, that no output is configured yet, as in the file that the Debian package installs."
    )
    var configured = false

    func validate() throws {
        if json, !deep { throw ValidationError("--json goes with --deep") }
        if deep, quiet || configured || sample != nil { throw ValidationError("--deep goes with --json alone") }
        if configured, quiet || sample != nil { throw ValidationError("--configured stands alone") }
        if quiet, sample != nil { throw ValidationError("--quiet and --try exclude each other") }
        if input != nil, sample == nil { throw ValidationError("--input goes with --try") }
    }

    func run() throws {
        if configured { return try requireOutput() }
        let configuration = try ConfigurationLoader.load(path: common.config)
        if deep { return try look(configuration) }
        for warning in configuration.warnings { Tailrace.printError("warning: \(warning)") }
        guard let sample else {
            if !quiet { print(ConfigurationReport.text(configuration)) }
            return
        }
        let shared = StandardErrorLog.Shared()
        let logger = Logger(label: "tailrace") { StandardErrorLog(label: $0, level: .warning, shared: shared) }
        try SampleRun.run(configuration, path: sample, input: input, logger: logger) { print($0) }
    }

    private func look(_ configuration: AgentConfiguration) throws {
        let line = ProgressLine()
        let findings = Findings { finding in
            line.clear()
            if !json { Tailrace.write(Array(finding.line.utf8), endsLine: true) }
        } progress: {
            line.show("looking at \($0)")
        }
        DeepCheck(configuration, findings).run()
        line.clear()
        if json { Tailrace.write(findings.json(configuration: configuration.file), endsLine: true) }
        guard findings.errors > 0 else { return }
        Tailrace.printError(
            "\(counted(findings.errors, "error")) and \(counted(findings.warnings, "warning")) in what was looked at")
        throw ExitCode(1)
    }

    private func requireOutput() throws {
        guard ConfigurationLoader.isBlank(path: common.config) else { return }
        Tailrace.printError(
            "\(common.config): nothing to do yet; say in [output.NAME] where to send to, then start the agent")
        throw ExitCode(1)
    }
}
