import NIOCore
import TestSupport
import Testing

@testable import Pulsar

@Suite struct ProtobufTests {
    private func fields(_ bytes: [UInt8]) throws(WireError) -> [ProtobufField] {
        var reader = ProtobufReader(ByteBuffer(bytes: bytes))
        var fields: [ProtobufField] = []
        while let field = try reader.next() { fields.append(field) }
        return fields
    }

    private func kind(_ bytes: [UInt8]) -> WireError.Kind? {
        do throws(WireError) {
            _ = try fields(bytes)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test func numbersOfEveryLengthAreWrittenAndRead() throws {
        for bits in 0...64 {
            let value = bits == 64 ? UInt64.max : 1 << bits
            for number in [value, value &- 1] {
                var buffer = ByteBuffer()
                buffer.varint(number)
                #expect(buffer.readableBytes == ProtobufLength.varint(number))
                #expect(try fields([0x08] + Array(buffer.readableBytesView)).first?.uint64 == number)
            }
        }
    }

    @Test func aNegativeNumberTakesTenBytes() throws {
        let wanted: [UInt8] = [0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]
        for write in [{ $0.field(3, Int32(-1)) }, { $0.field(3, Int64(-1)) }] as [(inout ByteBuffer) -> Void] {
            var buffer = ByteBuffer()
            write(&buffer)
            #expect(Array(buffer.readableBytesView) == wanted)
        }
        let field = try #require(try fields(wanted).first)
        #expect(field.int32 == -1)
        #expect(field.int64 == -1)
        #expect(field.bool == true)
    }

    @Test func fieldsOfEveryWireTypeAreReadOrPassedOver() throws {
        let found = try fields([
            0x08, 0x07, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1A, 2, 0x68, 0x69, 0x25, 1, 2, 3, 4, 0x8A, 0x01, 0,
        ])
        #expect(found.map(\.number) == [1, 2, 3, 4, 17])
        #expect(found[0].uint64 == 7)
        #expect(found[0].string == nil)
        #expect(found[1].uint64 == nil)
        #expect(found[2].string == "hi")
        #expect(found[2].uint32 == nil)
        #expect(found[4].bytes == [])
    }

    @Test func whatIsNoFieldIsAnError() {
        #expect(kind([0x08]) == .truncated)
        #expect(kind([0x80]) == .truncated)
        #expect(kind([0x0A, 3, 1, 2]) == .truncated)
        #expect(kind([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]) == .truncated)
        #expect(kind([0x09, 1, 2, 3, 4, 5, 6, 7]) == .truncated)
        #expect(kind([0x0D, 1, 2, 3]) == .truncated)
        #expect(kind([0x08] + Array(repeating: 0x80, count: 10) + [0]) == .malformedField)
        for group in [0x0B, 0x0C, 0x0E, 0x0F] as [UInt8] { #expect(kind([group]) == .malformedField) }
        #expect(kind([0x00, 1]) == .malformedField)
        #expect(kind([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]) == .malformedField)
    }
}
