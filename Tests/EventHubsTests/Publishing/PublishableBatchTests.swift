import AMQP
import NIOCore
import TestSupport
import Testing

@testable import EventHubs

@Suite struct PublishableBatchTests {
    private static let stamp = PublishingStamp(producerGroupID: 0x1122, ownerLevel: 7, firstNumber: .max - 1)

    /// The numbers in a message's events, read by the ordinary decoder.
    private func numbers(_ payload: ByteBuffer) throws -> [Int32] {
        var result: [Int32] = []
        for event in try events(payload) {
            #expect(event.messageAnnotations[symbol: EventHubsName.producerID] == .long(Self.stamp.producerGroupID))
            #expect(event.messageAnnotations[symbol: EventHubsName.producerEpoch] == .short(Self.stamp.ownerLevel))
            guard case .int(let number)? = event.messageAnnotations[symbol: EventHubsName.producerSequenceNumber] else {
                Issue.record("an event without a number")
                continue
            }
            result.append(number)
        }
        return result
    }

    private func events(_ payload: ByteBuffer) throws -> [AMQPMessage] {
        guard case .data(let pieces) = try AMQPMessage(decoding: payload).body else { return [] }
        return try pieces.map { try AMQPMessage(decoding: $0) }
    }

    @Test func everyEventGetsItsNumberAndNothingElseChanges() throws {
        for var random in [SeededGenerator(seed: 31), .fresh("publishable batch")] {
            for _ in 0..<200 {
                var batch = EventDataBatch(maximumSizeInBytes: 1 << 20, partitionID: "0", reservesNumbers: true)
                let count = Int.random(in: 1...20, using: &random)
                var added: [EventData] = []
                for _ in 0..<count {
                    var event = EventData(
                        body: ByteBuffer(repeating: 0x81, count: Int.random(in: 0...400, using: &random)))
                    if Bool.random(using: &random) { event.partitionKey = "key" }
                    if Int.random(in: 0..<4, using: &random) == 0 {
                        event.annotations[symbol: "x-opt-long"] = .string(String(repeating: "ü", count: 200))
                        // An old number, as an event that was received may bear it.
                        event.annotations[symbol: EventHubsName.producerSequenceNumber] = .int(5)
                    }
                    if Bool.random(using: &random) { event.properties[string: "n"] = .int(1) }
                    if Int.random(in: 0..<4, using: &random) == 0 {
                        var message = event.message
                        message.header = AMQPMessage.Header()
                        message.header?.durable = true
                        message.deliveryAnnotations[symbol: "d"] = .uint(3)
                        event = EventData(message)
                    }
                    #expect(try batch.tryAdd(event))
                    added.append(event)
                }
                let publishable = PublishableBatch(batch.payload, count: count)
                #expect(publishable.firstNumber == nil)
                let stamped = try #require(publishable.stamped(Self.stamp))
                #expect(stamped.readableBytes == batch.sizeInBytes)
                #expect(try numbers(stamped) == (0..<count).map { PublishingNumber.advanced(.max - 1, by: $0) })
                let bodies = try events(stamped).map(\.body)
                #expect(bodies == added.map(\.message.body))
                #expect(publishable.stamped(Self.stamp) == stamped)
                #expect(publishable.firstNumber == Int32.max - 1)
                // The caller's own batch stays as it was.
                #expect(batch.payload != stamped)
            }
        }
    }

    @Test func whatATemplateEncodesCanBeNumbered() throws {
        for key in [nil, "host"] as [String?] {
            let template = EventTemplate(partitionKey: key, properties: [("host", "a")], reservesNumbers: true)
            let other = EventTemplate(
                partitionKey: key, properties: [("source", String(repeating: "s", count: 300))], reservesNumbers: true)
            var encoder = EventBatchEncoder(maximumSize: 1 << 16)
            var extra = EventProperties()
            Array("severity".utf8).withUnsafeBytes { name in
                Array("info".utf8).withUnsafeBytes { extra.append(name, string: $0) }
            }
            let body = [UInt8](repeating: 0x61, count: 300)
            body.withUnsafeBytes { body in
                for index in 0..<9 {
                    let isAdded =
                        switch index % 3 {
                        case 0: encoder.append(template, body: body, offset: 1, timestamp: 2)
                        case 1: encoder.append(other, body: body, offset: 1, timestamp: 2)
                        default: encoder.append(template, body: body, offset: 1, timestamp: 2, properties: extra)
                        }
                    #expect(isAdded)
                }
            }
            let batch = PublishableBatch(encoder.finish(), count: 9)
            let stamped = try #require(batch.stamped(Self.stamp))
            #expect(try numbers(stamped) == (0..<9).map { PublishingNumber.advanced(.max - 1, by: $0) })
            for event in try events(stamped) {
                #expect(event.messageAnnotations[symbol: EventHubsName.partitionKey] == key.map(AMQPValue.string))
            }
        }
    }

    /// The encoder writes the numbers that are to be expected; the publisher writes others over them when it must.
    @Test func whatWasForecastIsThereAlready() throws {
        let template = EventTemplate(partitionKey: "k", properties: [("host", "a")], reservesNumbers: true)
        let forecast = PublishingForecast()
        var encoder = EventBatchEncoder(maximumSize: 1 << 16)
        func encode(_ count: Int, from stamp: PublishingStamp?) -> (ByteBuffer, PublishingStamp?) {
            encoder.number(from: stamp)
            let body: [UInt8] = [1, 2, 3]
            body.withUnsafeBytes { body in
                for index in 0..<count {
                    var properties = EventProperties()
                    body.withUnsafeBytes { properties.append($0, long: 1) }
                    let isAdded =
                        index % 2 == 0
                        ? encoder.append(template, body: body, offset: 1, timestamp: 2)
                        : encoder.append(template, body: body, offset: 1, timestamp: 2, properties: properties)
                    #expect(isAdded)
                }
            }
            let stamp = encoder.stamp
            return (encoder.finish(), stamp)
        }

        #expect(forecast.stamp(at: 0) == nil)
        let (first, none) = encode(5, from: nil)
        #expect(none == nil)
        let one = PublishableBatch(first, count: 5, written: none, forecast: (forecast, 0))
        #expect(try numbers(try #require(one.stamped(Self.stamp))) == [.max - 1, .max, 0, 1, 2])

        let (second, expected) = encode(3, from: forecast.stamp(at: 5))
        #expect(try numbers(second) == [3, 4, 5])
        let two = PublishableBatch(second, count: 3, written: expected, forecast: (forecast, 5))
        #expect(two.firstNumber == nil)
        var stamp = Self.stamp
        stamp.firstNumber = 3
        #expect(two.stamped(stamp) == second)
        #expect(two.firstNumber == 3)

        // Something came between: what was expected is not what they get, and the next ones follow that.
        let (third, wrong) = encode(2, from: forecast.stamp(at: 8))
        #expect(try numbers(third) == [6, 7])
        let three = PublishableBatch(third, count: 2, written: wrong, forecast: (forecast, 8))
        stamp.firstNumber = 100
        #expect(try numbers(try #require(three.stamped(stamp))) == [100, 101])
        #expect(forecast.stamp(at: 10)?.firstNumber == 102)
        #expect(forecast.stamp(at: 7) == nil)
        // The encoder forgets with the batch.
        let (fourth, forgotten) = encode(1, from: nil)
        #expect(forgotten == nil)
        #expect(PublishableBatch(fourth, count: 1).firstNumber == nil)
    }

    @Test func eventsWithoutRoomMakeABatchWithoutNumbers() {
        var encoder = EventBatchEncoder(maximumSize: 1 << 16)
        let bare = EventTemplate(partitionKey: nil, properties: [])
        let numbered = EventTemplate(partitionKey: nil, properties: [], reservesNumbers: true)
        encoder.number(from: Self.stamp)
        for template in [numbered, bare, numbered] {
            let empty = UnsafeRawBufferPointer(start: nil, count: 0)
            let isAdded = encoder.append(template, body: empty, offset: 0, timestamp: 0)
            #expect(isAdded)
        }
        #expect(encoder.stamp == nil)
    }

    @Test func aBatchWithoutRoomForNumbersIsRefused() throws {
        var batch = EventDataBatch(maximumSizeInBytes: 1 << 20, partitionID: "0")
        #expect(try batch.tryAdd(EventData("x")))
        #expect(PublishableBatch(batch.payload, count: 1).stamped(Self.stamp) == nil)
        var reserved = EventDataBatch(maximumSizeInBytes: 1 << 20, partitionID: "0", reservesNumbers: true)
        #expect(try reserved.tryAdd(EventData("x")))
        #expect(PublishableBatch(reserved.payload, count: 2).stamped(Self.stamp) == nil)
    }

    @Test func noBytesMakeTheWriterTrap() throws {
        for var random in [SeededGenerator(seed: 41), .fresh("stamped bytes")] {
            var batch = EventDataBatch(maximumSizeInBytes: 1 << 20, partitionID: "0", reservesNumbers: true)
            for index in 0..<4 { #expect(try batch.tryAdd(EventData("event \(index)"))) }
            for _ in 0..<3000 {
                var bytes = batch.payload
                for _ in 0..<Int.random(in: 1...5, using: &random) {
                    bytes.setInteger(
                        UInt8.random(in: 0 ... .max, using: &random),
                        at: Int.random(in: 0..<bytes.readableBytes, using: &random))
                }
                let size = bytes.readableBytes
                if let stamped = PublishableBatch(bytes, count: 4).stamped(Self.stamp) {
                    #expect(stamped.readableBytes == size)
                }
            }
        }
    }
}
