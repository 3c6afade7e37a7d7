import Glibc
import NIOCore
import Pulsar
import PulsarBroker
import Synchronization
import TestSupport
import Testing

/// From a log file through the real agent, and from standard input through `tailrace send`, into a Pulsar broker.
@Suite struct PulsarPathTests {
    private let directory = TemporaryDirectory("pulsar-path")
    private static let canary = "CanarySecretOfTheTestBroker"

    private func broker(_ change: (inout BrokerConfiguration) -> Void = { _ in }) async throws -> PulsarBroker {
        var configuration = BrokerConfiguration(storeDirectory: directory("store"))
        configuration.partitions = ["persistent://public/default/logs": 3]
        change(&configuration)
        let broker = try PulsarBroker(configuration)
        try await broker.start()
        return broker
    }

    private func output(_ broker: PulsarBroker, _ more: String = "") async throws -> String {
        let url = try #require(try await broker.serviceURL(tls: broker.authorityFile != nil))
        return "service_url = \"\(url)\"\ntopic = \"logs\"\nkey = \"source\"\n\(more)"
    }

    private func stored() throws -> [(topic: String, messages: [StoredMessage])] {
        try StoredMessage.all(inStore: directory("store"))
    }

    @Test func linesArriveWithTheirPropertiesAndTheOfficialClientReadsThem() async throws {
        let broker = try await broker()
        let url = try #require(try await broker.serviceURL())
        let agent = try AgentProcess(
            directory, type: "pulsar", output: try await output(broker, "compression = \"zlib\""))
        for file in 0..<4 {
            try agent.log(Array((0..<50).map { "line \($0)\n" }.joined().utf8), to: "\(file).log")
        }
        let status = try await agent.status { $0.acknowledged(200) && $0.text.contains("exactly once") }
        #expect(status.text.contains("\"type\":\"pulsar\""))
        #expect(status.number("unexplained", in: "outputs") == 0)
        #expect(!ThreadNames.tellOfDispatch(agent.process.identifier))

        let path = directory("messages")
        let run = try await Python().runAlone(
            "pulsar_consume.py", ["--service-url", url, "--topic", "logs", "--output", path])
        #expect(run.exit == .code(0), "\(run.errorOutput.suffix(2000))")
        #expect(ChildProcess.text(path).split(separator: "\n").count == 200)

        for file in 0..<4 {
            let source = directory("logs/\(file).log")
            let home =
                "persistent://public/default/logs-partition-\(PulsarHashing.murmur3.partition(of: source, count: 3))"
            let own = try stored().flatMap { topic, messages in
                messages.filter { $0.key == source }.map { (topic, $0) }
            }
            #expect(own.map(\.1.text) == (0..<50).map { "line \($0)" })
            #expect(own.allSatisfy { $0.0 == home && $0.1.producerName == "tailrace-test-host-hub" })
            var offset = 0
            for (_, message) in own {
                let properties = Dictionary(uniqueKeysWithValues: message.properties.map { ($0.key, $0.value) })
                #expect(properties["source"] == source && properties["host"] == "test-host")
                #expect(properties["input"] == "app" && properties["offset"] == "\(offset)")
                #expect(properties["timestamp"].flatMap { UInt64($0) } == message.eventTime)
                offset += message.payload.readableBytes + 1
            }
        }
        #expect(agent.stop() == .code(0))
        // The next run knows at once, and sends nothing again.
        try agent.restart()
        _ = try await agent.status { $0.text.contains("exactly once") }
        try agent.log(Array("one more\n".utf8))
        _ = try await agent.status {
            $0.number("waiting", in: "outputs") == 0 && $0.number("in_flight", in: "outputs") == 0
                && $0.number("spooled", in: "outputs") == 201
        }
        #expect(agent.stop() == .code(0))
        #expect(try stored().reduce(0) { $0 + $1.messages.count } == 201)
        try await broker.stop()
    }

    @Test func withoutDeduplicationTheStatusSaysSoAndARestartSendsNothingAgain() async throws {
        let broker = try await broker { $0.deduplicates = false }
        let agent = try AgentProcess(directory, type: "pulsar", output: try await output(broker))
        for round in 1...2 {
            try agent.log(Array("round \(round)\n".utf8))
            let status = try await agent.status { status in
                status.text.contains("at least once: the brokers do not deduplicate")
                    && status.number("spooled", in: "outputs") == round
                    && status.number("waiting", in: "outputs") == 0 && status.number("in_flight", in: "outputs") == 0
            }
            #expect(!status.text.contains("disagree"))
            #expect(agent.stop() == .code(0))
            if round == 1 { try agent.restart() }
        }
        #expect(!agent.process.errorOutput.contains("disagree"))
        #expect(try stored().flatMap { $0.messages.map(\.text) }.sorted() == ["round 1", "round 2"])
        try await broker.stop()
    }

    /// What the broker does not take is cut before it is sent.
    @Test func linesLargerThanTheBrokerTakesAreCutAndHoldNothingUp() async throws {
        let limit = 60_000
        let broker = try await broker { $0.maximumMessageSize = limit }
        let agent = try AgentProcess(directory, type: "pulsar", output: try await output(broker))
        let lengths = [1, limit - 1, limit, limit + 1, 10 * limit, 2]
        let lines = lengths.enumerated().map { [UInt8](repeating: UInt8(ascii: "a") + UInt8($0), count: $1) }
        try agent.log(Array(lines.map { $0 + [0x0A] }.joined()))
        let status = try await agent.status { $0.acknowledged(lines.count) }
        #expect(status.number("dead_lettered", in: "outputs") == 0)
        let messages = try stored().flatMap(\.messages)
        #expect(messages.count == lines.count)
        for (message, line) in zip(messages, lines) {
            let cut = message.properties.first { $0.key == "truncated" }?.value
            let body = Array(message.payload.readableBytesView)
            if line.count < 10 {
                #expect(body == line && cut == nil)
            } else {
                #expect(body == Array(line.prefix(body.count)) && cut == "\(line.count)")
                #expect(body.count > limit * 9 / 10 && body.count < limit, "\(body.count)")
            }
        }
        #expect(agent.stop() == .code(0))
        try await broker.stop()
    }

    /// A topic whose backlog quota is used up lets no producer in.
    @Test func aFullTopicIsToldAndWaitedFor() async throws {
        let isFull = Mutex(false)
        let broker = try await broker {
            $0.onRequest = { request in
                guard case .producer(let command) = request.command, isFull.withLock({ $0 }) else { return nil }
                let error = ErrorCommand(
                    requestID: command.requestID, error: .producerBlockedQuotaExceededError, message: "full")
                return .answer([.error(error)])
            }
        }
        let agent = try AgentProcess(directory, type: "pulsar", output: try await output(broker))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        isFull.withLock { $0 = true }
        try await broker.closeProducers()
        try agent.log(Array("two\n".utf8))
        let status = try await agent.status {
            $0.text.contains("held back: the topic's backlog quota is used up")
                && $0.number("existed", in: "inputs") == 2
        }
        #expect(status.number("acknowledged", in: "inputs") == 1)
        #expect(status.number("dead_lettered", in: "outputs") == 0)
        isFull.withLock { $0 = false }
        _ = try await agent.status { $0.acknowledged(2) }
        #expect(agent.stop() == .code(0))
        #expect(try stored().flatMap { $0.messages.map(\.text) }.sorted() == ["one", "two"])
        try await broker.stop()
    }

    /// As when a machine was copied with its name, but for the state directory.
    @Test func anotherAgentUnderTheSameNameWaitsAndSaysSo() async throws {
        let broker = try await broker()
        let output = try await output(broker)
        let first = try AgentProcess(directory, type: "pulsar", output: output)
        try first.log(Array("one\n".utf8))
        _ = try await first.status { $0.acknowledged(1) }
        let second = try AgentProcess(TemporaryDirectory("pulsar-path-copy"), type: "pulsar", output: output)
        try second.log(Array("two\n".utf8))
        let status = try await second.status {
            $0.text.contains("not sending: another producer has this one's name")
                && $0.number("existed", in: "inputs") == 1
        }
        #expect(status.number("acknowledged", in: "inputs") == 0)
        #expect(first.stop() == .code(0))
        _ = try await second.status { $0.acknowledged(1) }
        #expect(second.stop() == .code(0))
        #expect(try stored().flatMap { $0.messages.map(\.text) }.sorted() == ["one", "two"])
        try await broker.stop()
    }

    /// Numbers only rise: behind the largest ones there are none for the agent.
    @Test func aProducerNameWithoutNumbersLeftIsToldWithItsRemedy() async throws {
        let broker = try await broker { $0.partitions = [:] }
        let client = try PulsarClient(serviceURL: try #require(try await broker.serviceURL()))
        var options = PulsarProducerOptions()
        options.name = "tailrace-test-host-hub"
        let producer = try await client.makeProducer(topic: "logs", options: options)
        var message = PulsarMessage("last")
        message.sequenceID = UInt64(Int64.max)
        try await producer.send(message)
        try await producer.close()
        await client.close()

        let agent = try AgentProcess(directory, type: "pulsar", output: try await output(broker))
        try agent.log(Array("one line\n".utf8))
        let status = try await agent.status { $0.text.contains("producer_name") }
        #expect(status.text.contains("\(Int64.max)"))
        #expect(agent.stop() == .code(0))
        try await broker.stop()
    }

    @Test func tlsAndATokenOpenTheBrokerAndAWrongOneIsToldWithoutItself() async throws {
        let broker = try await broker {
            $0.tls = BrokerConfiguration.TLS(directory: directory("certificates"))
            $0.authentication = .token([Self.canary])
        }
        try AgentProcess.write("\(Self.canary)x\n", to: directory("token"))
        let agent = try AgentProcess(
            directory, type: "pulsar",
            output: try await output(
                broker,
                "token_file = \"\(directory("token"))\"\nca_file = \"\(try #require(broker.authorityFile))\""))
        try agent.log(Array("line\n".utf8))
        let refused = try await agent.status { $0.text.contains("unauthorized; trying again") }
        #expect(!refused.text.contains(Self.canary))
        // The file is read again for every connection.
        try AgentProcess.write("\(Self.canary)\n", to: directory("token"))
        _ = try await agent.status { $0.acknowledged(1) }
        #expect(agent.stop() == .code(0))
        #expect(!agent.process.errorOutput.contains(Self.canary))
        try await broker.stop()
    }

    // MARK: tailrace send

    private func send(_ broker: PulsarBroker, _ arguments: [String], input: String) async throws -> ChildProcess {
        let url = try #require(try await broker.serviceURL())
        return try ChildProcess(
            ChildProcess.built("tailrace"), ["send", "--service-url", url, "--topic", "logs"] + arguments, input: input)
    }

    @Test func everyLineOfAKeyArrivesInOrder() async throws {
        let broker = try await broker()
        let text = (0..<3_000).map { "line \($0)\n" }.joined()
        let input = try directory.write(text, to: "input")
        let send = try await send(
            broker, ["--key", "device-7", "--compression", "zlib", "--buffer-length", "200", "--batch-events", "70"],
            input: input)
        #expect(send.wait() == .code(0), "\(send.errorOutput)")
        #expect(send.output.hasPrefix("sent 3000 events, "))
        let messages = try stored().flatMap(\.messages)
        #expect(messages.map(\.text) == (0..<3_000).map { "line \($0)" })
        #expect(messages.allSatisfy { $0.key == "device-7" })
        try await broker.stop()
    }

    @Test func withoutAKeyEveryLineArrivesOnceAndTheOfficialClientReadsIt() async throws {
        let broker = try await broker()
        let input = try directory.write((0..<3_000).map { "\($0)\n" }.joined(), to: "input")
        let send = try await send(broker, [], input: input)
        #expect(send.wait() == .code(0), "\(send.errorOutput)")
        let url = try #require(try await broker.serviceURL())
        let path = directory("messages")
        let run = try await Python().runAlone(
            "pulsar_consume.py", ["--service-url", url, "--topic", "logs", "--output", path])
        #expect(run.exit == .code(0), "\(run.errorOutput.suffix(2000))")
        #expect(ChildProcess.text(path).split(separator: "\n").count == 3_000)
        #expect(Set(try stored().flatMap { $0.messages.map(\.text) }).count == 3_000)
        try await broker.stop()
    }

    @Test func whatCannotBeSentIsToldInOneLine() async throws {
        let broker = try await broker { $0.authentication = .token([Self.canary]) }
        let input = try directory.write("one\ntwo\n", to: "input")
        let refused = try await send(broker, ["--timeout", "60s"], input: input)
        #expect(refused.wait() == .code(1))
        #expect(refused.errorOutput.filter { $0 == "\n" }.count == 1)
        #expect(refused.errorOutput.contains("AuthenticationError"), "\(refused.errorOutput)")
        try await broker.stop()
        for arguments in [
            ["--service-url", "pulsar://a"], ["--topic", "t"],
            ["--service-url", "pulsar://a", "--topic", "t", "--hub", "h"],
            ["--service-url", "pulsar://a", "--topic", "t", "--buffered"],
            ["--service-url", "pulsar://a", "--topic", "t", "--basic-user", "u"],
        ] {
            let send = try ChildProcess(ChildProcess.built("tailrace"), ["send"] + arguments)
            #expect(send.wait() == .code(2), "\(arguments)")
            #expect(send.errorOutput.filter { $0 == "\n" }.count == 1)
        }
    }
}
