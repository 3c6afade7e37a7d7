import NIOCore
import TestSupport
import Testing

@testable import Pulsar

@Suite struct BatchTests {
    private let none = EmptyCollection<UInt8>()

    private func messages(_ batch: ByteBuffer) throws(WireError) -> [BatchReader.Message] {
        var reader = BatchReader(batch)
        var messages: [BatchReader.Message] = []
        while let message = try reader.next() { messages.append(message) }
        return messages
    }

    @Test func theBatchOfTheOfficialClientIsReadAndWritten() throws {
        let recorded = try #require(try RecordedFrame.named("send_batch_of_3")?.decoded()?.payload?.payload)
        let messages = try messages(recorded)
        #expect(messages.map { String(buffer: $0.payload) } == ["alpha", "beta", ""])
        #expect(messages.map(\.metadata.sequenceID) == [0, 10, 1])
        #expect(messages.map(\.metadata.partitionKey) == ["a", "b", nil])
        #expect(messages[0].metadata.properties == [Property(key: "n", value: "1")])
        #expect(messages[0].metadata.eventTime == 1_700_000_000_001)

        var values = ByteBuffer()
        for message in messages {
            BatchEntryWriter.write(message.metadata, payload: message.payload, into: &values)
        }
        #expect(values == recorded)

        var direct = ByteBuffer()
        var entry = BatchEntryWriter(in: &direct)
        entry.property("n".utf8, "1".utf8, in: &direct)
        entry.end(
            partitionKey: "a".utf8, orderingKey: none, eventTime: 1_700_000_000_001, sequenceID: 0,
            payload: "alpha".utf8, in: &direct)
        entry = BatchEntryWriter(in: &direct)
        entry.end(partitionKey: "b".utf8, orderingKey: none, sequenceID: 10, payload: "beta".utf8, in: &direct)
        entry = BatchEntryWriter(in: &direct)
        entry.end(partitionKey: none, orderingKey: none, sequenceID: 1, payload: none, in: &direct)
        #expect(direct == recorded)
    }

    @Test func bothWaysOfWritingAMessageAgree() throws {
        for var generator in [SeededGenerator(seed: 3), .fresh("batch entries")] {
            for _ in 0..<500 {
                func text(_ counts: [Int]) -> String {
                    String(repeating: "é", count: counts.randomElement(using: &generator) ?? 0)
                }
                var metadata = SingleMessageMetadata(payloadSize: 0)
                for _ in 0..<Int.random(in: 0...3, using: &generator) {
                    metadata.properties.append(Property(key: text([0, 1, 63, 64]), value: text([0, 5, 8191, 8192])))
                }
                let key = text([0, 1, 100])
                let orderingKey = Array(text([0, 1, 100]).utf8)
                metadata.partitionKey = key.isEmpty ? nil : key
                metadata.orderingKey = orderingKey.isEmpty ? nil : orderingKey
                metadata.eventTime =
                    Bool.random(using: &generator) ? UInt64.random(in: 0 ... .max, using: &generator) : nil
                metadata.sequenceID =
                    Bool.random(using: &generator) ? UInt64.random(in: 0 ... .max, using: &generator) : nil
                let isNull = Bool.random(using: &generator)
                metadata.nullValue = isNull ? true : nil
                let payload = isNull ? "" : text([0, 1, 63, 64, 10_000])
                var values = ByteBuffer(string: "before")
                BatchEntryWriter.write(metadata, payload: ByteBuffer(string: payload), into: &values)

                var direct = ByteBuffer(string: "before")
                let entry = BatchEntryWriter(in: &direct)
                for property in metadata.properties {
                    entry.property(property.key.utf8, Array(property.value.utf8), in: &direct)
                }
                entry.end(
                    partitionKey: key.utf8, orderingKey: orderingKey, eventTime: metadata.eventTime,
                    sequenceID: metadata.sequenceID, hasNullValue: isNull, payload: payload.utf8, in: &direct)
                #expect(direct == values)
                metadata.payloadSize = Int32(payload.utf8.count)
                direct.moveReaderIndex(forwardBy: 6)
                #expect(
                    try messages(direct)
                        == [BatchReader.Message(metadata: metadata, payload: ByteBuffer(string: payload))])
            }
        }
    }

    @Test func aBatchThatEndsTooSoonIsAnError() throws {
        let recorded = try #require(try RecordedFrame.named("send_batch_of_3")?.decoded()?.payload?.payload)
        // The ends of its messages are 31 and 46; the third has no payload.
        for length in 1..<recorded.readableBytes where length != 31 && length != 46 {
            let cut = try #require(recorded.getSlice(at: recorded.readerIndex, length: length))
            #expect(throws: WireError.self) { try self.messages(cut) }
        }
        // A payload of a negative size.
        #expect(throws: WireError.self) {
            try self.messages(
                ByteBuffer(bytes: [0, 0, 0, 11, 0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]))
        }
    }

    @Test func checksumsOverPartsAreThoseOfTheWhole() {
        var crc = CRC32C()
        crc.update(ByteBuffer(string: "1234"))
        crc.update(ByteBuffer())
        crc.update(ByteBuffer(string: "56789"))
        #expect(crc.value == 0xE306_9283)
        var number = CRC32C()
        number.update(0x3132_3334)
        number.update(ByteBuffer(string: "56789"))
        #expect(number.value == 0xE306_9283)
    }
}
