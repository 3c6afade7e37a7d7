import LocalHub
import TestSupport
import Testing

/// The real agent with a file of host names of its own, in which its hub's name gets other addresses.
@Suite struct NameChangeTests {
    private let directory = TemporaryDirectory("names")

    private func hub(_ host: String, port: Int) async throws -> LocalHub {
        try await LocalHub.started(in: directory, port: port, partitions: 1) {
            $0.host = host
            $0.isPlain = true
        }
    }

    /// On a port that will be free at another address too: outside the range that the kernel gives out by itself.
    private func firstHub() async throws -> LocalHub {
        while true {
            if let hub = try? await hub("127.0.0.2", port: Int.random(in: 15_000...30_000)) { return hub }
        }
    }

    @Test func anotherAddressIsFoundByTheNameAndAllOfThemAreTried() async throws {
        let hosts = directory("hosts")
        try AgentProcess.write("127.0.0.2 hub.test\n", to: hosts)
        let first = try await firstHub()
        let port = first.port
        let agent = try AgentProcess(
            directory,
            output: "connection_string = \"\(first.connectionString.replacing("127.0.0.2", with: "hub.test"))\"",
            launcher: [
                "/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c",
                "mount --bind '\(hosts)' /etc/hosts && exec \"$@\"", "sh",
            ])
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        await first.stop()
        // Nobody listens at the old address any more, which is still the name's first one.
        try AgentProcess.write("127.0.0.2 hub.test\n127.0.0.3 hub.test\n", to: hosts)
        let second = try await hub("127.0.0.3", port: port)
        try agent.log(Array("two\n".utf8))
        _ = try await agent.status { $0.acknowledged(2) }
        #expect(second.statistics.partitions[0].eventsStored == 1)
        #expect(agent.stop() == .code(0))
        await second.stop()
    }
}
