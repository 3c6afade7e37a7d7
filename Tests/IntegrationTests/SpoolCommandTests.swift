import Glibc
import TestSupport
import Testing

/// `tailrace spool`, of an agent that cannot deliver and of its spool when it is stopped.
@Suite struct SpoolCommandTests {
    private let directory = TemporaryDirectory("spool-command")

    private func spool(_ arguments: String...) throws -> (exit: ChildProcess.Exit, output: String, error: String) {
        let process = try ChildProcess(
            ChildProcess.built("tailrace"), ["spool"] + arguments + ["--config", directory("tailrace.toml")])
        let exit = process.wait()
        return (exit, process.output, process.errorOutput)
    }

    @Test func aSpoolIsLookedAtWhileItIsWrittenAndWhenItIsStopped() async throws {
        // Nobody listens there: everything stays in the spool.
        let agent = try AgentProcess(
            directory,
            output: """
                connection_string = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=aw==;EntityPath=hub"
                """)
        try agent.log((0..<1000).flatMap { Array("line \($0)\n".utf8) })
        _ = try await agent.status { $0.number("spooled", in: "inputs") == 1000 }
        for isRunning in [true, false] {
            if !isRunning { #expect(agent.stop() == .code(0)) }
            let list = try spool("ls")
            #expect(list.exit == .code(0) && list.output.contains("1000 records, 1 position\n"), "\(list)")
            #expect(try spool().output == list.output)
            let verified = try spool("verify")
            #expect(verified.exit == .code(0), "\(verified)")
            #expect(verified.output.hasSuffix(", 1000 whole records, no damage\n"))
            let dump = try spool("dump", "--from", "999", "--to", "999")
            #expect(dump.output.hasSuffix("\n    | line 999\n"), "\(dump)")
            let raw = try spool("export", "--raw", "--unacknowledged")
            #expect(raw.output == (0..<1000).map { "line \($0)\n" }.joined() && raw.error == "tailrace: 1000 records\n")
            let source = directory("logs/app.log")
            let exported = try spool("export", "--source", source, "--count", "1")
            #expect(exported.output.hasPrefix("{\"id\":0,") && exported.output.hasSuffix("\"body\":\"line 0\"}\n"))
            #expect(try spool("dead").output == "no dead letters\n")
            let none = try spool("dead", "show", "hub")
            #expect(none.exit == .code(1) && none.error.contains("the output hub has no dead letters"), "\(none)")
        }
        let missing = try spool("verify", "--directory", directory("nowhere"))
        #expect(missing.exit == .code(1) && missing.error.hasPrefix("tailrace: there is no spool at "), "\(missing)")
    }
}
