import EventHubs
import Glibc
import LocalHub
import TestSupport
import Testing

/// Keys and passwords are in no log, no status, no error, no process title and no file that the agent writes.
@Suite struct SecretTests {
    private let directory = TemporaryDirectory("secret")
    private static let canary = "CanaryThatSingsAtNight"
    /// The canary as it is, and what a header of a proxy would make of it.
    private static let forms = [canary, "Q2FuYXJ5VGhhdFNpbmdzQXROaWdod", "bjpDYW5hcnlUaGF0U2luZ3NBdE5pZ2h0"]

    private func hub(key: String) async throws -> LocalHub {
        try await LocalHub.started(in: directory, store: nil, key: key)
    }

    /// Everything that can be seen of an agent: what it says and tells, its title, and its files.
    private func everything(_ agent: AgentProcess, _ arguments: [[String]]) throws -> [UInt8] {
        var seen = ChildProcess.bytes(agent.process.outputPath) + ChildProcess.bytes(agent.process.errorPath)
        seen += ChildProcess.bytes("/proc/\(agent.process.identifier)/cmdline")
        for words in arguments {
            let child = try ChildProcess(
                ChildProcess.built("tailrace"), words + ["--config", agent.configurationPath])
            child.wait()
            seen += ChildProcess.bytes(child.outputPath) + ChildProcess.bytes(child.errorPath)
        }
        let files = try ChildProcess("/usr/bin/find", [directory("state"), "-type", "f"])
        files.wait()
        #expect(!files.output.isEmpty)
        for file in files.output.split(separator: "\n") { seen += ChildProcess.bytes(String(file)) }
        return seen
    }

    private func expectNone(_ bytes: [UInt8], _ forms: [String] = Self.forms) {
        // As text: bytes that are no UTF-8 become others, and the canary is plain.
        let text = String(decoding: bytes, as: UTF8.self)
        for form in forms { #expect(!text.contains(form)) }
    }

    /// How the way to the hub fails, and the words of the status that say so.
    enum Failure: String, CaseIterable {
        case wrongKey, untrustedCertificate, nobodyListens, proxyRefuses, none

        var words: String {
            switch self {
            case .wrongKey: "unauthorized"
            case .none: "\"acknowledged\":1"
            default: "not connected"
            }
        }
    }

    @Test(arguments: Failure.allCases) func theAgentTellsItsKeyToNobody(_ failure: Failure) async throws {
        let hub = try await hub(key: failure == .wrongKey ? "another" : Self.canary)
        var string = hub.connectionString.replacing("SharedAccessKey=another", with: "SharedAccessKey=\(Self.canary)")
        if failure == .nobodyListens { string = string.replacing(":\(hub.port)", with: ":1") }
        var output = "connection_string = \"\(string)\"\n"
        if failure != .untrustedCertificate { output += "ca_file = \"\(directory("certificates/ca.pem"))\"\n" }
        if failure == .proxyRefuses {
            try AgentProcess.write(Self.canary + "\n", to: directory("password"))
            output += "proxy = \"http://127.0.0.1:1\"\nproxy_user = \"n\"\n"
            output += "proxy_password_file = \"\(directory("password"))\"\n"
        }
        let agent = try AgentProcess(directory, output: output)
        try agent.log(Array("a line\n".utf8))
        let status = try await agent.status { $0.text.contains(failure.words) }
        expectNone(Array(status.text.utf8))
        expectNone(
            try everything(agent, [["status"], ["check"], ["check", "--deep"], ["check", "--deep", "--json"]]))
        #expect(agent.stop() == .code(0))
        expectNone(ChildProcess.bytes(agent.process.errorPath))
        await hub.stop()
    }

    @Test func aConfigurationWithMistakesIsToldWithoutItsSecrets() throws {
        for output in [
            "connection_string = \"Endpoint=sb://h;SharedAccessKey=\(Self.canary)\"",
            "connection_string = \"\(Self.canary)\"",
            "connection_string = \"Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=\(Self.canary);;\"",
            "connection_string = \"Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=\(Self.canary)",
            "proxy = \"http://n:\(Self.canary)@127.0.0.1:3128\"",
        ] {
            let agent = try AgentProcess(directory, output: output)
            #expect(agent.process.wait() == .code(78))
            #expect(!agent.process.errorOutput.isEmpty)
            expectNone(ChildProcess.bytes(agent.process.errorPath))
        }
    }

    @Test func aSecretOfTheEnvironmentIsToldToNobody() async throws {
        let hub = try await hub(key: Self.canary)
        let environment = ["TAILRACE_TEST_HUB": hub.connectionString]
        let agent = try AgentProcess(
            directory,
            output: "connection_string_file = \"environment:TAILRACE_TEST_HUB\"\n"
                + "ca_file = \"\(directory("certificates/ca.pem"))\"", environment: environment)
        try agent.log(Array("a line\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        for words in [["check"], ["check", "--deep"]] {
            let check = try ChildProcess(
                ChildProcess.built("tailrace"), words + ["--config", agent.configurationPath], environment: environment)
            #expect(check.wait() == .code(0), "\(check.output)\(check.errorOutput)")
            expectNone(ChildProcess.bytes(check.outputPath) + ChildProcess.bytes(check.errorPath))
        }
        // Whoever asks without the variable is told which one it is.
        let check = try ChildProcess(ChildProcess.built("tailrace"), ["check", "--config", agent.configurationPath])
        #expect(check.wait() == .code(78))
        #expect(check.errorOutput.contains("the environment variable TAILRACE_TEST_HUB, which is not set; set it"))
        expectNone(try everything(agent, [["status"]]))
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    @Test func theHubHidesItsKeyFromTheProcessList() async throws {
        let hub = try ChildProcess(
            ChildProcess.built("tailrace"), ["hub", "--listen", "127.0.0.1:0", "--plain", "--sas-key", Self.canary])
        while !hub.output.contains("connection string:") { try await Task.sleep(for: .milliseconds(10)) }
        expectNone(ChildProcess.bytes("/proc/\(hub.identifier)/cmdline"))
        hub.signal(SIGTERM)
        #expect(hub.wait() == .code(0))
        expectNone(ChildProcess.bytes(hub.errorPath))
    }
}
