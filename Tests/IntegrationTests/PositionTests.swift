import Glibc
import LocalHub
import Logging
import TestSupport
import Testing

/// `tailrace explain` and `tailrace positions`, of an agent that runs and of one that does not.
@Suite struct PositionTests {
    private let directory = TemporaryDirectory("positions")
    private let logger = Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() }

    private func hub() async throws -> LocalHub {
        try await LocalHub.started(in: directory, partitions: 1)
    }

    private func agent(_ hub: LocalHub) throws -> AgentProcess {
        try AgentProcess(
            directory, settings: "exclude = [\"skip*\"]",
            output: """
                connection_string = "\(hub.connectionString)"
                ca_file = "\(directory("certificates/ca.pem"))"
                """)
    }

    private func ask(_ arguments: String...) throws -> (exit: ChildProcess.Exit, output: String, error: String) {
        let process = try ChildProcess(
            ChildProcess.built("tailrace"), arguments + ["--config", directory("tailrace.toml")])
        let exit = process.wait()
        return (exit, process.output, process.errorOutput)
    }

    @Test func aPositionSetBackSendsExactlyThoseLinesAgainAndLeavesATrace() async throws {
        let hub = try await hub()
        let agent = try agent(hub)
        let log = directory("logs/app.log")
        try agent.log(Array("one\ntwo\nthree\n".utf8))
        _ = try await agent.status { $0.acknowledged(3) }
        let inode = try #require(Self.inode(log))

        let line = "\(log): offset 14 of 14 bytes, generation 0, inode \(inode)\n"
        #expect(try ask("positions", "list").output == line)
        let set = try ask("positions", "set", log, "4")
        #expect(set.output == "\(log): moved from offset 14 to 4; 10 bytes are read again\n", "\(set)")
        _ = try await agent.status { $0.acknowledged(5) }
        #expect(try ask("positions").output == line)
        try agent.log(Array("four\n".utf8))
        _ = try await agent.status { $0.acknowledged(6) }
        let forgotten = try ask("positions", "forget", log)
        #expect(forgotten.output == "\(log): moved from offset 19 to 0; 19 bytes are read again\n", "\(forgotten)")
        _ = try await agent.status { $0.acknowledged(10) }

        let wrong = try ask("positions", "set", log, "5")
        #expect(wrong.exit == .code(1))
        #expect(wrong.error == "tailrace: \(log) has no line that begins at 5: the one there begins at 4\n")
        #expect(try ask("positions", "set", log, "five").exit == .code(2))

        #expect(agent.stop() == .code(0))
        // While it is stopped the list comes from its spool, and nobody can move anything.
        let stopped = try ask("positions", "list", "--json")
        #expect(
            stopped.output == """
                {"files":[{"path":"\(log)","source":"\(log)","device":\(Self.device(log) ?? 0),"inode":\(inode),\
                "generation":1,"offset":19,"size":19,"copy":false}],"journals":[],"others":[]}

                """, "\(stopped)")
        let refused = try ask("positions", "set", log, "0")
        #expect(refused.exit == .code(1))
        #expect(refused.error.contains("no agent answers"))

        let trace = agent.process.errorOutput.split(separator: "\n").filter { $0.contains(" by request ") }
        #expect(trace.count == 2)
        #expect(trace.first?.contains("position set by request") == true)
        #expect(trace.first?.contains("from=14") == true)
        #expect(trace.first?.contains("to=4 ") == true)
        #expect(trace.first?.contains("user=\(getuid())") == true)
        await hub.stop()
        var bodies: [String] = []
        try HubStore.forEachBody(directory: directory("store"), partition: 0, logger: logger) {
            bodies.append(String(decoding: $0, as: UTF8.self))
        }
        #expect(
            bodies == ["one", "two", "three", "two", "three", "four", "one", "two", "three", "four"])
    }

    @Test func aPathIsExplainedWhileTheAgentRunsAndWhenItIsStopped() async throws {
        let hub = try await hub()
        let agent = try agent(hub)
        let log = directory("logs/app.log")
        try agent.log(Array("one\npart".utf8))
        try agent.log([], to: "skipped.log")
        _ = try await agent.status { $0.acknowledged(1) }
        #expect(
            try ask("explain", log).output.hasPrefix(
                "\(log): read\n    read to the end of its last whole line; 4 bytes of a line without newline follow\n"))
        #expect(
            try ask("explain", directory("logs/skipped.log")).output.hasPrefix(
                "\(directory("logs/skipped.log")): ignored\n    excluded by the pattern skip* of input app\n"))
        #expect(try ask("explain", directory("logs/app.txt"), "--json").output.contains("\"verdict\":\"ignored\""))
        #expect(agent.stop() == .code(0))
        #expect(
            try ask("explain", log).output.hasPrefix(
                "\(log): waiting\n    the agent does not run; it goes on at offset 4\n"))
        await hub.stop()
    }

    private static func inode(_ path: String) -> UInt64? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }

    private static func device(_ path: String) -> UInt64? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_dev) : nil
    }
}
