import NIOCore
import TestSupport
import Testing

@testable import AMQP

@Suite struct ValueCodecTests {
    private func decode(_ text: String) throws -> AMQPValue {
        var buffer = hex(text)
        let value = try AMQPValue(decoding: &buffer)
        #expect(buffer.readableBytes == 0, "\(text)")
        return value
    }

    private func encode(_ value: AMQPValue) -> String {
        var buffer = ByteBuffer()
        value.encode(into: &buffer)
        return buffer.hex
    }

    /// Each row: the value, its smallest encoding, and the other encodings that must be read.
    private static let primitives: [(AMQPValue, String, [String])] = [
        (.null, "40", []),
        (.boolean(true), "41", ["5601"]),
        (.boolean(false), "42", ["5600"]),
        (.ubyte(200), "50c8", []),
        (.ushort(0x1234), "601234", []),
        (.uint(0), "43", ["5200", "7000000000"]),
        (.uint(255), "52ff", ["70000000ff"]),
        (.uint(256), "7000000100", []),
        (.ulong(0), "44", ["5300", "800000000000000000"]),
        (.ulong(16), "5310", ["800000000000000010"]),
        (.ulong(.max), "80ffffffffffffffff", []),
        (.byte(-1), "51ff", []),
        (.short(-2), "61fffe", []),
        (.int(-128), "5480", ["71ffffff80"]),
        (.int(128), "7100000080", []),
        (.long(127), "557f", ["81000000000000007f"]),
        (.long(.min), "818000000000000000", []),
        (.float(1.5), "723fc00000", []),
        (.double(-2), "82c000000000000000", []),
        (.decimal32(0x2250_0001), "7422500001", []),
        (.decimal64(7), "840000000000000007", []),
        (.decimal128(AMQPUUID(high: 1, low: 2)), "9400000000000000010000000000000002", []),
        (.char("é"), "73000000e9", []),
        (.timestamp(1_700_000_000_000), "830000018bcfe56800", []),
        (.uuid(AMQPUUID(high: 1, low: 2)), "9800000000000000010000000000000002", []),
        (.binary(ByteBuffer(bytes: [1, 2])), "a0020102", ["b0000000020102"]),
        (.string("é"), "a102c3a9", ["b100000002c3a9"]),
        (.symbol("ab"), "a3026162", ["b3000000026162"]),
        (.list([]), "45", ["c00100", "d00000000400000000"]),
        (.list([.null, .uint(1)]), "c00402405201", ["d0000000070000000240 5201"]),
        (.map(AMQPMap([.init(.symbol("k"), .uint(0))])), "c10502a3016b43", ["d10000000800000002a3016b43"]),
        (
            .array([.int(1), .int(2)]), "e00402540102",
            ["f00000000d00000002710000000100000002", "f0000000070000000254 0102"]
        ),
        (.array([]), "e0020040", ["e00100", "f0000000050000000040", "e00200a1"]),
        (.described(descriptor: .ulong(0x24), value: .list([])), "00532445", ["0080000000000000002445"]),
    ]

    @Test func everyEncodingIsReadAndTheSmallestIsWritten() throws {
        for (value, smallest, others) in Self.primitives {
            #expect(encode(value) == smallest)
            for text in [smallest] + others { #expect(try decode(text) == value, "\(text)") }
        }
    }

    @Test func longTextAndBinaryUseFourByteLengths() throws {
        for count in [255, 256, 70000] {
            for value in [
                AMQPValue.string(String(repeating: "x", count: count)), .symbol(String(repeating: "y", count: count)),
                .binary(ByteBuffer(repeating: 7, count: count)),
            ] {
                let text = encode(value)
                #expect(text.count / 2 == count + (count < 256 ? 2 : 5))
                #expect(try decode(text) == value)
            }
        }
    }

    @Test func compoundsSwitchToTheWideFormExactlyWhenSizeOrCountNeedIt() throws {
        // 127 ubytes: 254 bytes of content, size 255; one byte more needs four.
        let fits = AMQPValue.list(Array(repeating: .ubyte(1), count: 127))
        let exceeds = AMQPValue.list(Array(repeating: .ubyte(1), count: 127) + [.null])
        #expect(encode(fits).hasPrefix("c0ff7f"))
        #expect(encode(exceeds).hasPrefix("d000000103"))
        #expect(try decode(encode(fits)) == fits)
        #expect(try decode(encode(exceeds)) == exceeds)
        let many = AMQPValue.list(Array(repeating: .null, count: 300))
        #expect(try decode(encode(many)) == many)
    }

    @Test func arraysOfEveryElementTypeComeBack() throws {
        let arrays: [[AMQPValue]] = [
            [.null, .null], [.boolean(true), .boolean(false)], [.ubyte(1), .ubyte(255)], [.ushort(1), .ushort(2)],
            [.uint(0), .uint(255)], [.uint(0), .uint(256)], [.ulong(1), .ulong(0)], [.ulong(1), .ulong(.max)],
            [.byte(-1), .byte(1)], [.short(-1)], [.int(-128), .int(127)], [.int(-129)], [.long(5)],
            [.long(.max), .long(0)],
            [.float(1)], [.double(1), .double(2)], [.decimal32(1)], [.decimal64(1)],
            [.decimal128(AMQPUUID(high: 0, low: 1))], [.char("a"), .char("😀")], [.timestamp(-1)], [.uuid(AMQPUUID())],
            [.binary(ByteBuffer()), .binary(ByteBuffer(bytes: [1]))], [.binary(ByteBuffer(repeating: 1, count: 300))],
            [.string(""), .string("abc")], [.string(String(repeating: "z", count: 256))], [.symbol("a"), .symbol("b")],
            [.symbol(String(repeating: "z", count: 256)), .symbol("")],
            [.list([]), .list([.null, .string("x")])],
            [.list([.binary(ByteBuffer(repeating: 1, count: 300))]), .list([])],
            [.map(AMQPMap()), .map(AMQPMap([.init(.symbol("a"), .null)]))],
            [.array([]), .array([])], [.array([.int(1)]), .array([.string("different inside")])],
            [.array([.array([.uint(1)]), .array([])]), .array([])],
            [
                .described(descriptor: .symbol("d"), value: .int(1)),
                .described(descriptor: .symbol("d"), value: .int(1000)),
            ],
            [
                .described(descriptor: .ulong(1), value: .described(descriptor: .ulong(2), value: .list([.null]))),
                .described(descriptor: .ulong(1), value: .described(descriptor: .ulong(2), value: .list([]))),
            ],
        ]
        for array in arrays {
            let text = encode(.array(array))
            #expect(try decode(text) == .array(array), "\(text)")
        }
    }

    @Test func smallCompoundsInsideAnArrayShareTheSmallConstructor() throws {
        #expect(encode(.array([.list([.null]), .list([])])) == "e00702c0 0201 400100".filter { $0 != " " })
        #expect(try decode("e00702c00201400100") == .array([.list([.null]), .list([])]))
    }

    @Test func anArrayOfElementsWithoutBytesNeitherLoopsNorAllocates() {
        for constructor in ["40", "41", "42", "43", "44", "45"] {
            expectFailure("f000000005ffffffff" + constructor, .limitExceeded)
        }
        // The budget is one for the whole input: many arrays cannot add up.
        var buffer = ByteBuffer()
        for _ in 0..<100 { buffer.writeImmutableBuffer(hex("f0000000050000100040")) }
        var reader = AMQPReader(buffer)
        #expect(throws: AMQPCodecError.self) { while !reader.isAtEnd { _ = try reader.value() } }
    }

    @Test func countsAreHeldAgainstTheBytesAtHand() {
        expectFailure("d000000004ffffffff", .truncated)
        expectFailure("d100000004fffffffe", .truncated)
        expectFailure("f000000006ffffffff7100", .truncated)
        expectFailure("f0000000 06 ffffffff a100", .truncated)
        expectFailure("b0ffffffff", .truncated)
        expectFailure("a105616263", .truncated)
        expectFailure("c0ff0140", .truncated)
        expectFailure("c000", .truncated)
        expectFailure("", .truncated)
    }

    @Test func nestingHasALimit() {
        let levels = 100_000
        var lists = ByteBuffer()
        for _ in 0..<levels { lists.writeImmutableBuffer(hex("00")) }
        expectFailure(lists, .limitExceeded)
        var value = AMQPValue.null
        for _ in 0..<40 { value = .list([value]) }
        var buffer = ByteBuffer()
        value.encode(into: &buffer)
        expectFailure(buffer, .limitExceeded)
        var array = ByteBuffer()
        array.writeImmutableBuffer(hex("f0 00010000 00000001"))
        for _ in 0..<50000 { array.writeImmutableBuffer(hex("00 40")) }
        array.writeRepeatingByte(0, count: 70000)
        expectFailure(array, .limitExceeded)
        var skipped = AMQPReader(lists)
        #expect(throws: AMQPCodecError.self) { try skipped.skip() }
    }

    @Test func wrongBytesSayWhatAndWhere() {
        let error = expectFailure("c00402405602", .invalidValue)
        #expect(error?.offset == 5)
        #expect(error?.description.contains("byte 5") == true)
        expectFailure("5f", .unknownConstructor)
        expectFailure("7300d80000", .invalidValue)
        expectFailure("a102c328", .invalidValue)
        expectFailure("c1020140", .invalidValue)
        expectFailure("c00301 4040", .invalidValue)
        expectFailure("c00401 5370ff", .invalidValue)
    }

    @Test func skippingConsumesWhatReadingConsumes() throws {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<300 {
            var buffer = ByteBuffer()
            AMQPValue.random(using: &generator).encode(into: &buffer)
            buffer.writeInteger(0x41 as UInt8)
            var reader = AMQPReader(buffer)
            try reader.skip()
            #expect(reader.remaining == 1)
        }
    }

    @Test func randomValuesComeBack() throws {
        for var generator in [SeededGenerator(seed: 1), SeededGenerator(seed: 2), .fresh("random values")] {
            for _ in 0..<300 {
                let value = AMQPValue.random(using: &generator)
                var buffer = ByteBuffer()
                value.encode(into: &buffer)
                #expect(try AMQPValue(decoding: &buffer) == value)
                #expect(buffer.readableBytes == 0)
            }
        }
    }

    @Test func mutatedValuesNeverTrap() {
        for var generator in [SeededGenerator(seed: 3), SeededGenerator(seed: 4), .fresh("mutated values")] {
            for _ in 0..<1500 {
                var buffer = ByteBuffer()
                AMQPValue.random(using: &generator).encode(into: &buffer)
                var mutated = ByteBuffer(bytes: generator.mutate(Array(buffer.readableBytesView)))
                if let value = try? AMQPValue(decoding: &mutated) {
                    // What was read can be written, and reads the same again.
                    var again = ByteBuffer()
                    value.encode(into: &again)
                    #expect((try? AMQPValue(decoding: &again)).map { "\($0)" } == "\(value)")
                }
            }
        }
    }

    @discardableResult
    private func expectFailure(_ text: String, _ kind: AMQPCodecError.Kind) -> AMQPCodecError? {
        expectFailure(hex(text), kind)
    }

    @discardableResult
    private func expectFailure(_ bytes: ByteBuffer, _ kind: AMQPCodecError.Kind) -> AMQPCodecError? {
        var buffer = bytes
        do throws(AMQPCodecError) {
            let value = try AMQPValue(decoding: &buffer)
            Issue.record("\(bytes.readableBytes < 50 ? bytes.hex : "") was read as \(value)")
            return nil
        } catch {
            #expect(error.kind == kind, "\(error)")
            #expect(buffer == bytes)
            return error
        }
    }
}

extension AMQPValue {
    /// A random value; floats are never NaN, so that values can be compared.
    static func random(using generator: inout SeededGenerator, depth: Int = 0) -> AMQPValue {
        func text(_ generator: inout SeededGenerator) -> String {
            let count = Int.random(
                in: 0..<(Int.random(in: 0..<20, using: &generator) == 0 ? 300 : 12), using: &generator)
            return String((0..<count).map { _ in "aé日😀z ".randomElement(using: &generator) ?? "a" })
        }
        switch Int.random(in: 0..<(depth < 4 ? 26 : 21), using: &generator) {
        case 0: return .null
        case 1: return .boolean(.random(using: &generator))
        case 2: return .ubyte(.random(in: 0 ... .max, using: &generator))
        case 3: return .ushort(.random(in: 0 ... .max, using: &generator))
        case 4: return .uint(.random(in: 0...(Bool.random(using: &generator) ? 300 : .max), using: &generator))
        case 5: return .ulong(.random(in: 0...(Bool.random(using: &generator) ? 300 : .max), using: &generator))
        case 6: return .byte(.random(in: .min ... .max, using: &generator))
        case 7: return .short(.random(in: .min ... .max, using: &generator))
        case 8: return .int(.random(in: Bool.random(using: &generator) ? -150...150 : .min ... .max, using: &generator))
        case 9:
            return .long(.random(in: Bool.random(using: &generator) ? -150...150 : .min ... .max, using: &generator))
        case 10: return .float(.random(in: -1e9...1e9, using: &generator))
        case 11: return .double(.random(in: -1e9...1e9, using: &generator))
        case 12: return .decimal32(.random(in: 0 ... .max, using: &generator))
        case 13: return .decimal64(.random(in: 0 ... .max, using: &generator))
        case 14: return .decimal128(AMQPUUID(high: generator.next(), low: generator.next()))
        case 15: return .char("日")
        case 16: return .timestamp(.random(in: .min ... .max, using: &generator))
        case 17: return .uuid(AMQPUUID(high: generator.next(), low: generator.next()))
        case 18: return .binary(ByteBuffer(string: text(&generator)))
        case 19: return .string(text(&generator))
        case 20: return .symbol(text(&generator))
        case 21:
            return .list(
                (0..<Int.random(in: 0..<6, using: &generator)).map { _ in random(using: &generator, depth: depth + 1) })
        case 22:
            var map = AMQPMap()
            for _ in 0..<Int.random(in: 0..<4, using: &generator) {
                map.entries.append(
                    .init(
                        random(using: &generator, depth: depth + 1), random(using: &generator, depth: depth + 1)))
            }
            return .map(map)
        case 23:
            let element = random(using: &generator, depth: depth + 1)
            return .array(Array(repeating: element, count: Int.random(in: 0..<5, using: &generator)))
        default:
            return .described(
                descriptor: .symbol(text(&generator)), value: random(using: &generator, depth: depth + 1))
        }
    }
}
