import Glibc
import TailraceAgent
import TestSupport
import Testing

/// The manual against the code: every key, every option, every example.
@Suite struct ManualTests {
    private let directory = TemporaryDirectory("manual")

    @Test func thePagesAreWellFormed() throws {
        // Pages that refer to one another are looked for where they would be installed.
        for page in ManualPage.all {
            mkdir(directory("man\(page.section)"), 0o755)
            #expect(symlink(page.path, directory("man\(page.section)/\(page.name)")) == 0)
        }
        let lint = try ChildProcess(
            "/usr/bin/mandoc", ["-Tlint", "-Wstyle"] + ManualPage.all.map(\.path),
            environment: ["MANPATH": "\(directory.path):"])
        #expect(lint.wait() == .code(0))
        #expect(lint.output == "")
    }

    // MARK: Keys

    /// What the loader knows, as it tells who writes something else.
    private func known(_ header: String, _ more: String = "") throws -> Set<String> {
        let text = "\(header)\n\(more)\nzzzzzzzzzzzzzzzzzzzz = 1\n"
        do {
            _ = try ConfigurationLoader.parse(Array(text.utf8), file: "test.toml")
        } catch {
            let problem = try #require(error.problems.first { $0.message.contains("zzzzzzzzzz") })
            let list = try #require(problem.remedy.split(separator: "known keys are ", maxSplits: 1).last)
            return Set(list.split(separator: ", ").map(String.init))
        }
        throw ChildProcess.Failure("a key that nobody knows is taken")
    }

    @Test(arguments: [
        ("[agent]", "", ["THE AGENT"]), ("[spool]", "", ["THE SPOOL"]),
        ("[input.x]", "type = \"file\"", ["INPUTS", "Files"]),
        ("[input.x]", "type = \"journal\"", ["INPUTS", "The journal"]),
        ("[input.x]", "type = \"syslog\"", ["INPUTS", "Syslog"]),
        ("[output.x]", "type = \"eventhubs\"", ["OUTPUTS", "Azure Event Hubs"]),
        ("[output.x]", "type = \"pulsar\"", ["OUTPUTS", "Apache Pulsar"]),
    ])
    func everyKeyHasItsParagraphAndNoOther(_ header: String, _ type: String, _ headings: [String]) throws {
        var keys = try known(header, type)
        keys.remove("type")
        let described = headings.flatMap { ManualPage.configuration.items("Ic", under: $0) }
        #expect(Set(described) == keys)
        #expect(Set(described).count == described.count)
    }

    // MARK: Options

    private static let commands = [
        "run", "check", "status", "top", "explain", "positions list", "positions set", "positions forget", "spool ls",
        "spool verify", "spool dump", "spool export", "spool dead ls", "spool dead show", "spool dead replay",
        "spool dead drop", "send", "hub", "demo",
    ]

    private func help(_ command: String) throws -> String {
        let help = try ChildProcess(
            ChildProcess.built("tailrace"), command.split(separator: " ").map(String.init) + ["--help"])
        #expect(help.wait() == .code(0))
        return help.output
    }

    private func options(_ help: String) -> Set<String> {
        Set(help.matches(of: /--[a-z][a-z-]*/).map { String($0.output) })
    }

    @Test func everyOptionIsInTheManualAndNoOther() throws {
        var all: Set<String> = []
        for command in Self.commands { all.formUnion(options(try help(command))) }
        #expect(all.subtracting(ManualPage.tailrace1.options) == [])
        #expect(ManualPage.tailrace1.options.subtracting(all) == [])
    }

    /// A command that the manual and this test do not know fails here.
    @Test func everyCommandIsInTheManual() throws {
        func commands(_ path: String) throws -> [String] {
            let help = try help(path)
            guard let list = help.split(separator: "SUBCOMMANDS:").dropFirst().first else { return [path] }
            let names = list.split(separator: "\n").compactMap { line -> Substring? in
                guard line.hasPrefix("  "), line.dropFirst(2).first != " ", !line.contains("See '") else { return nil }
                return line.dropFirst(2).prefix { $0 != " " }
            }
            return try names.flatMap { try commands(path.isEmpty ? String($0) : "\(path) \($0)") }
        }
        #expect(Set(try commands("")) == Set(Self.commands))
        let text = ManualPage.tailrace1.lines.filter { $0.hasPrefix(".It Cm ") }.map { $0.dropFirst(7) }
        for command in Self.commands where command != "send" {
            #expect(text.contains { $0 == command || $0.hasPrefix("\(command) Ar") }, "\(command)")
        }
    }

    // MARK: Examples

    @Test func everyConfigurationIsValid() throws {
        try AgentProcess.write(
            "Endpoint=sb://ns.example;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs\n",
            to: directory("hub.key"))
        try AgentProcess.write("token\n", to: directory("pulsar.token"))
        let examples = ManualPage.configuration.blocks
        #expect(examples.count == 4)
        for example in examples {
            let text = example.replacing("/etc/tailrace", with: directory.path)
            do {
                let configuration = try ConfigurationLoader.parse(Array(text.utf8), file: "example.toml")
                #expect(configuration.inputs.count == 1 && configuration.outputs.count == 1)
            } catch {
                Issue.record("\(error) in \(example)")
            }
        }
    }

    /// They are of an agent that does not run here; but no option of theirs is wrong.
    @Test(
        arguments: [ManualPage.tailrace1, ManualPage.operations].flatMap(\.blocks).flatMap {
            $0.split(separator: "\n")
        })
    func everyCommandLineIsUnderstood(_ line: Substring) throws {
        guard line.hasPrefix("tailrace ") else {
            #expect(line.hasPrefix("sysctl -w net.core.rmem_max="))
            return
        }
        try AgentProcess.write(
            """
            [agent]
            state_directory = "\(directory("state"))"
            [input.app]
            type = "file"
            include = ["\(directory("app.log"))"]
            [output.hub]
            type = "eventhubs"
            connection_string = "Endpoint=sb://ns.example;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs"
            """, to: directory("tailrace.toml"))
        try AgentProcess.write("a line\n", to: directory("app.log"))
        let words = line.split(separator: " ").dropFirst().map {
            $0 == "/var/log/app/app.log" ? directory("app.log") : String($0)
        }
        let command = try ChildProcess(
            ChildProcess.built("tailrace"), words + ["--config", directory("tailrace.toml")])
        let exit = command.wait()
        #expect(exit == .code(0) || exit == .code(1), "\(command.errorOutput)")
        // Without an agent, and without a spool, some have nothing to tell.
        if exit == .code(1) { #expect(command.errorOutput.hasPrefix("tailrace: "), "\(command.errorOutput)") }
    }
}
