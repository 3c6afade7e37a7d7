import NIOCore
import Testing

@testable import Pulsar

@Suite struct BatchTests {
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

        var written = ByteBuffer()
        for message in messages { written.writeMessage(message.metadata, payload: message.payload) }
        #expect(written == recorded)
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
