import LocalHub
import Logging
import TestSupport
import Testing

/// `tailrace top` in a real terminal, that of tmux.
@Suite struct TopTests {
    private let directory = TemporaryDirectory("top")

    private func tmux(_ words: String...) throws -> String {
        // A server of its own, which ends with its last session.
        let child = try ChildProcess("/usr/bin/tmux", ["-S", directory("tmux"), "-f", "/dev/null"] + words)
        guard child.wait() == .code(0) else { throw ChildProcess.Failure("tmux \(words): \(child.errorOutput)") }
        return child.output
    }

    private func screen(_ isReached: ([Substring]) -> Bool) async throws -> [Substring] {
        while true {
            let lines = try tmux("capture-pane", "-p", "-t", "top").split(
                separator: "\n", omittingEmptySubsequences: false)
            if isReached(lines) { return lines }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    @Test func theScreenFollowsTheAgentItsSizeAndKeys() async throws {
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        configuration.partitionCount = 32
        let hub = try LocalHub(configuration, logger: Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() })
        _ = try await hub.start()
        let agent = try AgentProcess(directory, output: "connection_string = \"\(hub.connectionString)\"")
        let program = try ChildProcess.built("tailrace")
        _ = try tmux(
            "new-session", "-d", "-s", "top", "-x", "80", "-y", "24", "env", "TERM=screen", "/bin/sh", "-c",
            "until \(program) status --config \(agent.configurationPath) > /dev/null 2>&1; do sleep 0.05; done; "
                + "\(program) top --config \(agent.configurationPath); echo ended with $?; sleep 1000")
        try agent.log(Array("one\ntwo\nthree\n".utf8))
        var lines = try await screen { $0.contains { $0.hasPrefix("OUTPUT hub (eventhubs): connected") } }
        #expect(lines[0].hasPrefix("tailrace ") && lines[0].contains(" on test-host"))
        #expect(lines[1].hasPrefix("spool ["))
        // All of one key, so of one partition, which may be below the screen.
        lines = try await screen { $0.contains { $0.hasPrefix("app (file)") } && $0.last { !$0.isEmpty } != nil }
        #expect(lines.filter { !$0.isEmpty }.last == "q ends, ↑ ↓ scroll  ↓ more")
        #expect(lines.count <= 25 && lines.allSatisfy { $0.count <= 80 })
        #expect(lines.contains { $0.hasPrefix("  PARTITION") })
        #expect(!lines.contains { $0.hasPrefix("  31") })

        _ = try tmux("send-keys", "-t", "top", "PageDown")
        _ = try tmux("send-keys", "-t", "top", "PageDown")
        _ = try tmux("send-keys", "-t", "top", "Down")
        lines = try await screen { $0.contains { $0.hasPrefix("  31") } }
        #expect(lines[0].hasPrefix("tailrace "))
        _ = try tmux("resize-window", "-t", "top", "-x", "120", "-y", "50")
        lines = try await screen { lines in
            lines.contains { $0.hasPrefix("  31") } && lines.contains { $0.hasPrefix("  0 ") }
        }
        #expect(lines.filter { !$0.isEmpty }.last == "q ends, ↑ ↓ scroll")

        // The last that it knew stays, and what stands in the way is told.
        #expect(agent.stop() == .code(0))
        lines = try await screen { $0.contains { $0.hasPrefix("NO ANSWER: ") } }
        #expect(lines.contains { $0.hasPrefix("app (file)") })

        _ = try tmux("send-keys", "-t", "top", "q")
        lines = try await screen { $0.contains { $0.hasPrefix("ended with 0") } }
        #expect(!lines.contains { $0.hasPrefix("spool [") })
        _ = try tmux("kill-server")
        await hub.stop()
    }

    @Test func withoutATerminalOrAnAgentItSaysWhatToDo() async throws {
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        let hub = try LocalHub(configuration, logger: Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() })
        _ = try await hub.start()
        let agent = try AgentProcess(directory, output: "connection_string = \"\(hub.connectionString)\"")
        _ = try await agent.status { $0.text.contains("\"connected\"") }
        let top = try ChildProcess(ChildProcess.built("tailrace"), ["top", "--config", agent.configurationPath])
        #expect(top.wait() == .code(2))
        #expect(top.errorOutput.contains("tailrace status"))
        #expect(agent.stop() == .code(0))
        let again = try ChildProcess(ChildProcess.built("tailrace"), ["top", "--config", agent.configurationPath])
        #expect(again.wait() == .code(1))
        #expect(again.errorOutput.contains("no agent answers"))
        await hub.stop()
    }
}
