import EventHubs
import Glibc
import LocalHub
import Logging
import TestSupport
import Testing

/// `tailrace spool dead replay` and `drop`, with the real program: a hub that takes too little, and kills.
@Suite struct DeadLetterTests {
    private let directory = TemporaryDirectory("dead")
    private let logger = Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() }
    private static let key = "a2V5LW9mLXRoZS1kZWFkLWxldHRlcnM="
    private static let lines = 400

    private func hub(port: Int, largest: UInt64) async throws -> LocalHub {
        try await LocalHub.started(in: directory, port: port, key: Self.key) { $0.maximumMessageSize = largest }
    }

    private func dead(_ arguments: String...) throws -> (exit: ChildProcess.Exit, output: String, error: String) {
        let process = try start(arguments)
        let exit = process.wait()
        return (exit, process.output, process.errorOutput)
    }

    private func start(_ arguments: [String]) throws -> ChildProcess {
        try ChildProcess(
            ChildProcess.built("tailrace"), ["spool", "dead"] + arguments + ["--config", directory("tailrace.toml")])
    }

    private func stored() throws -> [String] {
        var texts: [String] = []
        for partition in 0..<2 {
            try HubStore.forEachBody(directory: directory("store"), partition: partition, logger: logger) {
                texts.append(String(decoding: $0, as: UTF8.self))
            }
        }
        return texts
    }

    @Test func deadLettersGoOutAgainOnceEachWhateverIsKilled() async throws {
        var random = SeededGenerator.fresh("dead letters")
        // Too little for the fields that every record has.
        var hub = try await hubThatComesBack()
        let long = String(repeating: "x", count: 4000)
        let fields = "field0 = \"\(long)\", field1 = \"\(long)\", field2 = \"\(long)\""
        let agent = try AgentProcess(
            directory, settings: "fields = { \(fields) }",
            output: """
                connection_string = "\(hub.connectionString)"
                ca_file = "\(directory("certificates/ca.pem"))"
                idempotent = "always"
                """)
        try agent.log((0..<Self.lines).flatMap { Array("line \($0)\n".utf8) })
        var status = try await agent.status { $0.number("dead_lettered", in: "outputs") == Self.lines }
        status = try await agent.status { $0.acknowledged(Self.lines) }
        for section in ["inputs", "outputs", "dead_letters"] {
            #expect(status.number("unexplained", in: section) == 0, "\(status)")
        }
        #expect(status.number("in_area", in: "dead_letters") == Self.lines)
        let list = try dead("ls")
        #expect(list.output.hasPrefix("output hub: \(Self.lines) records, "), "\(list)")

        // Dropping wants to be meant.
        for refused in [try dead("drop", "--id", "0"), try dead("drop"), try dead("replay", "--all", "--id", "3")] {
            #expect(refused.exit == .code(2), "\(refused)")
        }
        #expect(try dead("drop", "--id", "\(Self.lines)", "--yes").exit == .code(1))
        let dropped = try dead("drop", "--id", "0", "--id", "2", "--yes")
        #expect(dropped.exit == .code(0), "\(dropped)")
        #expect(dropped.output.hasSuffix("\noutput hub: 2 dead letters dropped\n"))
        #expect(try dead("replay", "--id", "2").exit == .code(1))
        #expect(agent.stop() == .code(0))
        let port = hub.port
        await hub.stop()

        // Without an agent the command does it.
        let alone = try dead("replay", "--through", "9", "--output", "hub")
        #expect(alone.output == "output hub: 8 dead letters in the spool again, to be sent\n", "\(alone)")
        #expect(try dead("show", "hub").output.hasPrefix("record 10  "))

        hub = try await self.hub(port: port, largest: 1 << 20)
        try agent.restart()
        _ = try await agent.status { $0.text.contains("\"state\":\"connected\"") }
        for _ in 0..<6 {
            let replay = try start(["replay", "--all"])
            try await Task.sleep(for: .microseconds(Int.random(in: 5_000...60_000, using: &random)))
            agent.process.signal(SIGKILL)
            _ = agent.process.wait()
            _ = replay.wait()
            try agent.restart()
            _ = try await agent.status { _ in true }
        }
        let rest = try dead("replay", "--all")
        #expect(rest.exit == .code(0), "\(rest)")
        #expect(try dead("ls").output == "no dead letters\n")
        status = try await agent.status {
            $0.number("waiting", in: "outputs") == 0 && $0.number("in_flight", in: "outputs") == 0
                && $0.text.contains("\"state\":\"connected\"")
        }
        for section in ["inputs", "outputs", "dead_letters"] {
            #expect(status.number("unexplained", in: section) == 0, "\(status)")
        }
        #expect(status.number("in_area", in: "dead_letters") == 0)
        #expect(agent.stop() == .code(0))
        await hub.stop()
        let expected = (0..<Self.lines).filter { $0 != 0 && $0 != 2 }.map { "line \($0)" }
        let found = try stored()
        // Their partition has them in their order, each once.
        #expect(found == expected, "seed \(random.seed)")
    }

    /// A hub on a port that will be free for a second one: outside the range that the kernel gives out by itself.
    private func hubThatComesBack() async throws -> LocalHub {
        while true {
            if let hub = try? await hub(port: Int.random(in: 15_000...30_000), largest: 8 << 10) { return hub }
        }
    }
}
