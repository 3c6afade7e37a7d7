import NIOCore
import PulsarBroker
import Synchronization
import TestSupport
import Testing

@testable import Pulsar

@Suite struct PulsarSchemaTests {
    private static let reading =
        #"{"type":"record","name":"Reading","fields":[{"name":"t","type":"double"}]}"#

    @Test func aStringSchemaIsDeclaredAsTheOfficialClientDoesByteForByte() throws {
        let recorded = try #require(RecordedFrame.named("producer_string_schema"))
        let frame = try #require(try recorded.decoded())
        guard case .producer(var command) = frame.command else { throw WireError(.malformedFrame, "no PRODUCER") }
        command.schema = PulsarSchema.string.wire
        var bytes = ByteBuffer()
        Frame(.producer(command)).encode(into: &bytes)
        #expect(Array(bytes.readableBytesView) == recorded.bytes)
    }

    @Test func bytesAreDeclaredByNothing() {
        #expect(PulsarSchema.bytes.wire == nil)
        for kind in PulsarSchema.Kind.allCases where kind != .bytes {
            #expect(PulsarSchema(kind).wire?.type != SchemaType.none, "\(kind)")
        }
        let types = PulsarSchema.Kind.allCases.compactMap { PulsarSchema($0).wire?.type }
        #expect(Set(types).count == types.count)
    }

    @Test func propertiesAndNamesAreDeclared() throws {
        var schema = PulsarSchema.json(definition: Self.reading)
        schema.name = "mine"
        schema.properties = ["b": "2", "a": "1"]
        let wire = try #require(schema.wire)
        #expect(wire.name == "mine")
        #expect(wire.schemaData == Array(Self.reading.utf8))
        #expect(wire.type == .json)
        #expect(wire.properties.map(\.key) == ["a", "b"])
    }

    // MARK: Values

    @Test func valuesAreEncodedWithTheirHighestByteFirst() {
        let cases: [(PulsarMessage, [UInt8], PulsarSchema)] = [
            (PulsarMessage(boolean: true), [1], .boolean), (PulsarMessage(boolean: false), [0], .boolean),
            (PulsarMessage(int8: -2), [0xFE], .int8), (PulsarMessage(int16: -2), [0xFF, 0xFE], .int16),
            (PulsarMessage(int32: 0x0102_0304), [1, 2, 3, 4], .int32),
            (PulsarMessage(int64: .min), [0x80, 0, 0, 0, 0, 0, 0, 0], .int64),
            (PulsarMessage(float: 1.5), [0x3F, 0xC0, 0, 0], .float),
            (PulsarMessage(double: -0.0), [0x80, 0, 0, 0, 0, 0, 0, 0], .double),
        ]
        for (message, bytes, schema) in cases {
            #expect(Array(message.payload.readableBytesView) == bytes)
            #expect(throws: Never.self) { try schema.check(message) }
            #expect(throws: Never.self) { try schema.check(PulsarMessage(content: .null)) }
            let error = #expect(throws: PulsarError.self) { try schema.check(PulsarMessage("abc")) }
            #expect(error?.code == .invalidMessage)
        }
    }

    @Test func textsAreUTF8() throws {
        let good: [PulsarMessage] = [
            PulsarMessage("ünïcödé 🦆"), PulsarMessage(Array("ünïcödé".utf8)), PulsarMessage([]),
            PulsarMessage(ByteBuffer(string: "🦆")), PulsarMessage(content: .null),
        ]
        let bad: [PulsarMessage] = [
            PulsarMessage([0xFF]), PulsarMessage([0x61, 0xC3]), PulsarMessage(ByteBuffer(bytes: [0xED, 0xA0, 0x80])),
        ]
        for schema in [PulsarSchema.string, .json(definition: "{}")] {
            for message in good { try schema.check(message) }
            for message in bad {
                let error = #expect(throws: PulsarError.self) { try schema.check(message) }
                #expect(error?.code == .invalidMessage)
            }
        }
        for schema in [PulsarSchema.bytes, .avro(definition: "{}"), PulsarSchema(.protobuf, definition: [1])] {
            for message in bad { try schema.check(message) }
        }
    }

    @Test func schemasThatMakeNoSenseAreRefused() throws {
        let bad = [
            PulsarSchema.json(definition: ""), .avro(definition: "record"), PulsarSchema(.protobuf),
            PulsarSchema(.protobufNative), PulsarSchema(.json, definition: [0xFF]),
            PulsarSchema(.protobuf, definition: [UInt8](repeating: 0, count: (1 << 20) + 1)),
        ]
        for schema in bad {
            var options = PulsarProducerOptions()
            options.schema = schema
            let error = #expect(throws: PulsarError.self) { try options.check() }
            #expect(error?.code == .invalidConfiguration)
        }
        for schema in [PulsarSchema.bytes, .string, .double, .avro(definition: Self.reading)] {
            var options = PulsarProducerOptions()
            options.schema = schema
            try options.check()
        }
    }

    // MARK: The producer

    @Test(arguments: [false, true]) func theVersionOfTheSchemaGoesWithEachMessage(batching: Bool) async throws {
        try await WithBroker.run { world, client in
            var options = PulsarProducerOptions()
            options.isBatchingEnabled = batching
            let definitions = [Self.reading, Self.reading.replacing("double", with: "float"), Self.reading]
            for (index, definition) in definitions.enumerated() {
                options.schema = .json(definition: definition)
                let producer = try await client.makeProducer(topic: "t", options: options)
                try await producer.send(PulsarMessage("{\"t\": \(index)}"))
                try await producer.close()
            }
            options.schema = nil
            let plain = try await client.makeProducer(topic: "t", options: options)
            try await plain.send(PulsarMessage("plain"))
            try await plain.close()
            let versions = try await world.broker.messages(of: WithBroker.topic).map(\.schemaVersion)
            let zeros = [UInt8](repeating: 0, count: 7)
            #expect(versions == [zeros + [0], zeros + [1], zeros + [0], nil])
        }
    }

    @Test func aSchemaThatDoesNotFitTheTopicIsTold() async throws {
        try await WithBroker.run { world, client in
            var options = PulsarProducerOptions()
            options.schema = .int32
            let producer = try await client.makeProducer(topic: "t", options: options)
            options.schema = .string
            let other = options
            let error = await #expect(throws: PulsarError.self) {
                try await client.makeProducer(topic: "t", options: other).close()
            }
            #expect(error?.code == .incompatibleSchema)
            try await producer.send(PulsarMessage(int32: 5))
            let unfit = await #expect(throws: PulsarError.self) { try await producer.send(PulsarMessage(int64: 5)) }
            #expect(unfit?.code == .invalidMessage)
            #expect(throws: PulsarError.self) { _ = try producer.trySend(PulsarMessage("a text")) }
            try await producer.close()
            let stored = try await world.broker.messages(of: WithBroker.topic)
            #expect(stored.map(\.payload) == [ByteBuffer(bytes: [0, 0, 0, 5])])
        }
    }
}
