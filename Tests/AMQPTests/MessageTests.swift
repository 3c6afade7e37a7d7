import NIOCore
import TestSupport
import Testing

@testable import AMQP

@Suite struct MessageTests {
    static var full: AMQPMessage {
        var message = AMQPMessage(
            body: .data([ByteBuffer(string: "one"), ByteBuffer(), ByteBuffer(repeating: 1, count: 300)]))
        message.header = .init(durable: true, priority: 9, timeToLive: 5, firstAcquirer: true, deliveryCount: 2)
        message.deliveryAnnotations[symbol: "d"] = .int(1)
        message.messageAnnotations[symbol: "x-opt-partition-key"] = .string("k1")
        var properties = AMQPMessage.Properties()
        properties.messageID = .uuid(AMQPUUID(high: 1, low: 2))
        properties.userID = ByteBuffer(string: "me")
        properties.to = .string("to")
        properties.subject = "subject"
        properties.replyTo = .string("reply")
        properties.correlationID = .ulong(7)
        properties.contentType = "application/json"
        properties.contentEncoding = "gzip"
        properties.absoluteExpiryTime = 1
        properties.creationTime = 2
        properties.groupID = "g"
        properties.groupSequence = 3
        properties.replyToGroupID = "r"
        message.properties = properties
        message.applicationProperties[string: "host"] = .string("web-1")
        message.footer[symbol: "f"] = .boolean(true)
        return message
    }

    @Test func allSectionsComeBackInTheStandardOrder() throws {
        let encoded = Self.full.encoded()
        #expect(try AMQPMessage(decoding: encoded) == Self.full)
        var sections = MessageSections(encoded)
        var kinds: [UInt8] = []
        while let section = try sections.next() { kinds.append(section.kind.rawValue) }
        #expect(kinds == [0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x75, 0x75, 0x78])
    }

    @Test func everyBodyShapeComesBack() throws {
        for body in [
            AMQPMessage.Body.none, .data([ByteBuffer()]), .sequence([[.int(1), .string("a")], []]), .value(.null),
            .value(.map(AMQPMap([.init(.string("partition_ids"), .array([.string("0"), .string("1")]))]))),
        ] {
            let message = AMQPMessage(body: body)
            #expect(try AMQPMessage(decoding: message.encoded()) == message)
        }
    }

    @Test func capturedMessagesAreRead() throws {
        let plain = bytes("00 53 75 a0 05", Text("hello"))
        #expect(try AMQPMessage(decoding: plain) == AMQPMessage(body: .data([ByteBuffer(string: "hello")])))
        #expect(AMQPMessage(body: .data([ByteBuffer(string: "hello")])).encoded() == plain)

        let withProperties = bytes(
            "00 53 73 c0 27 0d a1 03", Text("mid"), "40 40 40 40 a1 03", Text("cid"), "a3 10", Text("application/json"),
            "40 40 40 40 40 40 00 53 74 c1 09 02 a1 01 6b a1 03", Text("val"), "00 53 75 a0 05", Text("hello"))
        let message = try AMQPMessage(decoding: withProperties)
        #expect(message.properties?.messageID == .string("mid"))
        #expect(message.properties?.correlationID == .string("cid"))
        #expect(message.properties?.contentType == "application/json")
        #expect(message.applicationProperties[string: "k"] == .string("val"))
        #expect(message.body == .data([ByteBuffer(string: "hello")]))

        let durableHeader = hex("00 53 70 c0 07 05 56 01 40 40 40 40")
        #expect(try AMQPMessage(decoding: durableHeader).header == .init(durable: true))
    }

    @Test func aBatchEnvelopeSplitsWithoutDecoding() throws {
        let envelope = bytes(
            "00 53 75 a0 0a 00 53 75 a0 05", Text("hello"), "00 53 75 b0 00000008 00 53 75 a0 03", Text("abc"))
        var sections = MessageSections(envelope)
        var events: [AMQPMessage] = []
        while let section = try sections.next() {
            #expect(section.kind == .data)
            if let event = envelope.getSlice(at: section.content.lowerBound, length: section.content.count) {
                events.append(try AMQPMessage(decoding: event))
            }
        }
        #expect(events.map(\.body) == [.data([ByteBuffer(string: "hello")]), .data([ByteBuffer(string: "abc")])])
    }

    @Test func sectionsInAnUnusualOrderAreRead() throws {
        // The Python client puts delivery annotations last.
        let message = try AMQPMessage(decoding: hex("00 53 75 a0 00 00 53 71 c1 05 02 a3 01 61 43"))
        #expect(message.deliveryAnnotations[symbol: "a"] == .uint(0))
        #expect(message.body == .data([ByteBuffer()]))
    }

    @Test func malformedMessagesAreErrors() {
        func kind(_ text: String) -> AMQPCodecError.Kind? {
            do throws(AMQPCodecError) {
                _ = try AMQPMessage(decoding: hex(text))
                return nil
            } catch {
                return error.kind
            }
        }
        #expect(kind("40") == .unexpectedType)
        #expect(kind("00 53 99 40") == .unexpectedType)
        #expect(kind("00 53 75 a1 00") == .unexpectedType)
        #expect(kind("00 53 75 b0 ffffffff 00") == .truncated)
        #expect(kind("00 53 75 a0 00 00 53 77 40") == .invalidValue)
        #expect(kind("00 53 76 43") == .unexpectedType)
        #expect(kind("00 53") == .truncated)
        #expect(kind("00 80 0000010000000075 a0 00") == .unexpectedType)
    }

    @Test func mutatedMessagesNeverTrap() {
        let whole = Array(Self.full.encoded().readableBytesView)
        for var generator in [SeededGenerator(seed: 8), .fresh("mutated messages")] {
            for _ in 0..<1500 {
                let bytes = ByteBuffer(bytes: generator.mutate(whole))
                if let message = try? AMQPMessage(decoding: bytes) {
                    #expect((try? AMQPMessage(decoding: message.encoded())) != nil)
                }
            }
        }
    }
}
