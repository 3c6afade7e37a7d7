import Glibc
import TestSupport
import Testing

/// The command's contract: exit codes, and errors that are one line.
@Suite struct CommandTests {
    private let directory = TemporaryDirectory("command")

    private func run(_ arguments: String...) throws -> (exit: ChildProcess.Exit, output: String, error: String) {
        let process = try ChildProcess(ChildProcess.built("tailrace"), arguments)
        let exit = process.wait()
        return (exit, process.output, process.errorOutput)
    }

    private func write(_ text: String) -> String {
        let path = directory("t.toml")
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        #expect(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
        return path
    }

    @Test func versionAndHelpAreNoErrors() throws {
        let version = try run("--version")
        #expect(version.exit == .code(0))
        #expect(version.output.contains("."))
        let help = try run("--help")
        #expect(help.exit == .code(0))
        #expect(help.output.contains("check"))
        #expect(help.error.isEmpty)
    }

    @Test func wrongUsageIsCode2AndOneLine() throws {
        for arguments in [["--nonsense"], ["chek"], ["check", "--config"]] {
            let process = try ChildProcess(ChildProcess.built("tailrace"), arguments)
            #expect(process.wait() == .code(2))
            #expect(process.errorOutput.hasPrefix("tailrace: "))
            #expect(process.errorOutput.filter { $0 == "\n" }.count == 1)
        }
    }

    @Test func anUnknownKeyIsCode78WithPlaceAndSuggestion() throws {
        let path = write("[spool]\nsycn = \"always\"\n")
        for command in ["check", "run"] {
            let result = try run(command, "--config", path)
            #expect(result.exit == .code(78))
            #expect(
                result.error == "tailrace: \(path):2: unknown key \"sycn\" in [spool]; did you mean \"sync\"?\n")
        }
    }

    @Test func anInvalidConfigurationTouchesNothing() throws {
        let state = directory("state")
        let path = write("[agent]\nstate_directory = \"\(state)\"\n[input.a]\ntype = \"file\"\n")
        #expect(try run("run", "--config", path).exit == .code(78))
        #expect(access(state, F_OK) != 0)
    }

    @Test func statusWithoutAnAgentIsCode1AndSaysSo() throws {
        let path = write("[agent]\nstate_directory = \"\(directory.path)\"\n")
        let result = try run("status", "--config", path)
        #expect(result.exit == .code(1))
        #expect(result.error.contains("no agent answers at \(directory.path)/control.sock"))
        #expect(result.error.filter { $0 == "\n" }.count == 1)
    }

    @Test func aValidConfigurationIsToldInShort() throws {
        let key = directory("hub.key")
        let descriptor = open(key, O_WRONLY | O_CREAT, 0o600)
        let text = "Endpoint=sb://localhost/;SharedAccessKeyName=a;SharedAccessKey=SecretCanary;EntityPath=logs\n"
        #expect(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
        let path = write(
            """
            [agent]
            state_directory = "\(directory("state"))"
            [input.app]
            type = "file"
            include = ["\(directory.path)/*.log"]
            [output.hub]
            type = "eventhubs"
            connection_string_file = "\(key)"
            """)
        let result = try run("check", "--config", path)
        #expect(result.exit == .code(0))
        #expect(result.error.isEmpty)
        #expect(result.output.contains("input app: \(directory.path)/*.log: 0 files match now"))
        #expect(!result.output.contains("SecretCanary"))
        #expect(access(directory("state"), F_OK) != 0)
    }

    @Test func theHubTellsWhatAClientNeedsAndStopsOnSignal() async throws {
        let hub = try ChildProcess(
            ChildProcess.built("tailrace"),
            ["hub", "--listen", "127.0.0.1:0", "--hub", "events", "--certificate-directory", directory("certificates")])
        while !hub.output.contains("ca file:"), !hub.output.contains("\n\n") {
            try await Task.sleep(for: .milliseconds(10))
        }
        let lines = hub.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 3)
        #expect(lines[0].wholeMatch(of: /listening on 127\.0\.0\.1:[0-9]+/) != nil, "\(lines[0])")
        #expect(
            lines[1].wholeMatch(
                of: /connection string: Endpoint=sb:.*;SharedAccessKey=[A-Za-z0-9+\/=]{44};EntityPath=events/) != nil)
        #expect(lines[2] == "ca file: \(directory("certificates"))/ca.pem")
        hub.signal(SIGTERM)
        #expect(hub.wait() == .code(0))
        #expect(hub.errorOutput.isEmpty)
    }

    @Test func aHubThatCannotBeIsWrongUsage() throws {
        for arguments in [
            ["--listen", "nowhere"], ["--partitions", "0"], ["--hub", "a/b"], ["--sas-key", "a;b"],
        ] {
            let process = try ChildProcess(ChildProcess.built("tailrace"), ["hub"] + arguments)
            #expect(process.wait() == .code(2))
            #expect(process.errorOutput.filter { $0 == "\n" }.count == 1)
        }
    }
}
