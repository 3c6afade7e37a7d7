import AMQP
import Glibc
import HubReading
import LocalHub
import TestSupport
import Testing

/// Records of several lines, filters, redaction and fields with the real program: what a consumer gets, and the balance.
@Suite struct RecordPathTests {
    private let directory = TemporaryDirectory("records")

    private func hub() async throws -> LocalHub {
        try await LocalHub.started(in: directory, key: "CanarySecretOfTheTestHub", partitions: 1)
    }

    private static let settings = """
        multiline = { start = '^\\d{4}-', timeout = "300ms" }
        keep = ['ERROR', 'WARN']
        drop = ['health']
        redact = [{ pattern = '(password=)\\S+', replace = '$1[removed by the agent]' }]
        fields = { team = "ops" }
        """

    @Test func onlyWhatIsWantedArrivesAndTheBalanceCloses() async throws {
        let hub = try await hub()
        let output =
            "connection_string = \"\(hub.connectionString)\"\nca_file = \"\(directory("certificates/ca.pem"))\""
        let agent = try AgentProcess(directory, settings: Self.settings, output: output)
        let records = (0..<400).map { number in
            switch number % 4 {
            case 0: "2026-11-21 ERROR \(number) password=geheim\n\tat a.b(C.java:1)\n\n\tat a.c"
            case 1: "2026-11-21 INFO \(number)\n and more"
            case 2: "2026-11-21 WARN health \(number)"
            default: "2026-11-21 WARN \(number)"
            }
        }
        // In pieces that end anywhere, and with the agent killed in between.
        let bytes = Array(records.joined(separator: "\n").utf8) + [0x0A]
        var at = 0
        while at < bytes.count {
            let end = min(bytes.count, at + 3001)
            try agent.log(Array(bytes[at..<end]))
            at = end
            if at > bytes.count / 2, at - 3001 <= bytes.count / 2 {
                agent.process.signal(SIGKILL)
                _ = agent.process.wait()
                try agent.restart()
            }
        }
        let expected = records.enumerated().filter { $0.offset % 4 == 0 || $0.offset % 4 == 3 }
            .map { $0.element.replacingText("geheim", "[removed by the agent]") }
        let consumer = try await HubConsumer(
            port: hub.port, authorityFile: directory("certificates/ca.pem"),
            user: hub.configuration.sharedAccessKeyName, password: "CanarySecretOfTheTestHub",
            hub: hub.configuration.hubName, partitions: 1)
        let status = try await agent.status {
            $0.number("spooled", in: "inputs") == 0 && $0.number("lag_bytes", in: "inputs") == 0
                && $0.text.contains("matches no pattern of keep") && $0.text.contains("matches a pattern of drop")
        }
        #expect(status.number("unexplained", in: "inputs") == 0, "\(status)")
        let events = await consumer.events(atLeast: expected.count)
        // A kill may double what was in flight; the order of what came first stays.
        var bodies: [String] = []
        for event in events {
            let body = String(decoding: event.body, as: UTF8.self)
            #expect(event.message.applicationProperties[string: "team"] == .string("ops"))
            if !bodies.contains(body) { bodies.append(body) }
        }
        #expect(bodies == expected)
        var offsets: [String: Int64] = [:]
        var offset: Int64 = 0
        for record in records {
            offsets[record.replacingText("geheim", "[removed by the agent]")] = offset
            offset += Int64(record.utf8.count) + 1
        }
        for event in events {
            let expected = offsets[String(decoding: event.body, as: UTF8.self)]
            #expect(event.message.applicationProperties[string: "offset"] == expected.map { .long($0) })
        }
        #expect(agent.stop() == .code(0))
        // Neither the spool nor the hub has ever had what was removed.
        let search = try ChildProcess(
            "/bin/grep", ["-r", "-l", "-a", "geheim", directory("state"), directory("store")])
        #expect(search.wait() == .code(1), "\(search.output)")
    }

    @Test func aSampleInUTF16ShowsItsLinesAndWhereTheyAre() throws {
        let configuration = directory("tailrace.toml")
        try AgentProcess.write(
            """
            [agent]
            state_directory = "\(directory("state"))"
            [input.app]
            type = "file"
            include = ["/var/log/nothing/*.log"]
            [output.hub]
            type = "eventhubs"
            connection_string = "Endpoint=sb://localhost/;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=logs"

            """, to: configuration)
        let sample = directory("wide.log")
        let bytes = "\u{FEFF}one\nzwölf\n".utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        try AgentProcess.write(bytes, to: sample, append: false)
        let check = try ChildProcess(
            ChildProcess.built("tailrace"), ["check", "--config", configuration, "--try", sample])
        #expect(check.wait() == .code(0), "\(check.errorOutput)")
        #expect(
            check.output == """
                record 1 at 2, 3 bytes
                    | one
                record 2 at 10, 6 bytes
                    | zwölf
                2 records of 9 bytes: 2 go along (0 redacted), 0 filtered, 0 dropped

                """)
    }

    @Test func aSampleShowsWhatTheInputMakesOfIt() throws {
        let key = "Endpoint=sb://localhost/;SharedAccessKeyName=a;SharedAccessKey=SecretCanary;EntityPath=logs"
        let configuration = directory("tailrace.toml")
        try AgentProcess.write(
            """
            [agent]
            state_directory = "\(directory("state"))"
            [input.app]
            type = "file"
            include = ["/var/log/nothing/*.log"]
            \(Self.settings)
            [output.hub]
            type = "eventhubs"
            connection_string = "\(key)"

            """, to: configuration)
        let sample = directory("a [sample].log")
        try AgentProcess.write(
            "2026-11-21 ERROR a password=geheim\n\tat b\n2026-11-21 INFO x\n2026-11-21 WARN health\n2026-11-21 WARN y\nz",
            to: sample)
        let check = try ChildProcess(
            ChildProcess.built("tailrace"), ["check", "--config", configuration, "--try", sample])
        #expect(check.wait() == .code(0), "\(check.errorOutput)")
        #expect(
            check.output == """
                record 1 at 0, 40 bytes in 2 lines: REDACTED
                     team="ops"
                    | 2026-11-21 ERROR a password=[removed by the agent]
                    | \tat b
                record 2 at 41, 17 bytes: FILTERED, matches no pattern of keep
                    | 2026-11-21 INFO x
                record 3 at 59, 22 bytes: FILTERED, matches a pattern of drop
                    | 2026-11-21 WARN health
                record 4 at 82, 17 bytes
                     team="ops"
                    | 2026-11-21 WARN y
                4 records of 96 bytes: 2 go along (1 redacted), 2 filtered, 0 dropped
                1 byte at the end of the file wait for the newline that ends their line

                """)
        #expect(access(directory("state"), F_OK) != 0)
        for arguments in [["--try", directory("none")], ["--try", sample, "--input", "nap"]] {
            let wrong = try ChildProcess(
                ChildProcess.built("tailrace"), ["check", "--config", configuration] + arguments)
            #expect(wrong.wait() == .code(1))
            #expect(wrong.errorOutput.filter { $0 == "\n" }.count == 1)
        }
        let alone = try ChildProcess(
            ChildProcess.built("tailrace"), ["check", "--config", configuration, "--input", "app"])
        #expect(alone.wait() == .code(2))
    }
}

extension String {
    fileprivate func replacingText(_ text: String, _ replacement: String) -> String {
        var result = ""
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            result += rest[..<range.lowerBound] + replacement
            rest = rest[range.upperBound...]
        }
        return result + rest
    }
}
