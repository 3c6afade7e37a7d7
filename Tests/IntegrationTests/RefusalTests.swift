import Glibc
import LocalHub
import TestSupport
import Testing

/// What keeps the real agent from starting is told in one line, which says what to do.
@Suite struct RefusalTests {
    private let directory = TemporaryDirectory("refusal")

    /// The one line.
    private func refusal(agent: String = "", input: String = "", output: String) throws -> String {
        mkdir(directory("logs"), 0o755)
        try directory.write(
            """
            [agent]
            state_directory = "\(directory("state"))"
            \(agent)
            [input.app]
            type = "file"
            include = ["\(directory("logs/*.log"))"]
            \(input)
            [output.hub]
            type = "eventhubs"
            \(output)
            """, to: "tailrace.toml")
        let run = try ChildProcess(
            ChildProcess.built("tailrace"), ["run", "--config", directory("tailrace.toml")])
        #expect(run.wait() == .code(1))
        let lines = run.errorOutput.split(separator: "\n")
        #expect(lines.count == 1, "\(lines)")
        return String(lines.first ?? "")
    }

    @Test(arguments: ["tcp", "udp"]) func aPortOfSyslogThatIsTaken(_ scheme: String) async throws {
        let hub = try await LocalHub.started(in: directory)
        let holder = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(holder) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(hub.port).bigEndian
        inet_pton(AF_INET, "127.0.0.1", &name.sin_addr)
        let bound = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(holder, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(bound == 0)
        let place = "\(scheme)://127.0.0.1:\(hub.port)"
        let line = try refusal(
            input: "[input.net]\ntype = \"syslog\"\nlisten = [\"\(place)\"]", output: hub.output(directory))
        #expect(
            line
                == "tailrace: input net: \(place): cannot listen: Address already in use; something else listens there:"
                + " stop it (ss -lnp shows it), or choose another place")
        // Found before anything was touched.
        #expect(access(directory("state"), F_OK) != 0)
        await hub.stop()
    }

    @Test func aPortOfMetricsThatIsTaken() async throws {
        let hub = try await LocalHub.started(in: directory)
        let line = try refusal(agent: "metrics = \"127.0.0.1:\(hub.port)\"", output: hub.output(directory))
        #expect(
            line == "tailrace: cannot listen on 127.0.0.1:\(hub.port) for metrics: Address already in use; stop what"
                + " listens there (ss -lnp shows it), or change [agent] metrics")
        await hub.stop()
    }

    @Test func aStateThatAnotherAgentHas() async throws {
        let hub = try await LocalHub.started(in: directory)
        let agent = try AgentProcess(directory, output: hub.output(directory))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        let line = try refusal(output: hub.output(directory))
        #expect(
            line.contains("in use by process \(agent.process.identifier): stop it, or choose another state_directory"))
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }
}
