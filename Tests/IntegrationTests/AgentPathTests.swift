import AMQP
import EventHubs
import Glibc
import HubReading
import LocalHub
import Synchronization
import TestSupport
import Testing

@testable import TailraceAgent

/// The whole path with the real program: files, spool, AMQP over TLS, a hub, and a consumer that reads back.
@Suite struct AgentPathTests {
    private let directory = TemporaryDirectory("path")
    private static let key = "CanarySecretOfTheTestHub"

    private func hub(port: Int = 0, partitions: Int = 4) async throws -> LocalHub {
        try await LocalHub.started(in: directory, port: port, key: Self.key, partitions: partitions)
    }

    /// A hub on a port that will be free for a second one: outside the range that the kernel gives out by itself.
    private func hubThatComesBack() async throws -> LocalHub {
        while true {
            if let hub = try? await hub(port: Int.random(in: 15_000...30_000)) { return hub }
        }
    }

    private func consumer(_ hub: LocalHub) async throws -> HubConsumer {
        try await HubConsumer(
            port: hub.port, authorityFile: directory("certificates/ca.pem"),
            user: hub.configuration.sharedAccessKeyName, password: Self.key, hub: hub.configuration.hubName,
            partitions: hub.configuration.partitionCount)
    }

    private func output(_ connectionString: String) -> String {
        "connection_string = \"\(connectionString)\"\nca_file = \"\(directory("certificates/ca.pem"))\""
    }

    @Test func everyLineArrivesByteForByteAndTheBalanceCloses() async throws {
        let hub = try await hub()
        let agent = try AgentProcess(directory, output: output(hub.connectionString))
        let long = (0..<(2 << 20)).map { UInt8(ascii: "a") + UInt8($0 % 26) }
        let lines: [[UInt8]] = [
            Array("plain".utf8), Array("carriage return\r".utf8), [], Array("nul \0 inside".utf8),
            [0xFF, 0xFE, 0xC0, 0x80], Array("ünïcödé".utf8), long, Array("after the long one".utf8), [],
        ]
        try agent.log(Array(lines.map { $0 + [0x0A] }.joined()))
        let consumer = try await consumer(hub)
        let events = await consumer.events(atLeast: lines.count)
        let limit = FileInputSettings.defaultMaximumLine
        #expect(events.map(\.body) == lines.map { Array($0.prefix(limit)) })
        var offset: Int64 = 0
        for (event, line) in zip(events, lines) {
            let properties = event.message.applicationProperties
            #expect(properties[string: "host"] == .string("test-host"))
            #expect(properties[string: "source"] == .string(directory("logs/app.log")))
            #expect(properties[string: "input"] == .string("app"))
            #expect(properties[string: "offset"] == .long(offset))
            #expect(properties[string: "truncated"] == (line.count > limit ? .long(Int64(line.count)) : nil))
            #expect(event.message.messageAnnotations[symbol: "x-opt-partition-key"] == .string("test-host"))
            offset += Int64(line.count) + 1
        }
        let status = try await agent.status { $0.acknowledged(lines.count) }
        for section in ["inputs", "outputs"] { #expect(status.number("unexplained", in: section) == 0, "\(status)") }
        #expect(status.number("lag_bytes", in: "inputs") == 0)
        #expect(status.text.contains("\"state\":\"connected\""))
        #expect(!ThreadNames.tellOfDispatch(agent.process.identifier))
        #expect(agent.stop() == .code(0))
        #expect(!agent.process.errorOutput.contains(Self.key))

        // The next start goes on where this one ended.
        try agent.log(Array("written while it was down\n".utf8))
        try agent.restart()
        let all = await consumer.events(atLeast: lines.count + 1)
        #expect(all.map(\.body) == events.map(\.body) + [Array("written while it was down".utf8)])
        #expect(agent.stop() == .code(0))
        #expect(consumer.events.count == lines.count + 1)
        try await consumer.close()
        await hub.stop()
    }

    @Test func keysKeepTheirOrderAndTheirPartition() async throws {
        let hub = try await hub(partitions: 8)
        let agent = try AgentProcess(directory, output: output(hub.connectionString) + "\nkey = \"source\"")
        let names = (0..<12).map { "file-\($0).log" }
        let (perRound, rounds) = (100, 3)
        for round in 0..<rounds {
            for name in names {
                let lines = (0..<perRound).map { "\(name) \(round * perRound + $0)\n" }.joined()
                try agent.log(Array(lines.utf8), to: name)
            }
        }
        let total = names.count * perRound * rounds
        let consumer = try await consumer(hub)
        let events = await consumer.events(atLeast: total)
        #expect(events.count == total)
        for name in names {
            let own = events.filter {
                $0.message.applicationProperties[string: "source"] == .string(directory("logs/\(name)"))
            }
            #expect(own.map(\.body) == (0..<(perRound * rounds)).map { Array("\(name) \($0)".utf8) })
            #expect(Set(own.map(\.partition)).count == 1)
        }
        _ = try await agent.status { $0.acknowledged(total) }
        #expect(agent.stop() == .code(0))
        try await consumer.close()
        await hub.stop()
    }

    @Test func withAWrongKeyTheAgentKeepsEverythingUntilTheKeyIsRight() async throws {
        let hub = try await hub()
        let keyFile = directory("hub.key")
        let right = hub.connectionString
        let wrong = right.replacing(Self.key, with: "ThisIsNotTheKeyOfTheHub")
        try AgentProcess.write(wrong, to: keyFile)
        let agent = try AgentProcess(
            directory,
            output: "connection_string_file = \"\(keyFile)\"\nca_file = \"\(directory("certificates/ca.pem"))\"")
        try agent.log(Array("one\ntwo\n".utf8))
        let status = try await agent.status {
            $0.text.contains("\"state\":\"unauthorized") && $0.number("existed", in: "inputs") == 2
        }
        #expect(status.number("spooled", in: "inputs") == 2)
        #expect(status.number("waiting", in: "outputs") == 2)
        #expect(agent.stop() == .code(0))
        #expect(!agent.process.errorOutput.contains("ThisIsNotTheKey"))
        #expect(!status.text.contains("ThisIsNotTheKey"))
        try AgentProcess.write(right, to: keyFile)
        try agent.restart()
        let consumer = try await consumer(hub)
        let events = await consumer.events(atLeast: 2)
        #expect(events.map(\.body) == [Array("one".utf8), Array("two".utf8)])
        #expect(agent.stop() == .code(0))
        try await consumer.close()
        await hub.stop()
    }

    @Test func theAgentStartsAndStopsWithoutTheNetwork() async throws {
        // A hub makes the certificates and the port, and goes away.
        let first = try await hubThatComesBack()
        let (port, connectionString) = (first.port, first.connectionString)
        await first.stop()
        let agent = try AgentProcess(directory, output: output(connectionString))
        try agent.log(Array("early\n".utf8))
        _ = try await agent.status { $0.number("existed", in: "inputs") == 1 && $0.text.contains("not connected") }
        #expect(agent.stop() == .code(0))
        try agent.restart()
        let second = try await hub(port: port)
        let consumer = try await consumer(second)
        #expect(await consumer.events(atLeast: 1).map(\.body) == [Array("early".utf8)])
        try agent.log(Array("late\n".utf8))
        #expect(await consumer.events(atLeast: 2).map(\.body) == [Array("early".utf8), Array("late".utf8)])
        #expect(agent.stop() == .code(0))
        try await consumer.close()
        await second.stop()
    }

    @Test func theHubCanGoAndComeBack() async throws {
        let first = try await hubThatComesBack()
        let port = first.port
        let agent = try AgentProcess(directory, output: output(first.connectionString))
        try agent.log(Array("before\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        await first.stop()
        try agent.log(Array("meanwhile\n".utf8))
        _ = try await agent.status { $0.number("existed", in: "inputs") == 2 }
        let second = try await hub(port: port)
        let consumer = try await consumer(second)
        let events = await consumer.events(atLeast: 2)
        #expect(events.map(\.body) == [Array("before".utf8), Array("meanwhile".utf8)])
        _ = try await agent.status { $0.acknowledged(2) }
        #expect(agent.stop() == .code(0))
        try await consumer.close()
        await second.stop()
    }

    @Test func aFullSpoolHoldsTheInputsAndAStopDoesNotWaitForIt() async throws {
        let first = try await hubThatComesBack()
        let (port, connectionString) = (first.port, first.connectionString)
        await first.stop()
        let agent = try AgentProcess(directory, spoolSize: "16MiB", output: output(connectionString))
        // More than the spool may hold, in lines that are easy to tell apart.
        let lines = (0..<300).map { number in
            Array("line \(number) ".utf8) + [UInt8](repeating: UInt8(ascii: "a") + UInt8(number % 26), count: 100_000)
        }
        for line in lines { try agent.log(line + [0x0A]) }
        let status = try await agent.status { $0.text.contains("\"failure\":\"full") }
        let existed = try #require(status.number("existed", in: "inputs"))
        #expect(existed < lines.count)
        #expect(status.number("bytes", in: "spool") ?? 0 <= 16 << 20)
        #expect(agent.stop() == .code(0))
        try agent.restart()
        let second = try await hub(port: port)
        let consumer = try await consumer(second)
        let events = await consumer.events(atLeast: lines.count)
        #expect(events.map(\.body) == lines)
        #expect(agent.stop() == .code(0))
        #expect(consumer.events.count == lines.count)
        try await consumer.close()
        await second.stop()
    }

    @Test func everyOutputHasItsOwnLedgerAndTheSlowestHoldsTheSpool() async throws {
        let hub = try await hub()
        // The second output's hub is not there.
        let agent = try AgentProcess(
            directory,
            output: output(hub.connectionString) + """

                [output.absent]
                type = "eventhubs"
                connection_string = "Endpoint=sb://localhost:1/;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=x"
                """)
        try agent.log(Array("one\ntwo\n".utf8))
        let consumer = try await consumer(hub)
        let events = await consumer.events(atLeast: 2)
        #expect(events.map(\.body) == [Array("one".utf8), Array("two".utf8)])
        let status = try await agent.status { $0.number("acknowledged", in: "outputs") == 2 }
        #expect(status.number("acknowledged", in: "inputs") == 0)
        #expect(status.number("spooled", in: "inputs") == 2)
        #expect(status.number("released", in: "spool") == 0)
        #expect(agent.stop() == .code(0))
        for name in ["hub", "absent"] { #expect(access(directory("state/spool/\(name).ledger"), F_OK) == 0) }
        try await consumer.close()
        await hub.stop()
    }

    @Test func twoAgentsDoNotShareAState() async throws {
        let agent = try AgentProcess(
            directory,
            output: """
                connection_string = "Endpoint=sb://localhost:1/;SharedAccessKeyName=a;SharedAccessKey=b"
                eventhub = "x"
                """)
        _ = try await agent.status { _ in true }
        let second = try ChildProcess(ChildProcess.built("tailrace"), ["run", "--config", agent.configurationPath])
        #expect(second.wait() == .code(1))
        #expect(second.errorOutput.contains("is in use by process \(agent.process.identifier)"))
        _ = try await agent.status { _ in true }
        #expect(agent.stop() == .code(0))
    }

    /// The text of the status.
    private func statusText(_ agent: AgentProcess) throws -> String {
        let asked = try ChildProcess(ChildProcess.built("tailrace"), ["status", "--config", agent.configurationPath])
        asked.wait()
        return asked.output
    }

    private func hub(
        isIdempotent: Bool, countsAnew: Bool = false, onAttach: (@Sendable (HubAttach) -> HubAttachFault?)? = nil,
        changing change: (inout LocalHubConfiguration) -> Void = { _ in }
    ) async throws -> LocalHub {
        try await LocalHub.started(in: directory, store: nil, key: Self.key) { configuration in
            configuration.supportsIdempotentPublishing = isIdempotent
            configuration.countsAnewPerOwnerLevel = countsAnew
            configuration.onAttach = onAttach
            change(&configuration)
        }
    }

    @Test(arguments: [
        (true, "auto", "guarantee: exactly once: idempotent producers "),
        (true, "always", "guarantee: exactly once: idempotent producers "),
        (true, "never", "guarantee: at least once: idempotent is \"never\"; duplicates only among batches in flight"),
        (
            false, "auto",
            "guarantee: at least once: the namespace does not support idempotent publishing; duplicates only among batches"
        ),
    ])
    func theGuaranteeInForceIsTold(isSupported: Bool, idempotent: String, text: String) async throws {
        let hub = try await hub(isIdempotent: isSupported)
        let agent = try AgentProcess(
            directory, output: output(hub.connectionString) + "\nidempotent = \"\(idempotent)\"")
        try agent.log(Array("one\ntwo\n".utf8))
        _ = try await agent.status { $0.acknowledged(2) }
        #expect(try statusText(agent).contains(text))
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    /// What the service does not take is cut before it is sent.
    @Test(arguments: [true, false])
    func linesLargerThanTheHubTakesAreCutAndHoldNothingUp(isIdempotent: Bool) async throws {
        let limit = 20_000
        let hub = try await hub(isIdempotent: isIdempotent, changing: { $0.maximumMessageSize = UInt64(limit) })
        let agent = try AgentProcess(directory, output: output(hub.connectionString))
        let lengths = [1, limit - 1, limit, limit + 1, 10 * limit, 2]
        let lines = lengths.enumerated().map { [UInt8](repeating: UInt8(ascii: "a") + UInt8($0), count: $1) }
        try agent.log(Array(lines.map { $0 + [0x0A] }.joined()))
        let status = try await agent.status { $0.acknowledged(lines.count) }
        #expect(status.number("dead_lettered", in: "outputs") == 0)
        let consumer = try await consumer(hub)
        let events = await consumer.events(atLeast: lines.count)
        #expect(events.count == lines.count)
        for (event, line) in zip(events, lines) {
            let cut = event.message.applicationProperties[string: "truncated"]
            if line.count < 10 {
                #expect(event.body == line && cut == nil)
            } else {
                #expect(event.body == Array(line.prefix(event.body.count)) && cut == .long(Int64(line.count)))
                #expect(event.body.count > limit * 9 / 10 && event.body.count < limit)
            }
        }
        #expect(agent.stop() == .code(0))
        try await consumer.close()
        await hub.stop()
    }

    @Test func aHubThatIsBusyIsToldAndWaitedFor() async throws {
        let isBusy = Mutex(true)
        let busy = HubFault.answer(.rejected(AMQPError("com.microsoft:server-busy", "50002: throttled")))
        let hub = try await hub(
            isIdempotent: true, changing: { $0.onDelivery = { _ in isBusy.withLock { $0 } ? busy : nil } })
        let agent = try AgentProcess(directory, output: output(hub.connectionString))
        try agent.log(Array("one\ntwo\n".utf8))
        let status = try await agent.status { $0.text.contains("throttled by the service") }
        #expect(status.number("acknowledged", in: "outputs") == 0)
        #expect(status.number("dead_lettered", in: "outputs") == 0)
        isBusy.withLock { $0 = false }
        _ = try await agent.status { $0.acknowledged(2) }
        #expect(agent.stop() == .code(0))
        #expect(hub.statistics.partitions.reduce(0) { $0 + $1.eventsStored } == 2)
        await hub.stop()
    }

    @Test func whatMustBeNumberedIsNotSentWithoutNumbers() async throws {
        let hub = try await hub(isIdempotent: false)
        let agent = try AgentProcess(directory, output: output(hub.connectionString) + "\nidempotent = \"always\"")
        try agent.log(Array("one\n".utf8))
        let status = try await agent.status { $0.text.contains("idempotent publishing") }
        #expect(status.text.contains("not sending: the namespace does not support idempotent publishing"))
        #expect(status.number("acknowledged", in: "outputs") == 0)
        #expect(agent.stop() == .code(0))
        #expect(hub.statistics.partitions.allSatisfy { $0.eventsStored == 0 })
        await hub.stop()
    }

    /// What a copied state directory does: somebody else goes on with the same producer.
    /// Whether the service goes on with its numbers at a higher owner level or begins again, as the real one seems to.
    @Test(arguments: [false, true])
    func linesInFlightAtAKillComeOnceWhateverTheServiceCounts(countsAnew: Bool) async throws {
        let hub = try await hub(isIdempotent: true, countsAnew: countsAnew)
        let agent = try AgentProcess(directory, output: output(hub.connectionString) + "\nidempotent = \"always\"")
        var count = 0
        for run in 1...4 {
            let stored = hub.statistics.partitions.reduce(0) { $0 + $1.eventsStored }
            try agent.log((0..<40_000).flatMap { Array("run \(run) line \($0)\n".utf8) })
            count += 40_000
            // Some are stored, and more are on their way.
            while hub.statistics.partitions.reduce(0, { $0 + $1.eventsStored }) == stored { await Task.yield() }
            agent.process.signal(SIGKILL)
            agent.process.wait()
            try agent.restart()
        }
        _ = try await agent.status { [count] in
            $0.number("waiting", in: "outputs") == 0 && $0.number("in_flight", in: "outputs") == 0
                && hub.statistics.partitions.reduce(0) { $0 + $1.eventsStored } >= count
        }
        #expect(agent.stop() == .code(0))
        #expect(hub.statistics.partitions.reduce(0) { $0 + $1.eventsStored } == count)
        await hub.stop()
    }

    /// The first partition's next owner level is taken when the second one's attach fails, and everything begins again.
    @Test func whatFailsWhileOwnerLevelsAreTakenKeepsTheProducers() async throws {
        let attaches = Mutex(0)
        let hub = try await hub(isIdempotent: true) { attach in
            guard attach.isIdempotent else { return nil }
            let number = attaches.withLock { count in
                defer { count += 1 }
                return count
            }
            // Two in the first run; in the second, two that ask where the producers stand come before.
            return number == 5 ? .refuse(AMQPError("amqp:internal-error", "not now")) : nil
        }
        let agent = try AgentProcess(directory, output: output(hub.connectionString))
        func groups() throws -> [Substring] {
            let names = try #require(
                statusText(agent).firstMatch(of: /idempotent producers (\d+)\/\d+, (\d+)\/\d+/))
            return [names.1, names.2]
        }
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        let before = try groups()
        #expect(agent.stop() == .code(0))
        try agent.restart()
        try agent.log(Array("two\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        #expect(attaches.withLock { $0 } > 6)
        #expect(try groups() == before)
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    @Test func aProducerThatIsTakenOverIsToldWithItsRemedyAndARestartGoesOnWithAnother() async throws {
        let hub = try await hub(isIdempotent: true)
        let agent = try AgentProcess(directory, output: output(hub.connectionString))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        let text = try statusText(agent)
        let names = try #require(text.firstMatch(of: /idempotent producers (\d+)\/(\d+), (\d+)\/(\d+)/))
        var options = EventHubsOptions()
        options.tls = EventHubsTLS(authorities: directory("certificates/ca.pem"))
        let thief = try EventHubProducerClient(connectionString: hub.connectionString, options: options)
        for (partition, group) in [("0", names.1), ("1", names.3)] {
            let publisher = thief.makePublisher(
                partitionID: partition,
                options: PublishingOptions(producerGroupID: Int64(group), ownerLevel: 20))
            #expect(try await publisher.open().get()?.ownerLevel == 20)
        }
        try agent.log(Array("two\n".utf8))
        let status = try await agent.status { $0.text.contains("another agent goes on") }
        #expect(status.text.contains("was the state directory copied? Stop the other agent or give it"))
        #expect(status.number("waiting", in: "outputs") == 1)
        #expect(agent.stop() == .code(0))
        try agent.restart()
        _ = try await agent.status { $0.acknowledged(0) && $0.number("waiting", in: "outputs") == 0 }
        let events = try await consumer(hub).events(atLeast: 2)
        #expect(events.map { String(decoding: $0.body, as: UTF8.self) } == ["one", "two"])
        #expect(agent.stop() == .code(0))
        await thief.close()
        await hub.stop()
    }
}
