import AMQP
import EventHubs
import LocalHub
import Logging
import NIOCore
import TestSupport
import Testing

/// What our producers send, read back by the official `azure-eventhub` package for Python.
@Suite(.serialized) struct ProducerReadBackTests {
    /// One event as the official client describes it.
    struct Described: Equatable {
        var partition: Int
        var parts: [String: String]
    }

    enum Way: String, CaseIterable { case event, list, batch, buffered, numbered }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
    }

    private static func text(_ value: String) -> String { "str " + hex(value.utf8) }

    /// Strings inside maps: the official client gives bytes for them, also for those that it sent itself.
    private static func mapText(_ value: String) -> String { "bytes " + hex(value.utf8) }

    private static func bytes(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }

    /// Events of every kind, each with what must be read of it. `name` tells them apart.
    private static func specimens() throws -> [(name: String, event: EventData, expected: [String: String])] {
        var all: [(name: String, event: EventData, expected: [String: String])] = []
        func add(_ name: String, _ event: EventData, _ expected: [String: String]) {
            var event = event
            event.properties[string: "name"] = .string(name)
            all.append((name, event, expected))
        }
        for (index, body) in AwkwardPayloads.all.enumerated() {
            add("awkward \(index)", EventData(body), ["kind": "data", "body": "list [bytes \(hex(body))]"])
        }
        add(
            "sections", EventData(sections: [bytes("one"), bytes(""), bytes("three")]),
            ["kind": "data", "body": "list [bytes \(hex("one".utf8)), bytes , bytes \(hex("three".utf8))]"])
        var full = EventData(
            "full",
            properties: [
                "text": "ünïcödé", "long": 9_007_199_254_740_993, "int": .int(-7), "double": 0.5, "true": true,
                "bytes": .binary(ByteBuffer(bytes: [0, 255])), "uuid": .uuid(AMQPUUID(high: 1, low: 2)),
            ])
        full.messageID = "message 1"
        full.correlationID = "correlation 1"
        full.contentType = "text/plain"
        add(
            "full", full,
            [
                "message-id": text("message 1"), "correlation-id": text("correlation 1"),
                "content-type": text("text/plain"), "property text": mapText("ünïcödé"),
                "property long": "int 9007199254740993", "property int": "int -7", "property double": "float 0.5",
                "property true": "bool True", "property bytes": "bytes 00ff",
                "property uuid": "uuid 00000000-0000-0001-0000-000000000002",
            ])
        var message = AMQPMessage(body: .sequence([["a", 1, true]]))
        message.header = AMQPMessage.Header(priority: 7, timeToLive: 60000)
        message.messageAnnotations[symbol: "own"] = "annotation"
        message.footer[symbol: "foot"] = "note"
        var properties = AMQPMessage.Properties()
        properties.subject = "subject"
        properties.groupID = "group"
        properties.userID = bytes("me")
        properties.messageID = .ulong(5)
        message.properties = properties
        let sections = [
            "priority": "int 7", "ttl": "int 60000", "subject": text("subject"), "group-id": text("group"),
            "user-id": "bytes \(hex("me".utf8))", "message-id": "int 5", "annotation own": mapText("annotation"),
            "footer foot": mapText("note"),
        ]
        add("sequence", EventData(message), sections.merging(["kind": "sequence"]) { $1 })
        message.body = .value(.map(["k": .list([1, "two"])]))
        add("value", EventData(message), sections.merging(["kind": "value"]) { $1 })
        return all
    }

    private func describe(_ python: Python, _ hub: LocalHub, _ count: Int) async throws -> [Described] {
        let run = try await python.run("describe.py", ["--count", String(count)], hub)
        #expect(run.exit == .code(0), "\(run.errorOutput.suffix(3000))")
        var described: [Described] = []
        for line in run.output.split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("event "), words.count == 3, let partition = Int(words[1]) {
                described.append(Described(partition: partition, parts: [:]))
            } else if let colon = line.firstIndex(of: ":"), !described.isEmpty {
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                described[described.count - 1].parts[String(line[..<colon])] = String(value)
            }
        }
        return described
    }

    @Test(arguments: Way.allCases)
    func whatWeSendIsReadBackByteForByte(way: Way) async throws {
        let python = try Python()
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        let specimens = try Self.specimens()
        let key = "device-7"
        switch way {
        case .event, .list, .batch:
            let client = try EventHubProducerClient(connectionString: hub.connectionString)
            for (_, event, _) in specimens {
                switch way {
                case .event: try await client.send(event, partitionKey: key)
                case .list: try await client.send([event], partitionKey: key)
                default:
                    var batch = try await client.createBatch(partitionKey: key)
                    let added = try batch.tryAdd(event)
                    #expect(added)
                    try await client.send(batch)
                }
            }
            await client.close()
        case .buffered, .numbered:
            var buffering = BufferingOptions()
            buffering.isIdempotent = way == .numbered
            buffering.onFailure = { Issue.record("\($0.error as Any)") }
            let client = try EventHubBufferedProducerClient(
                connectionString: hub.connectionString, buffering: buffering)
            for (_, event, _) in specimens { try await client.enqueue(event, partitionKey: key) }
            try await client.close()
        }
        let received = try await describe(python, hub, specimens.count)
        let partition = PartitionKeyHash.service.index(of: key, partitionCount: 4)
        #expect(received.count == specimens.count && received.allSatisfy { $0.partition == partition })
        for (specimen, one) in zip(specimens, received) {
            var expected = specimen.expected
            expected["key"] = Self.text(key)
            expected["property name"] = Self.mapText(specimen.name)
            for (name, value) in expected {
                let isEqual = one.parts[name] == value
                #expect(isEqual, "\(specimen.name) \(name): \(one.parts[name]?.prefix(200) as Any)")
            }
        }
        await hub.stop()
    }

    @Test func aKeyLandsWhereTheServiceAndTheOfficialClientPutIt() async throws {
        let python = try Python()
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        // Keys that the Python buffered mode puts elsewhere are among them; its plain mode leaves it to the service.
        let keys = ["abc", "device-42", "tenant/0001/host-a", "日本語", "7149", "é", "x"]
        try await python.produce(
            keys.map { OfficialClientTests.Sent(body: Array("official".utf8), key: $0) }, to: hub, mode: .batch)
        let plain = try EventHubProducerClient(connectionString: hub.connectionString)
        let buffered = try EventHubBufferedProducerClient(connectionString: hub.connectionString)
        for key in keys {
            try await plain.send(EventData("plain"), partitionKey: key)
            try await buffered.enqueue(EventData("buffered"), partitionKey: key)
        }
        try await buffered.close()
        await plain.close()
        let received = try await describe(python, hub, keys.count * 3)
        for key in keys {
            let own = received.filter { $0.parts["key"] == Self.text(key) }
            #expect(own.count == 3)
            #expect(
                Set(own.map(\.partition)) == [PartitionKeyHash.service.index(of: key, partitionCount: 4)], "\(key)")
        }
        await hub.stop()
    }
}
