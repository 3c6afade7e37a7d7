import Glibc
import LocalHub
import Logging
import TestSupport
import Testing

/// Every command line of README, manual pages and alert rules is executed: the program's own here, as it stands, but for its
/// places; the others where `elsewhere` says. A new one that nobody executes fails.
@Suite struct DocumentedCommandTests {
    private let directory = TemporaryDirectory("commands")
    private let logger = Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() }

    /// What this test does not run: the file that does, and what stands in it.
    private static let elsewhere: [String: (file: String, text: String)] = [
        "make demo": (".ci/run", "make demo"),
        "make test": (".ci/run", "make test"),
        // The test of the package takes all lines of the README's section "Install", and runs them as they stand.
        "apt install ./tailrace_*.deb": ("Tests/package", "readme_commands"),
        "editor /etc/tailrace/tailrace.toml": ("Tests/package", "readme_commands"),
        "systemctl enable --now tailrace": ("Tests/package", "readme_commands"),
        "packaging/build-deb": ("Tests/package", "packaging/build-deb "),
        "systemctl status tailrace": ("Tests/package", "systemctl status tailrace"),
        "systemctl reload tailrace": ("Tests/package", "systemctl reload tailrace"),
        "systemd-analyze security tailrace": ("Tests/package", "systemd-analyze security tailrace"),
        // Opens an editor with a drop-in: the test writes one.
        "systemctl edit tailrace": ("Tests/package", "/etc/systemd/system/tailrace.service.d/test.conf"),
        "runuser -u tailrace -- tailrace check --deep": (
            "Tests/package", "runuser -u tailrace -- tailrace check --deep"
        ),
        "kill -9": ("Tests/CrashTests/CrashTests.swift", "SIGKILL"),
        // A screen, which needs a terminal.
        "tailrace top --config tailrace.toml": ("Tests/IntegrationTests/TopTests.swift", "\\(program) top --config"),
        "tailrace hub --plain --sas-key trial": ("Tests/package", "tailrace hub --plain --sas-key trial"),
    ]

    /// What would change the machine that runs the tests, and has no copy of its own in a throw-away one.
    private static let kernelSettings = ["sysctl -w net.core.rmem_max=33554432"]

    /// Spoken of: who runs it so is told what is missing.
    private static let names = ["tailrace send"]

    private static var all: [DocumentedCommand] {
        let commands =
            DocumentedCommand.ofReadme() + ManualPage.all.flatMap { DocumentedCommand.of($0) }
            + DocumentedCommand.ofAlerts()
        var seen: Set<DocumentedCommand> = []
        return commands.filter { seen.insert($0).inserted }
    }

    @Test func whatIsExecutedElsewhereIs() {
        for command in Self.all where command.words[0] != "tailrace" && !Self.kernelSettings.contains(command.text) {
            #expect(Self.elsewhere[command.text] != nil, "nothing executes \(command)")
        }
        let texts = Set(Self.all.map(\.text))
        for (command, place) in Self.elsewhere {
            #expect(texts.contains(command), "nobody tells to type \(command) any more")
            #expect(
                ChildProcess.text("\(HazardTests.root)/\(place.file)").contains(place.text),
                "\(place.file) does not execute \(command)")
        }
    }

    /// They exist, and this machine could take the value.
    @Test(arguments: kernelSettings) func theKernelHasWhatIsToBeSet(_ command: String) throws {
        #expect(Self.all.contains { $0.text == command })
        let setting = try #require(command.split(separator: " ").last).split(separator: "=")
        let path = "/proc/sys/" + setting[0].replacing(".", with: "/")
        #expect(Int(ChildProcess.text(path).filter(\.isNumber)) != nil, "\(path)")
        #expect(Int(setting[1]) == 32 << 20)
    }

    /// In the order of the pages; those that need an agent find one, with an output whose service refuses what it gets.
    @Test func everyCommandOfTheProgramRuns() async throws {
        var configuration = LocalHubConfiguration()
        configuration.partitionCount = 2
        // Too little for the fields that every record has.
        configuration.maximumMessageSize = 2000
        configuration.certificateDirectory = directory("certificates")
        let hub = try LocalHub(configuration, logger: logger)
        _ = try await hub.start()
        try AgentProcess.write("\(hub.connectionString)\n", to: directory("hub.key"))
        for name in ["lines.txt", "sample.log"] { try AgentProcess.write("a line\nanother\n", to: directory(name)) }
        let agent = try AgentProcess(
            directory, settings: "fields = { long = \"\(String(repeating: "x", count: 4000))\" }",
            output: """
                connection_string_file = "\(directory("hub.key"))"
                ca_file = "\(directory("certificates/ca.pem"))"
                """)
        try agent.log(Array("one\ntwo\n".utf8))
        _ = try await agent.status { $0.number("in_area", in: "outputs") == 2 }

        let commands = Self.all.filter {
            $0.words[0] == "tailrace" && Self.elsewhere[$0.text] == nil && !Self.names.contains($0.text)
        }
        #expect(commands.count > 20)
        for command in commands {
            switch command.words[1] {
            case "run":
                // The agent is to be another one then; afterwards the first goes on.
                #expect(agent.stop() == .code(0))
                let other = try start(command)
                _ = try await agent.status { $0.text.contains("\"process\":\(other.identifier),") }
                other.signal(SIGTERM)
                #expect(other.wait() == .code(0), "\(command): \(other.errorOutput)")
                try agent.restart()
                _ = try await agent.status { $0.number("in_area", in: "outputs") != nil }
            case "hub":
                let other = try start(command)
                while other.isRunning, !other.output.contains("listening on") {
                    try await Task.sleep(for: .milliseconds(20))
                }
                other.signal(SIGTERM)
                #expect(other.wait() == .code(0), "\(command): \(other.errorOutput)")
            default:
                let process = try start(command)
                #expect(process.wait() == .code(0), "\(command): \(process.errorOutput)")
            }
        }
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    /// As it stands, in a place of the test's own.
    private func start(_ command: DocumentedCommand) throws -> ChildProcess {
        var words = command.words.dropFirst().map { word in
            switch word {
            case "127.0.0.1:5671": "127.0.0.1:0"
            case "certificates", "certificates/ca.pem", "tailrace.toml", "hub.key", "lines.txt", "sample.log":
                directory(word)
            case "FILE", "PATH", "/var/log/app/app.log", "/srv/a/web.log": directory("logs/app.log")
            case "OFFSET": "0"
            // The only input and output that are here.
            case "web", "app": "app"
            default: word
            }
        }
        var input = "/dev/null"
        if let arrow = words.firstIndex(of: "<") {
            input = words[arrow + 1]
            words.removeSubrange(arrow...)
        }
        let needsNone = ["send", "hub", "demo"].contains(words[0])
        if !needsNone, !words.contains("--config") { words += ["--config", directory("tailrace.toml")] }
        return try ChildProcess(ChildProcess.built("tailrace"), words, input: input)
    }
}
