import AMQP
import Glibc
import HubReading
import LocalHub
import Logging
import TestSupport
import Testing

/// `tailrace send` with the real program, against a hub over TLS, read back by a consumer.
@Suite struct SendTests {
    private let directory = TemporaryDirectory("send")
    private let logger = Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() }
    private static let key = "CanarySecretOfTheTestHub"

    private func hub(partitions: Int = 4) async throws -> LocalHub {
        var configuration = LocalHubConfiguration()
        configuration.port = 0
        configuration.partitionCount = partitions
        configuration.sharedAccessKey = Self.key
        configuration.certificateDirectory = directory("certificates")
        let hub = try LocalHub(configuration, logger: logger)
        _ = try await hub.start()
        return hub
    }

    private func consumer(_ hub: LocalHub) async throws -> HubConsumer {
        try await HubConsumer(
            port: hub.port, authorityFile: directory("certificates/ca.pem"),
            user: hub.configuration.sharedAccessKeyName, password: Self.key, hub: hub.configuration.hubName,
            partitions: hub.configuration.partitionCount)
    }

    /// Sends what lies at `input`.
    private func start(_ hub: LocalHub, _ arguments: [String], input: String) throws -> ChildProcess {
        // Written once: a hub that is stopped has no address.
        if access(directory("key"), F_OK) != 0 {
            try AgentProcess.write("\(hub.connectionString)\n", to: directory("key"))
        }
        return try ChildProcess(
            ChildProcess.built("tailrace"),
            ["send", "--connection-string-file", directory("key"), "--ca-file", directory("certificates/ca.pem")]
                + arguments, input: input)
    }

    private func file(_ bytes: [UInt8]) throws -> String {
        try AgentProcess.write(bytes, to: directory("input"), append: false)
        return directory("input")
    }

    /// With and without a buffer per partition.
    private static let ways: [[String]] = [[], ["--buffered"]]

    @Test(arguments: ways)
    func everyLineArrivesByteForByte(way: [String]) async throws {
        let hub = try await hub()
        let lines: [[UInt8]] = [
            Array("plain".utf8), [], Array("carriage return\r".utf8), [0, 0xFF, 0xC0, 0x80],
            [UInt8](repeating: 0x78, count: 900_000), Array("the last one has no end".utf8),
        ]
        let send = try start(hub, way + ["--partition-id", "2"], input: file(Array(lines.joined(separator: [0x0A]))))
        #expect(send.wait() == .code(0))
        #expect(send.errorOutput.isEmpty)
        #expect(send.output.hasPrefix("sent 6 events, 0.9 MB in "))
        #expect(send.output.contains(" events/s, "))
        let events = try await consumer(hub).events(atLeast: lines.count)
        #expect(events.map(\.body) == lines)
        #expect(events.allSatisfy { $0.partition == 2 && $0.message.applicationProperties.entries.isEmpty })
        await hub.stop()
    }

    @Test(arguments: [["--batch-events", "300", "--batch-size", "8KiB"], ["--buffered", "--buffer-length", "300"]])
    func aKeyKeepsTheOrderAndIsTold(way: [String]) async throws {
        let hub = try await hub()
        let text = (0..<4_000).map { "line \($0)\n" }.joined()
        let send = try start(hub, ["--key", "device-7"] + way, input: file(Array(text.utf8)))
        #expect(send.wait() == .code(0))
        let events = try await consumer(hub).events(atLeast: 4_000)
        #expect(events.map { String(decoding: $0.body, as: UTF8.self) } == (0..<4_000).map { "line \($0)" })
        #expect(Set(events.map(\.partition)).count == 1)
        #expect(
            events.allSatisfy { $0.message.messageAnnotations[symbol: "x-opt-partition-key"] == .string("device-7") })
        await hub.stop()
    }

    @Test(arguments: [["--batch-events", "200"], ["--buffered", "--buffer-length", "200"]])
    func withoutAKeyEveryLineArrivesOnce(way: [String]) async throws {
        let hub = try await hub()
        let text = (0..<8_000).map { "\($0)\n" }.joined()
        let send = try start(hub, way, input: file(Array(text.utf8)))
        #expect(send.wait() == .code(0))
        let events = try await consumer(hub).events(atLeast: 8_000)
        #expect(Set(events.map { String(decoding: $0.body, as: UTF8.self) }).count == 8_000)
        #expect(events.count == 8_000)
        await hub.stop()
    }

    @Test(arguments: [["--batch-events", "150"], ["--buffered", "--buffer-length", "150"]])
    func numberedLinesArriveOnceThoughAnswersAreLost(way: [String]) async throws {
        var configuration = LocalHubConfiguration()
        configuration.sharedAccessKey = Self.key
        configuration.certificateDirectory = directory("certificates")
        // Every third delivery is stored and its answer lost with the link.
        configuration.onDelivery = { delivery in
            delivery.number % 3 == 2 ? .storeThenEnd(.detach(AMQPError("amqp:link:detach-forced", "a test"))) : nil
        }
        let hub = try LocalHub(configuration, logger: logger)
        _ = try await hub.start()
        let text = (0..<4_000).map { "\($0)\n" }.joined()
        let input = try file(Array(text.utf8))
        let ordered = try start(hub, way + ["--key", "k", "--idempotent"], input: input)
        #expect(ordered.wait() == .code(0), "\(ordered.errorOutput)")
        let events = try await consumer(hub).events(atLeast: 4_000)
        #expect(events.map { String(decoding: $0.body, as: UTF8.self) } == (0..<4_000).map { "\($0)" })
        let spread = try start(hub, way + ["--idempotent"], input: input)
        #expect(spread.wait() == .code(0), "\(spread.errorOutput)")
        let all = try await consumer(hub).events(atLeast: 8_000)
        #expect(all.count == 8_000)
        await hub.stop()
    }

    @Test func aHubWithoutNumbersIsToldBeforeAnythingIsSent() async throws {
        var configuration = LocalHubConfiguration()
        configuration.sharedAccessKey = Self.key
        configuration.certificateDirectory = directory("certificates")
        configuration.supportsIdempotentPublishing = false
        let hub = try LocalHub(configuration, logger: logger)
        _ = try await hub.start()
        let send = try start(hub, ["--idempotent"], input: file(Array("line\n".utf8)))
        #expect(send.wait() == .code(1))
        #expect(
            send.errorOutput
                == "tailrace: the namespace does not support idempotent publishing; send without --idempotent\n")
        await hub.stop()
    }

    @Test func aLineThatIsTooLongIsToldWithItsNumberAndTheRestIsSent() async throws {
        let hub = try await hub()
        let text = "one\n" + String(repeating: "x", count: 5000) + "\nthree\n"
        let send = try start(hub, ["--batch-size", "4KiB"], input: file(Array(text.utf8)))
        #expect(send.wait() == .code(1))
        #expect(send.output.hasPrefix("sent 2 events, "))
        let errors = send.errorOutput.split(separator: "\n")
        #expect(errors.count == 2)
        #expect(errors.first?.hasPrefix("tailrace: line 2: 5000 bytes, and a batch has room for 4080") == true)
        #expect(errors.last == "tailrace: 1 line too long and not sent")
        await hub.stop()
    }

    @Test(arguments: [SIGTERM, SIGINT], ways)
    func aSignalEndsTheReadingAndWhatWasReadIsSent(signal: CInt, way: [String]) async throws {
        let hub = try await hub()
        let consumer = try await consumer(hub)
        #expect(mkfifo(directory("pipe"), 0o600) == 0)
        // Opened for both, so that neither side waits for the other.
        let pipe = open(directory("pipe"), O_RDWR)
        defer { close(pipe) }
        let send = try start(hub, way + ["--max-wait", "10ms"], input: directory("pipe"))
        #expect(write(pipe, "first\n", 6) == 6)
        _ = await consumer.events(atLeast: 1)
        #expect(write(pipe, "second\nunfinish", 15) == 15)
        _ = await consumer.events(atLeast: 2)
        send.signal(signal)
        #expect(send.wait() == .code(1))
        #expect(send.output.hasPrefix("sent 2 events, "))
        #expect(
            send.errorOutput == "tailrace: the last line had no end yet: its 8 bytes were not sent\n")
        await hub.stop()
    }

    @Test(arguments: ways)
    func whatCannotBeSentIsCountedWithItsReason(way: [String]) async throws {
        let hub = try await hub()
        let input = try file(Array("one\ntwo\n".utf8))
        let absent = try start(hub, way + ["--partition-id", "77", "--timeout", "60s"], input: input)
        #expect(absent.wait() == .code(1))
        #expect(
            absent.errorOutput.contains(way.isEmpty ? "Partitions/77" : "has no partition 77"), "\(absent.errorOutput)")
        await hub.stop()
        // Nobody listens any more.
        let send = try start(hub, way + ["--timeout", "300ms"], input: input)
        #expect(send.wait() == .code(1))
        #expect(send.errorOutput.hasPrefix("tailrace: "))
        #expect(send.errorOutput.filter { $0 == "\n" }.count == 1)
        #expect(!send.errorOutput.contains(Self.key))
    }

    @Test func aBufferThatIsFlushedByASignalLosesNothing() async throws {
        let hub = try await hub(partitions: 2)
        #expect(mkfifo(directory("pipe"), 0o600) == 0)
        let pipe = open(directory("pipe"), O_RDWR)
        defer { close(pipe) }
        // Nothing goes by itself within the hour.
        let send = try start(hub, ["--buffered", "--max-wait", "1h"], input: directory("pipe"))
        #expect(write(pipe, "one\ntwo\nthree\n", 14) == 14)
        var unread: CInt = 1
        while unread > 0 {
            try await Task.sleep(for: .milliseconds(2))
            #expect(ioctl(pipe, UInt(FIONREAD), &unread) == 0)
        }
        send.signal(SIGTERM)
        #expect(send.wait() == .code(0), "\(send.errorOutput)")
        #expect(send.output.hasPrefix("sent 3 events, "))
        let events = try await consumer(hub).events(atLeast: 3)
        #expect(Set(events.map { String(decoding: $0.body, as: UTF8.self) }) == ["one", "two", "three"])
        await hub.stop()
    }

    @Test func whatTheHubDoesNotTakeFromABufferIsCountedWithItsReason() async throws {
        var configuration = LocalHubConfiguration()
        configuration.sharedAccessKey = Self.key
        configuration.certificateDirectory = directory("certificates")
        configuration.onDelivery = { delivery in
            delivery.number > 0 ? .answer(.rejected(AMQPError("amqp:unauthorized-access", "no more"))) : nil
        }
        let hub = try LocalHub(configuration, logger: logger)
        _ = try await hub.start()
        #expect(mkfifo(directory("pipe"), 0o600) == 0)
        let pipe = open(directory("pipe"), O_RDWR)
        defer { close(pipe) }
        let send = try start(
            hub, ["--buffered", "--partition-id", "0", "--max-wait", "1ms"], input: directory("pipe"))
        #expect(write(pipe, "one\n", 4) == 4)
        while hub.statistics.partitions[0].eventsStored < 1 { try await Task.sleep(for: .milliseconds(2)) }
        // The pipe has no end: the refusal ends the reading.
        #expect(write(pipe, "two\nthree\n", 10) == 10)
        #expect(send.wait() == .code(1))
        #expect(send.output.hasPrefix("sent 1 event, "))
        #expect(send.errorOutput.hasPrefix("tailrace: 2 of 3 events not sent: "))
        #expect(send.errorOutput.contains("no more") && !send.errorOutput.contains(Self.key))
        await hub.stop()
    }

    @Test func theOfficialClientReadsWhatABufferSent() async throws {
        let hub = try await hub()
        let text = (0..<3_000).map { "line \($0)\n" }.joined()
        let send = try start(
            hub, ["--buffered", "--key", "device-7", "--buffer-length", "500"], input: file(Array(text.utf8)))
        #expect(send.wait() == .code(0), "\(send.errorOutput)")
        let received = try await Python().consume(from: hub, count: 3_000)
        #expect(received.map { String(decoding: $0.body, as: UTF8.self) } == (0..<3_000).map { "line \($0)" })
        #expect(received.allSatisfy { $0.key == "device-7" })
        await hub.stop()
    }

    @Test func aKeyOnTheCommandLineIsSeenByNobody() async throws {
        let hub = try await hub()
        let consumer = try await consumer(hub)
        #expect(mkfifo(directory("pipe"), 0o600) == 0)
        let pipe = open(directory("pipe"), O_RDWR)
        defer { close(pipe) }
        for option in [["--connection-string", hub.connectionString], ["--connection-string=\(hub.connectionString)"]] {
            let before = consumer.events.count
            let send = try ChildProcess(
                ChildProcess.built("tailrace"),
                ["send"] + option + ["--ca-file", directory("certificates/ca.pem"), "--max-wait", "1ms"],
                input: directory("pipe"))
            #expect(write(pipe, "line\n", 5) == 5)
            _ = await consumer.events(atLeast: before + 1)
            let title = ChildProcess.text("/proc/\(send.identifier)/cmdline")
            #expect(title.contains("--connection-string") && title.contains("****"))
            #expect(!title.contains(Self.key) && !title.contains("SharedAccessKey"))
            send.signal(SIGTERM)
            #expect(send.wait() == .code(0))
            #expect(!(send.output + send.errorOutput).contains(Self.key))
        }
        await hub.stop()
    }

    @Test func theKeyMayComeFromTheEnvironment() async throws {
        let hub = try await hub()
        let send = try ChildProcess(
            ChildProcess.built("tailrace"), ["send", "--ca-file", directory("certificates/ca.pem")],
            environment: ["TAILRACE_CONNECTION_STRING": hub.connectionString], input: file(Array("line\n".utf8)))
        #expect(send.wait() == .code(0))
        #expect(send.output.hasPrefix("sent 1 event, "))
        await hub.stop()
    }

    @Test func wrongUsageIsCode2AndOneLine() throws {
        let secret = "Endpoint=sb://localhost/;SharedAccessKeyName=a;SharedAccessKey=\(Self.key);EntityPath=logs"
        for arguments in [
            [], ["--connection-string", "nonsense\(Self.key)"],
            ["--connection-string", secret, "--connection-string-file", "x"],
            ["--connection-string", secret, "--key", "a", "--partition-id", "1"],
            ["--connection-string", secret, "--batch-size", "huge"],
            ["--connection-string", secret, "--batch-events", "0"],
            ["--connection-string", secret, "--timeout", "1"],
            ["--connection-string", secret, "--max-wait", "soon"],
            ["--connection-string", secret, "--buffer-length", "10"],
            ["--connection-string", secret, "--buffered", "--buffer-length", "0"],
            ["--connection-string", secret, "--buffered", "--buffer-size", "1"],
            ["--connection-string", secret, "--buffered", "--batch-events", "10"],
        ] {
            let send = try ChildProcess(ChildProcess.built("tailrace"), ["send"] + arguments)
            #expect(send.wait() == .code(2), "\(arguments)")
            #expect(send.errorOutput.hasPrefix("tailrace: "))
            #expect(send.errorOutput.filter { $0 == "\n" }.count == 1)
            #expect(!send.errorOutput.contains(Self.key))
        }
    }
}
