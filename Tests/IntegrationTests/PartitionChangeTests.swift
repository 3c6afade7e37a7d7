import EventHubs
import Glibc
import HubReading
import LocalHub
import TestSupport
import Testing

@testable import TailraceAgent

/// The real program, whose hub gets more partitions, and whose key is changed: every line once, in order, each key where the
/// routing of its time puts it.
@Suite struct PartitionChangeTests {
    private let directory = TemporaryDirectory("partitions")
    private let names = (0..<12).map { "file-\($0).log" }

    private func hub(port: Int, partitions: Int) async throws -> LocalHub {
        try await LocalHub.started(in: directory, port: port, key: "KeyOfTheTestHub", partitions: partitions)
    }

    /// On a port that will be free for a second one: outside the range that the kernel gives out by itself.
    private func firstHub() async throws -> LocalHub {
        while true {
            if let hub = try? await hub(port: Int.random(in: 15_000...30_000), partitions: 2) { return hub }
        }
    }

    /// Where a line of a round came, in the order of arrival.
    private struct Arrival: Hashable { var partition: Int, round: Int, line: Int }

    private func write(_ round: Int, _ count: Int, to agent: AgentProcess) throws {
        for name in names {
            try agent.log((0..<count).flatMap { Array("\(round) \($0)\n".utf8) }, to: name)
        }
    }

    private func arrivals(_ hub: LocalHub, partitions: Int, total: Int) async throws -> [String: [Arrival]] {
        let consumer = try await HubConsumer(
            port: hub.port, authorityFile: directory("certificates/ca.pem"),
            user: hub.configuration.sharedAccessKeyName,
            password: "KeyOfTheTestHub", hub: hub.configuration.hubName, partitions: partitions)
        _ = await consumer.events(atLeast: total)
        try await consumer.close()
        var arrivals: [String: [Arrival]] = [:]
        for event in consumer.events {
            guard case .string(let source)? = event.message.applicationProperties[string: "source"] else { continue }
            let words = String(decoding: event.body, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
            try #require(words.count == 2)
            arrivals[source, default: []].append(
                Arrival(partition: event.partition, round: words[0], line: words[1]))
        }
        #expect(arrivals.values.reduce(0) { $0 + $1.count } == total)
        return arrivals
    }

    @Test(arguments: ["auto", "never"])
    func partitionsComeAndKeysMoveWithoutLossDuplicateOrAnotherOrder(idempotent: String) async throws {
        let first = try await firstHub()
        let port = first.port
        let options = """
            connection_string = "\(first.connectionString)"
            ca_file = "\(directory("certificates/ca.pem"))"
            idempotent = "\(idempotent)"
            partition_check = "1s"
            """
        let agent = try AgentProcess(directory, output: options + "\nkey = \"source\"")
        let count = 200
        let perRound = count * names.count
        try write(0, count, to: agent)
        _ = try await agent.status { $0.acknowledged(perRound) }
        // It is away, and comes back with more; what waits then goes where the old count puts it.
        await first.stop()
        try write(1, count, to: agent)
        _ = try await agent.status { $0.number("existed", in: "inputs") == 2 * perRound }
        let second = try await hub(port: port, partitions: 5)
        _ = try await agent.status { $0.acknowledged(2 * perRound) }
        while !agent.process.errorOutput.contains("by another routing from here on") {
            try await Task.sleep(for: .milliseconds(50))
        }
        try write(2, count, to: agent)
        let status = try await agent.status { $0.acknowledged(3 * perRound) }
        for section in ["inputs", "outputs"] { #expect(status.number("unexplained", in: section) == 0, "\(status)") }
        #expect(agent.stop() == .code(0))

        // Another key, with lines that wait: they keep to theirs.
        await second.stop()
        try write(3, count, to: agent)
        try agent.restart()
        _ = try await agent.status { $0.number("existed", in: "inputs") == perRound }
        agent.process.signal(SIGKILL)
        agent.process.wait()
        let text = ChildProcess.text(agent.configurationPath)
        try AgentProcess.write(text.replacing("key = \"source\"", with: "key = \"host\""), to: agent.configurationPath)
        let third = try await hub(port: port, partitions: 5)
        try agent.restart()
        _ = try await agent.status {
            $0.number("waiting", in: "outputs") == 0 && $0.number("in_flight", in: "outputs") == 0
                && $0.number("acknowledged", in: "outputs") == 4 * perRound
        }
        while !agent.process.errorOutput.contains("by another routing from here on") {
            try await Task.sleep(for: .milliseconds(50))
        }
        try write(4, count, to: agent)
        _ = try await agent.status { $0.number("acknowledged", in: "outputs") == 5 * perRound }
        #expect(agent.stop() == .code(0))

        let found = try await arrivals(third, partitions: 5, total: 5 * perRound)
        for name in names {
            let source = directory("logs/\(name)")
            let arrivals = try #require(found[source])
            let partitions =
                (0..<4).map { PartitionKeyHash.service.index(of: source, partitionCount: $0 < 2 ? 2 : 5) }
                + [PartitionKeyHash.service.index(of: "test-host", partitionCount: 5)]
            for (round, partition) in partitions.enumerated() {
                let own = arrivals.filter { $0.round == round }
                #expect(own.map(\.line) == Array(0..<count), "round \(round) of \(name)")
                #expect(Set(own.map(\.partition)) == [partition], "round \(round) of \(name)")
            }
        }
        #expect(Set(found.values.joined().map(\.partition)).count > 2)
        await third.stop()
    }
}
