import Glibc
import LocalHub
import Logging
import TestSupport
import Testing

@testable import TailraceAgent

/// The official `azure-eventhub` package for Python against the hub, unmodified.
@Suite(.serialized) struct OfficialClientTests {
    struct Sent {
        var body: [UInt8]
        var key: String?
    }

    enum Mode: String, CaseIterable { case buffered, batch, event }

    @Test(arguments: zip(Mode.allCases, [false, true, false]))
    func whatTheOfficialClientSendsItReadsBackByteForByte(mode: Mode, plain: Bool) async throws {
        let python = try Python()
        var configuration = LocalHubConfiguration()
        configuration.isPlain = plain
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        var sent = AwkwardPayloads.all.map { Sent(body: $0, key: nil) }
        for i in 0..<300 { sent.append(Sent(body: Array("event \(i)".utf8), key: "key \(i % 7)")) }
        try await python.produce(sent, to: hub, mode: mode)
        let received = try await python.consume(from: hub, count: sent.count)
        let everythingCame =
            received.map(\.body).sorted { $0.lexicographicallyPrecedes($1) }
            == sent.map(\.body).sorted { $0.lexicographicallyPrecedes($1) }
        #expect(everythingCame, "\(received.count) of \(sent.count) came")
        // One key, one partition, in order; numbers without gaps.
        for key in Set(sent.compactMap(\.key)) {
            let own = received.filter { $0.key == key }
            #expect(Set(own.map(\.partition)).count == 1)
            let inOrder = own.map(\.body) == sent.filter { $0.key == key }.map(\.body)
            #expect(inOrder, "key \(key): \(own.count) events")
        }
        for partition in Set(received.map(\.partition)) {
            let own = received.filter { $0.partition == partition }
            #expect(own.map(\.sequence) == Array(0..<own.count))
            #expect(zip(own, own.dropFirst()).allSatisfy { $0.time <= $1.time })
        }
        await hub.stop()
    }

    @Test func whatTheAgentShipsTheOfficialClientReadsBackByteForByte() async throws {
        let python = try Python()
        let directory = TemporaryDirectory("official")
        var configuration = LocalHubConfiguration()
        configuration.certificateDirectory = directory("certificates")
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        let agent = try AgentProcess(
            directory,
            output: """
                connection_string = "\(hub.connectionString)"
                ca_file = "\(directory("certificates/ca.pem"))"
                """)
        // Whatever a line can hold (everything but a newline), and one that is too long.
        let long = (0..<(2 << 20)).map { UInt8(ascii: "a") + UInt8($0 % 26) }
        let lines = AwkwardPayloads.lines + [long, Array("the last".utf8)]
        try agent.log(Array(lines.map { $0 + [0x0A] }.joined()))
        let received = try await python.consume(from: hub, count: lines.count)
        let limit = FileInputSettings.defaultMaximumLine
        let everythingCame = received.map(\.body) == lines.map { Array(AwkwardPayloads.record(of: $0).prefix(limit)) }
        #expect(everythingCame, "\(received.count) of \(lines.count) came")
        #expect(received.allSatisfy { $0.key == "test-host" })
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    @Test func oneChosenPartitionGetsEverythingAndReadersBeginWhereTheyLike() async throws {
        let python = try Python()
        let hub = try LocalHub(
            LocalHubConfiguration(), logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        let sent = (0..<50).map { Sent(body: Array("event \($0)".utf8)) }
        try await python.produce(sent, to: hub, mode: .batch, partition: 2)
        let all = try await python.consume(from: hub, count: 50, ["--describe"])
        #expect(all.map(\.body) == sent.map(\.body) && all.allSatisfy { $0.partition == 2 })
        let description = ChildProcess.text(python.directory("received.json")).prefix { $0 != "\n" }
        #expect(description.contains(#""partition_ids": ["0", "1", "2", "3"]"#))
        #expect(description.contains(#""last_enqueued_sequence_number": 49, "last_enqueued_offset": "392""#))
        let late = try await python.consume(
            from: hub, count: 40, ["--partition", "2", "--sequence", "9", "--owner-level", "1"])
        #expect(late.map(\.sequence) == Array(10..<50))
        let behind = try await python.consume(from: hub, count: 20, ["--partition", "2", "--position", all[29].offset])
        #expect(behind.map(\.sequence) == Array(30..<50))
        await hub.stop()
    }

    @Test func eventsOutliveTheHub() async throws {
        let python = try Python()
        let directory = TemporaryDirectory("hub-store")
        var configuration = LocalHubConfiguration()
        configuration.storeDirectory = directory("store")
        configuration.certificateDirectory = directory("certificates")
        let logger = Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() })
        let sent = (0..<20).map { Sent(body: Array("event \($0)".utf8), key: "k") }
        let first = try LocalHub(configuration, logger: logger)
        _ = try await first.start()
        try await python.produce(sent, to: first, mode: .batch)
        await first.stop()
        let second = try LocalHub(configuration, logger: logger)
        _ = try await second.start()
        try await python.produce(sent, to: second, mode: .batch)
        let received = try await python.consume(from: second, count: 40)
        #expect(received.map(\.body) == (sent + sent).map(\.body))
        #expect(received.map(\.sequence) == Array(0..<40))
        await second.stop()
    }

    @Test func wrongKeysAreRefused() async throws {
        let python = try Python()
        let hub = try LocalHub(
            LocalHubConfiguration(), logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        let wrongKey = hub.connectionString.split(separator: ";").map {
            $0.hasPrefix("SharedAccessKey=") ? "SharedAccessKey=wrong" : String($0)
        }.joined(separator: ";")
        let event = [Sent(body: [1])]
        let refused = try await python.run(
            "produce.py", ["--mode", "batch", "--retries", "0", "--input", try python.input(event)], hub,
            connectionString: wrongKey)
        #expect(refused.exit == .code(1))
        #expect(refused.errorOutput.contains("401") && refused.errorOutput.contains("InvalidSignature"))
        #expect(hub.statistics.partitions.allSatisfy { $0.eventsStored == 0 })
        await hub.stop()
    }
}
