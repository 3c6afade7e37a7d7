import Glibc
import TestSupport
import Testing

/// kill -9 of the agent, and of a broker that is not ours and does not deduplicate: nothing is lost, and only what was in
/// flight at a kill may be there twice.
@Suite struct PulsarLiteKillTests {
    private let directory = TemporaryDirectory("pulsar-lite-kills")
    private static let files = 3
    private static let linesPerRound = 400

    /// A topic without partitions is one lane, and a lane has one batch on its way: each kill can double the messages of
    /// one entry of the broker, and no others.
    @Test func killsLoseNothingAndDoubleOnlyTheBatchInFlight() async throws {
        var generator = SeededGenerator.fresh("pulsar-lite kills")
        let seed = generator.seed
        let broker = try await PulsarLite(try Python())
        let agent = try AgentProcess(
            directory, type: "pulsar",
            output: """
                service_url = "\(broker.serviceURL)"
                topic = "logs"
                key = "source"
                batch_records = 100
                """)
        let kills = 15
        var lines = 0
        for kill in 0...kills {
            for file in 0..<Self.files {
                let numbers = (lines / Self.files)..<(lines / Self.files + Self.linesPerRound)
                try agent.log(Array(numbers.map { "\(file) \($0)\n" }.joined().utf8), to: "\(file).log")
            }
            lines += Self.files * Self.linesPerRound
            guard kill < kills else { break }
            // Somewhere between reading, sending and being acknowledged.
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...400, using: &generator)))
            if kill % 5 == 4 { broker.kill() }
            agent.process.signal(SIGKILL)
            _ = agent.process.wait()
            if kill % 5 == 4 { try await broker.restart() }
            try agent.restart()
        }
        _ = try await agent.status { status in
            status.number("lag_bytes", in: "inputs") == 0 && status.number("in_flight", in: "outputs") == 0
                && status.number("waiting", in: "outputs") == 0
                && (status.number("acknowledged", in: "outputs") ?? 0) >= lines
        }
        #expect(agent.stop() == .code(0))

        var next = [Int](repeating: 0, count: Self.files)
        var entries: [[Int]: Int] = [:]
        var doubled: Set<Int> = []
        // Those of one kill come one after the other.
        var doubledAtOnce: Set<Int> = []
        var most = 0
        var duplicates = 0
        for message in try await broker.messages(of: "logs") {
            let words = String(decoding: message.payload, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
            try #require(words.count == 2)
            if let first = entries[words] {
                duplicates += 1
                doubled.insert(first)
                doubledAtOnce.insert(first)
                most = max(most, doubledAtOnce.count)
                continue
            }
            doubledAtOnce = []
            entries[words] = message.entry
            #expect(words[1] == next[words[0]], "seed \(seed)")
            next[words[0]] = words[1] + 1
        }
        #expect(entries.count == lines, "seed \(seed)")
        #expect(most <= 1, "seed \(seed)")
        print("\(lines) lines, \(kills) kills: \(duplicates) duplicates of \(doubled.count) batches, of \(most) by one")
    }
}
