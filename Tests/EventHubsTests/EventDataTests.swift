import AMQP
import NIOCore
import TestSupport
import Testing

@testable import EventHubs

@Suite struct EventDataTests {
    private static func bytes(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }

    private func encoded(_ event: EventData, key: String? = nil, reservesNumbers: Bool = false) -> ByteBuffer {
        var buffer = ByteBuffer()
        event.encode(into: &buffer, partitionKey: key, reservesNumbers: reservesNumbers)
        return buffer
    }

    // MARK: Making events

    @Test func anEventIsMadeOfTextBytesOrSections() throws {
        #expect(EventData("héllo").body == Self.bytes("héllo"))
        #expect(EventData([0, 255, 7] as [UInt8]).body == ByteBuffer(bytes: [0, 255, 7]))
        #expect(EventData("").message.body == .data([ByteBuffer()]))
        let several = EventData(sections: [Self.bytes("a"), Self.bytes(""), Self.bytes("bc")])
        #expect(several.message.body == .data([Self.bytes("a"), Self.bytes(""), Self.bytes("bc")]))
        #expect(several.body == Self.bytes("abc") && several.bodyType == .data && several.bodyText == "abc")
        #expect(EventData(sections: [Self.bytes("one")]) == EventData("one"))
    }

    @Test func propertiesAreALiteralAndWholeNumbersAreLongs() throws {
        let event = EventData(
            "x", properties: ["s": "text", "n": 7, "big": 9_007_199_254_740_993, "d": 0.5, "b": true, "i": .int(3)])
        let decoded = try EventData(decoding: encoded(event))
        #expect(decoded.properties[string: "s"] == .string("text"))
        #expect(decoded.properties[string: "n"] == .long(7))
        #expect(decoded.properties[string: "big"] == .long(9_007_199_254_740_993))
        #expect(decoded.properties[string: "d"] == .double(0.5))
        #expect(decoded.properties[string: "b"] == .boolean(true))
        #expect(decoded.properties[string: "i"] == .int(3))
        #expect(decoded == event)
    }

    @Test func theIdsAndTheContentTypeHaveTheCapturedBytes() {
        var event = EventData("")
        event.messageID = "mid"
        event.correlationID = "cid"
        event.contentType = "application/json"
        // As captured from the official client (protocol notes, section 6.2), without the nulls that may be left out.
        var expected: [UInt8] = [0, 0x53, 0x73, 0xC0, 0x21, 7, 0xA1, 3] + Array("mid".utf8) + [0x40, 0x40, 0x40, 0x40]
        expected += [0xA1, 3] + Array("cid".utf8) + [0xA3, 0x10] + Array("application/json".utf8)
        expected += [0, 0x53, 0x75, 0xA0, 0]
        #expect(Array(encoded(event).readableBytesView) == expected)
    }

    @Test func aPlainEventHasTheCapturedBytes() {
        #expect(
            Array(encoded(EventData("hello")).readableBytesView) == [0, 0x53, 0x75, 0xA0, 5] + Array("hello".utf8))
    }

    // MARK: Messages

    private static var everySection: AMQPMessage {
        var message = AMQPMessage(body: .data([bytes("body")]))
        message.header = AMQPMessage.Header(durable: true, priority: 7, timeToLive: 60000)
        message.deliveryAnnotations[symbol: "d"] = .int(1)
        message.messageAnnotations[symbol: "a"] = "text"
        var properties = AMQPMessage.Properties()
        properties.messageID = .ulong(5)
        properties.userID = bytes("me")
        properties.to = "to"
        properties.subject = "subject"
        properties.replyTo = "reply"
        properties.correlationID = .uuid(AMQPUUID(high: 1, low: 2))
        properties.contentType = "text/plain"
        properties.contentEncoding = "identity"
        properties.absoluteExpiryTime = 1
        properties.creationTime = 2
        properties.groupID = "group"
        properties.groupSequence = 3
        properties.replyToGroupID = "group 2"
        message.properties = properties
        message.applicationProperties = ["p": 1]
        message.footer[symbol: "f"] = .boolean(true)
        return message
    }

    @Test func aMessageKeepsEverySectionAndEveryKindOfBody() throws {
        var message = Self.everySection
        for body: AMQPMessage.Body in [
            .data([Self.bytes("one")]), .data([Self.bytes("one"), Self.bytes("two")]),
            .sequence([["a", 1, true], []]), .value(.map(["k": 5])), .value(.null), .none,
        ] {
            message.body = body
            let event = EventData(message)
            #expect(event.message == message)
            #expect(try AMQPMessage(decoding: encoded(event)) == message)
            #expect(try EventData(decoding: message.encoded()) == event)
            #expect(event.messageID == .ulong(5) && event.contentType == "text/plain")
        }
    }

    @Test func theBodyOfAMessageCanBeReplaced() {
        var event = EventData(Self.everySection)
        event.message.body = .value("v")
        #expect(event.bodyType == .value && event.bodyText == "v")
        event.body = Self.bytes("new")
        #expect(event.bodyType == .data)
        var expected = Self.everySection
        expected.body = .data([Self.bytes("new")])
        #expect(event.message == expected)
    }

    @Test func aMessageWithoutAnnotationsGetsItsKeyAllTheSame() throws {
        var message = Self.everySection
        message.messageAnnotations = AMQPMap()
        let decoded = try EventData(decoding: encoded(EventData(message), key: "k"))
        #expect(decoded.partitionKey == "k")
        let own = try EventData(decoding: encoded(EventData(Self.everySection), key: "k"))
        #expect(own.annotations == AMQPMap([.init(.symbol("a"), "text"), .init(.symbol("x-opt-partition-key"), "k")]))
    }

    // MARK: Reading

    @Test func theBodyIsReadAsTextAndAsJSON() throws {
        struct Reading: Codable, Equatable {
            var sensor: String
            var value: Double
        }
        let reading = Reading(sensor: "t-7", value: 21.5)
        let event = try EventData(json: reading)
        #expect(event.contentType == "application/json")
        #expect(try event.decodeJSON() == reading)
        #expect(event.bodyText?.contains("\"sensor\":\"t-7\"") == true)
        #expect(EventData([0xFF, 0xFE] as [UInt8]).bodyText == nil)
        #expect(EventData(AMQPMessage(body: .sequence([[1]]))).bodyText == nil)
        #expect(EventData(AMQPMessage(body: .value(7))).bodyText == nil)
        do throws(EventHubsError) {
            _ = try EventData("{\"sensor\":5,\"secret\":\"canary\"}").decodeJSON(Reading.self)
            Issue.record("a number was read as text")
        } catch {
            #expect(error.code == .invalidArgument)
            #expect(error.message.contains("sensor") && !error.message.contains("canary"), "\(error)")
        }
    }

    @Test func whatTheServiceAddedIsRead() throws {
        var message = Self.everySection
        #expect(EventData("x").sequenceNumber == nil && EventData("x").offset == nil)
        #expect(EventData("x").enqueuedTime == nil && EventData("x").systemProperties == AMQPMap())
        message.messageAnnotations = AMQPMap([
            .init(.symbol("x-opt-sequence-number"), 41), .init(.symbol("x-opt-offset"), "1234"),
            .init(.symbol("x-opt-enqueued-time"), .timestamp(1_700_000_000_000)),
            .init(.symbol("x-opt-partition-key"), "k"),
        ])
        let event = try EventData(decoding: message.encoded())
        #expect(event.sequenceNumber == 41 && event.offset == "1234")
        #expect(event.enqueuedTime == 1_700_000_000_000 && event.partitionKey == "k")
        let system = event.systemProperties
        #expect(system.entries.count == 17)
        #expect(system[symbol: "message-id"] == .ulong(5) && system[symbol: "content-type"] == .symbol("text/plain"))
        #expect(system[symbol: "group-sequence"] == .uint(3) && system[symbol: "x-opt-offset"] == "1234")
    }

    @Test func bytesThatAreNoMessageAreAnError() throws {
        for var generator in [SeededGenerator(seed: 5), .fresh("event bytes")] {
            let good = Self.everySection.encoded()
            for _ in 0..<3000 {
                var bytes = Array(good.readableBytesView)
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    bytes[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255, using: &generator)
                }
                bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
                guard let event = try? EventData(decoding: ByteBuffer(bytes: bytes)) else { continue }
                // What can be read can be written, and then says the same. (Bytes are compared: a NaN is not itself.)
                #expect(encoded(try EventData(decoding: encoded(event))) == encoded(event))
                _ = (event.bodyText, event.systemProperties, event.sequenceNumber, event.hashValue)
            }
        }
    }

    // MARK: Room for numbers

    @Test func roomForNumbersHasAFixedWidthAndReplacesOldNumbers() throws {
        var event = EventData("x")
        event.annotations[symbol: "com.microsoft:producer-sequence-number"] = .int(3)
        var message = event.message
        message.footer[symbol: "f"] = 1
        for event in [event, EventData(message)] {
            let bytes = encoded(event, key: "k", reservesNumbers: true)
            let annotations = try EventData(decoding: bytes).annotations
            #expect(annotations.entries.count == 4)
            #expect(annotations[symbol: "x-opt-partition-key"] == "k")
            #expect(annotations[symbol: "com.microsoft:producer-id"] == .long(.max))
            #expect(annotations[symbol: "com.microsoft:producer-epoch"] == .short(.max))
            #expect(annotations[symbol: "com.microsoft:producer-sequence-number"] == .int(.max))
        }
        let plain = encoded(EventData("x"), key: "k").readableBytes
        let names = ["producer-id", "producer-epoch", "producer-sequence-number"].map { $0.utf8.count + 16 }
        let room = names.reduce(9 + 3 + 5, +)
        #expect(encoded(EventData("x"), key: "k", reservesNumbers: true).readableBytes == plain + room)
    }
}
