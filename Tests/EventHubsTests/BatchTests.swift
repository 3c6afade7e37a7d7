import AMQP
import NIOCore
import TestSupport
import Testing

@testable import EventHubs

@Suite struct BatchTests {
    /// The events of a batch message, decoded.
    static func events(_ payload: ByteBuffer) throws -> (envelope: AMQPMessage, events: [AMQPMessage]) {
        let envelope = try AMQPMessage(decoding: payload)
        guard case .data(let pieces) = envelope.body else { return (envelope, []) }
        return (envelope, try pieces.map { piece in try AMQPMessage(decoding: piece) })
    }

    // MARK: EventDataBatch

    @Test func aBatchOfOneHasTheCapturedBytes() throws {
        var batch = EventDataBatch(maximumSizeInBytes: 1000)
        #expect(batch.sizeInBytes == 0)
        let added1 = try batch.tryAdd(EventData("hello"))
        #expect(added1)
        let expected: [UInt8] = [0, 0x53, 0x75, 0xA0, 0x0A, 0, 0x53, 0x75, 0xA0, 5]
        #expect(Array(batch.payload.readableBytesView) == expected + Array("hello".utf8))
        #expect(batch.count == 1)
    }

    @Test func sizesMatchTheRule() throws {
        // An event of 255 encoded bytes costs 5 more, one of 256 costs 8.
        for (body, size) in [(0, 10), (250, 260), (251, 264), (255, 268), (256, 272)] {
            var batch = EventDataBatch(maximumSizeInBytes: size)
            let event = EventData(body: ByteBuffer(repeating: 1, count: body))
            let added2 = try batch.tryAdd(event)
            #expect(added2, "\(body)")
            #expect(batch.sizeInBytes == size)
            var smaller = EventDataBatch(maximumSizeInBytes: size - 1)
            let added3 = try smaller.tryAdd(event)
            #expect(!added3)
            #expect(smaller.sizeInBytes == 0 && smaller.count == 0)
        }
        // The key's annotation: 29 bytes and the key.
        #expect(EventDataBatch(maximumSizeInBytes: 100, partitionKey: "k1").sizeInBytes == 31)
    }

    @Test func theSizeIsThatOfTheMessageWhateverItsEventsHold() throws {
        for var generator in [SeededGenerator(seed: 9), .fresh("batch sizes")] {
            for _ in 0..<60 {
                let key: String? = Bool.random(using: &generator) ? "key" : nil
                let maximum = Int.random(in: 30...3000, using: &generator)
                var batch = EventDataBatch(
                    maximumSizeInBytes: maximum, partitionKey: key, reservesNumbers: .random(using: &generator))
                for _ in 0..<40 {
                    var event = EventData(
                        body: ByteBuffer(repeating: 1, count: Int.random(in: 0...300, using: &generator)))
                    if Bool.random(using: &generator) {
                        event.properties = ["p": .binary(ByteBuffer(repeating: 2, count: 240))]
                    }
                    if Bool.random(using: &generator) { event.messageID = 7 }
                    if Bool.random(using: &generator) { event.message.header = AMQPMessage.Header(durable: true) }
                    let before = batch
                    // What it would become, by the rule of the protocol notes' section 6.5.
                    var encoded = ByteBuffer()
                    event.encode(into: &encoded, partitionKey: key, reservesNumbers: batch.reservesNumbers)
                    let size = encoded.readableBytes
                    let expected = batch.sizeInBytes + size + (size < 256 ? 5 : 8)
                    let added = try batch.tryAdd(event)
                    #expect(added == (expected <= maximum))
                    #expect(batch.sizeInBytes == (added ? expected : before.sizeInBytes))
                    #expect(batch.payload == before.payload || added)
                }
                let (envelope, events) = try Self.events(batch.payload)
                #expect(events.count == batch.count)
                #expect(envelope.messageAnnotations[symbol: "x-opt-partition-key"] == key.map { .string($0) })
                #expect(zip(events, batch.events).allSatisfy { $0.body == $1.message.body })
            }
        }
    }

    @Test func aBatchKeepsItsEventsAsTheyWereGiven() throws {
        var batch = EventDataBatch(maximumSizeInBytes: 100, partitionKey: "k")
        let added = try batch.tryAdd(EventData("one"))
        let large = try batch.tryAdd(EventData(body: ByteBuffer(repeating: 0, count: 100)))
        #expect(added && !large)
        #expect(batch.events == [EventData("one")])
    }

    @Test func theKeyIsAnnotatedOnEnvelopeAndEvents() throws {
        var batch = EventDataBatch(maximumSizeInBytes: 10000, partitionKey: "k1")
        var event = EventData("one", properties: AMQPMap([.init(.string("p"), .int(5))]))
        event.messageID = .string("id")
        event.contentType = "text/plain"
        let added4 = try batch.tryAdd(event)
        #expect(added4)
        event.partitionKey = "k1"
        let added5 = try batch.tryAdd(event)
        #expect(added5)
        event.partitionKey = "other"
        do {
            _ = try batch.tryAdd(event)
            Issue.record("an event with another key was taken")
        } catch {
            #expect(error.code == .invalidArgument)
        }
        let (envelope, events) = try Self.events(batch.payload)
        #expect(envelope.messageAnnotations[symbol: "x-opt-partition-key"] == .string("k1"))
        #expect(events.count == 2)
        for event in events {
            #expect(event.messageAnnotations[symbol: "x-opt-partition-key"] == .string("k1"))
            #expect(event.applicationProperties[string: "p"] == .int(5))
            #expect(event.properties?.messageID == .string("id"))
            #expect(event.body == .data([ByteBuffer(string: "one")]))
        }
    }

    // MARK: The agent's encoder

    private static let template = EventTemplate(
        partitionKey: "web-1", properties: [("host", "web-1"), ("source", "/var/log/app/a.log"), ("input", "app")])

    @Test func encodedEventsReadBackAsMessages() throws {
        let bodies: [[UInt8]] = [
            [], Array("line\r".utf8), [0, 0xFF, 0xFE], Array(repeating: 9, count: 255),
            Array(repeating: 8, count: 70000),
        ]
        var encoder = EventBatchEncoder(maximumSize: 1 << 20)
        var extra = EventProperties()
        for (index, body) in bodies.enumerated() {
            body.withUnsafeBytes {
                let added6 = encoder.append(Self.template, body: $0, offset: Int64(index) << 33, timestamp: -1)
                #expect(added6)
            }
            extra.removeAll()
            Array("truncated".utf8).withUnsafeBytes { extra.append($0, long: .max) }
            Array("app".utf8).withUnsafeBytes { key in
                Array("é".utf8).withUnsafeBytes { extra.append(key, string: $0) }
                [UInt8](repeating: 0xFF, count: 300).withUnsafeBytes { extra.append(key, string: $0) }
            }
            body.withUnsafeBytes {
                let added7 = encoder.append(
                    Self.template, body: $0, offset: 7, timestamp: 1_700_000_000_000, properties: extra)
                #expect(added7)
            }
        }
        #expect(encoder.count == 10)
        let size = encoder.size
        let payload = encoder.finish()
        #expect(payload.readableBytes == size)
        #expect(encoder.count == 0 && encoder.size == 0)
        let (envelope, events) = try Self.events(payload)
        #expect(envelope.messageAnnotations.entries.isEmpty)
        #expect(events.count == 10)
        for (index, event) in events.enumerated() {
            #expect(event.body == .data([ByteBuffer(bytes: bodies[index / 2])]))
            #expect(event.messageAnnotations[symbol: "x-opt-partition-key"] == .string("web-1"))
            let properties = event.applicationProperties
            #expect(properties[string: "host"] == .string("web-1"))
            #expect(properties[string: "source"] == .string("/var/log/app/a.log"))
            #expect(properties[string: "input"] == .string("app"))
            if index % 2 == 0 {
                #expect(properties[string: "offset"] == .long(Int64(index / 2) << 33))
                #expect(properties[string: "timestamp"] == .timestamp(-1))
                #expect(properties.entries.count == 5)
            } else {
                #expect(properties[string: "offset"] == .long(7))
                #expect(properties[string: "timestamp"] == .timestamp(1_700_000_000_000))
                #expect(properties[string: "truncated"] == .long(.max))
                #expect(properties[string: "app"] == .string("é"))
                #expect(properties.entries.count == 8)
            }
        }
    }

    @Test func templatesOfEveryLengthAndBodiesOfEveryLengthAreExact() throws {
        for length in [0, 1, 100, 170, 180, 190, 200, 210, 220, 250, 255, 256, 300, 70000] {
            let source = String(repeating: "s", count: length)
            let template = EventTemplate(partitionKey: nil, properties: [("source", source)])
            for bodyLength in [0, 1, 255, 256, 1000] {
                let body = [UInt8](repeating: 5, count: bodyLength)
                var encoder = EventBatchEncoder(maximumSize: 1 << 20, partitionKey: "k")
                body.withUnsafeBytes {
                    let added = encoder.append(template, body: $0, offset: 1, timestamp: 2)
                    #expect(added)
                }
                let size = encoder.size
                var exact = EventBatchEncoder(maximumSize: size, partitionKey: "k")
                var tooSmall = EventBatchEncoder(maximumSize: size - 1, partitionKey: "k")
                body.withUnsafeBytes {
                    let added9 = exact.append(template, body: $0, offset: 1, timestamp: 2)
                    #expect(added9)
                    let added10 = tooSmall.append(template, body: $0, offset: 1, timestamp: 2)
                    #expect(!added10)
                }
                #expect(tooSmall.count == 0)
                let (envelope, events) = try Self.events(exact.finish())
                #expect(envelope.messageAnnotations.entries.count == 1)
                #expect(events.count == 1)
                #expect(events[0].applicationProperties[string: "source"] == .string(source))
                #expect(events[0].body == .data([ByteBuffer(bytes: body)]))
                // The envelope of the next batch has the key again, also in storage that is used again.
                exact.reuse(ByteBuffer(repeating: 3, count: 10))
                body.withUnsafeBytes {
                    let added = exact.append(template, body: $0, offset: 1, timestamp: 2)
                    #expect(added)
                }
                #expect(exact.size == size)
                #expect(try AMQPMessage(decoding: exact.finish()).messageAnnotations.entries.count == 1)
            }
        }
    }

    @Test func theLargestBodyFitsExactlyOnce() throws {
        var extra = EventProperties()
        Array("truncated".utf8).withUnsafeBytes { extra.append($0, long: 5) }
        for maximum in [1000, 2000, 262_144] {
            var encoder = EventBatchEncoder(maximumSize: maximum, partitionKey: "k")
            let largest = encoder.largestBody(Self.template, properties: extra)
            let body = [UInt8](repeating: 1, count: largest + 1)
            body.withUnsafeBytes {
                let tooLong = encoder.append(Self.template, body: $0, offset: 0, timestamp: 0, properties: extra)
                #expect(!tooLong)
                let cut = UnsafeRawBufferPointer(rebasing: $0.dropLast())
                let fits = encoder.append(Self.template, body: cut, offset: 0, timestamp: 0, properties: extra)
                #expect(fits)
            }
            #expect(encoder.size == maximum)
            encoder.removeAll()
            #expect(encoder.count == 0 && encoder.size == 30)
        }
        var small = EventBatchEncoder(maximumSize: 50)
        #expect(small.largestBody(Self.template, properties: extra) < 0)
        #expect(small.finish().readableBytes == 0)
    }
}
