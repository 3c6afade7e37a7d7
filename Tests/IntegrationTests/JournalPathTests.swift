import Glibc
import LocalHub
import TestSupport
import Testing

@testable import TailraceAgent

/// Journal files written by systemd's own program, the agent, a hub, and the official client that reads back.
@Suite(.serialized) struct JournalPathTests {
    private let directory = TemporaryDirectory("journal-path")

    private func hub() async throws -> LocalHub {
        try await LocalHub.started(in: directory, store: nil, partitions: 4)
    }

    private func agent(_ hub: LocalHub, _ settings: String = "") throws -> AgentProcess {
        mkdir(directory("journal"), 0o755)
        return try AgentProcess(
            directory,
            settings: """

                [input.system]
                type = "journal"
                directory = "\(directory("journal"))"
                since = "all"
                \(settings)
                """,
            output: """
                connection_string = "\(hub.connectionString)"
                ca_file = "\(directory("certificates/ca.pem"))"
                """)
    }

    private func write(_ numbers: Range<Int>) throws {
        let text = numbers.map { number in
            """
            __REALTIME_TIMESTAMP=\(1_700_000_000_000_000 + number)
            __MONOTONIC_TIMESTAMP=\(1000 + number)
            _BOOT_ID=0123456789abcdef0123456789abcdef
            _MACHINE_ID=00112233445566778899aabbccddeeff
            _HOSTNAME=web-1
            _SYSTEMD_UNIT=shop.service
            _PID=4711
            SYSLOG_IDENTIFIER=shop
            SYSLOG_FACILITY=3
            PRIORITY=\(number % 8)
            MESSAGE=entry \(number)


            """
        }
        let export = directory("in.export")
        try AgentProcess.write(text.joined(), to: export)
        let remote = try ChildProcess(
            "/lib/systemd/systemd-journal-remote", ["--output=\(directory("journal"))/x.journal", export])
        guard remote.wait() == .code(0) else { throw ChildProcess.Failure(remote.errorOutput) }
    }

    /// Of `process` and of its children, those that are journalctl.
    private func readers(of process: Int32) -> [Int32] {
        ChildProcess.text("/proc/\(process)/task/\(process)/children").split(separator: " ").compactMap { Int32($0) }
            + threads(of: process).flatMap { thread in
                ChildProcess.text("/proc/\(process)/task/\(thread)/children").split(separator: " ")
                    .compactMap { Int32($0) }
            }
    }

    private func threads(of process: Int32) -> [Int32] {
        guard let stream = opendir("/proc/\(process)/task") else { return [] }
        defer { closedir(stream) }
        var found: [Int32] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let number = Int32(name), number != process { found.append(number) }
        }
        return found
    }

    @Test func everyEntryReachesTheOfficialClientWithItsProperties() async throws {
        let python = try Python()
        let hub = try await hub()
        let agent = try agent(hub)
        try write(0..<200)
        let received = try await python.consume(from: hub, count: 200)
        #expect(received.map { String(decoding: $0.body, as: UTF8.self) } == (0..<200).map { "entry \($0)" })
        #expect(Set(received.map(\.key)) == ["web-1"])
        let lines = ChildProcess.text(python.directory("received.json")).split(separator: "\n")
        let expected = [
            "\"host\": \"web-1\"", "\"source\": \"journal:\(directory("journal"))\"", "\"input\": \"system\"",
            "\"unit\": \"shop.service\"", "\"app\": \"shop\"", "\"pid\": 4711", "\"facility\": 3", "\"severity\": ",
            "\"event_time\": 1700000000000", "\"offset\": ", "\"timestamp\": ",
        ]
        for line in lines {
            #expect(expected.filter { !line.contains($0) && !line.contains(Self.quoted($0)) } == [], "\(line)")
        }
        let status = try await agent.status { $0.text.contains("\"acknowledged\":200") }
        #expect(status.text.contains("\"type\":\"journal\""))
        #expect(status.number("unexplained", in: "inputs") == 0)
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    /// Kills of the reader and of the agent: the agent outlives its reader, no reader outlives its agent.
    @Test func killsLoseNothingAndRepeatNothing() async throws {
        let python = try Python()
        let hub = try await hub()
        let agent = try agent(hub)
        var written = 0
        for _ in 0..<3 {
            try write(written..<(written + 2000))
            written += 2000
            let process = agent.process.identifier
            var children = readers(of: process)
            while children.isEmpty {
                try await Task.sleep(for: .milliseconds(5))
                children = readers(of: process)
            }
            for child in children { kill(child, SIGBUS) }
            try write(written..<(written + 500))
            written += 500
            #expect(agent.process.isRunning && agent.process.identifier == process)
            children = readers(of: process)
            while children.isEmpty {
                try await Task.sleep(for: .milliseconds(5))
                children = readers(of: process)
            }
            agent.process.signal(SIGKILL)
            agent.process.wait()
            // They are killed by the kernel with the thread that started them.
            while children.contains(where: { isJournalctl($0) }) { try await Task.sleep(for: .milliseconds(5)) }
            try agent.restart()
        }
        try write(written..<(written + 10))
        written += 10
        let received = try await python.consume(from: hub, count: written)
        #expect(received.map { String(decoding: $0.body, as: UTF8.self) } == (0..<written).map { "entry \($0)" })
        _ = try await agent.status {
            $0.number("waiting", in: "outputs") == 0 && $0.number("in_flight", in: "outputs") == 0
        }
        #expect(agent.stop() == .code(0))
        #expect(hub.statistics.partitions.reduce(0) { $0 + $1.eventsStored } == written)
        await hub.stop()
    }

    /// The client may show a number as a text.
    private static func quoted(_ pair: String) -> String {
        let parts = pair.split(separator: ": ", omittingEmptySubsequences: false)
        return parts[1].isEmpty ? pair : "\(parts[0]): \"\(parts[1])\""
    }

    private func isJournalctl(_ process: Int32) -> Bool {
        ChildProcess.text("/proc/\(process)/comm") == "journalctl\n"
    }
}
