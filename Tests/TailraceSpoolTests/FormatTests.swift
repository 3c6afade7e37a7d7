import CTailrace
import Glibc
import TestSupport
import Testing

@testable import TailraceSpool

/// Writes the format from its specification, without the module's own encoder: what version 1 is, for ever.
struct ByHand {
    var bytes: [UInt8] = []

    mutating func add<T: FixedWidthInteger>(_ value: T) {
        for shift in stride(from: 0, to: T.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func add(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func pad(to multiple: Int) { while bytes.count % multiple != 0 { bytes.append(0) } }

    static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        var sum: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? 0x82F6_3B78 ^ (sum >> 1) : sum >> 1 }
        }
        return ~sum
    }

    static func segmentHeader(generation: UInt64, first: UInt64, previousEnd: UInt64) -> [UInt8] {
        var header = ByHand()
        header.add("TRSPOOL\n")
        header.add(UInt8(1))
        header.bytes += [UInt8](repeating: 0, count: 7)
        header.add(generation)
        header.add(first)
        header.add(previousEnd)
        header.add(Int64(1_700_000_000_000))
        header.bytes += [UInt8](repeating: 0, count: 12)
        header.add(crc32c(header.bytes))
        return header.bytes
    }

    static func frame(
        kind: UInt8, flags: UInt8, generation: UInt64, first: UInt64, committed: UInt64, time: Int64 = 0,
        baseOffset: UInt64 = 0, records: UInt32 = 0, attributes: UInt32 = 0, context: UInt32 = 0, value: UInt32 = 0,
        block: UInt32 = 0, key: UInt16 = 0, payload: [UInt8]
    ) -> [UInt8] {
        var frame = ByHand()
        frame.add("TRFR")
        frame.add(UInt8(1))
        frame.add(kind)
        frame.add(flags)
        frame.add(UInt8(0))
        frame.add(generation)
        frame.add(first)
        frame.add(committed)
        frame.add(time)
        frame.add(baseOffset)
        frame.add(records)
        frame.add(attributes)
        frame.add(context)
        frame.add(value)
        frame.add(block)
        frame.add(key)
        frame.add(UInt16(0))
        frame.add(crc32c(payload))
        frame.add(crc32c(frame.bytes))
        frame.bytes += payload
        frame.pad(to: 8)
        return frame.bytes
    }
}

@Suite struct FormatTests {
    @Test func theChecksumIsCRC32C() {
        let bytes = Array("123456789".utf8)
        #expect(bytes.withUnsafeBytes { checksum(of: $0) } == 0xE306_9283)
        #expect(ByHand.crc32c(bytes) == 0xE306_9283)
    }

    /// Long inputs are taken in stretches side by side, or folded by 256 bytes: lengths around the borders of both, from
    /// every alignment.
    @Test func theChecksumIsTheSameHoweverLongItsInputIs() {
        var random = SeededGenerator(seed: 7)
        let bytes = (0..<10_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        let lengths = [
            255, 256, 257, 511, 512, 513, 527, 767, 768, 769, 1023, 1024, 3071, 3072, 3073, 3080, 6143, 6144, 6151,
            9216, 9984,
        ]
        for length in lengths + (0..<40).map({ _ in Int.random(in: 0...9984, using: &random) }) {
            let start = Int.random(in: 0...16, using: &random)
            let part = Array(bytes[start..<start + length])
            let sum = ByHand.crc32c(part)
            #expect(part.withUnsafeBytes { checksum(of: $0) } == sum, "\(length) bytes")
            for way in 1...tailrace_crc32c_ways() {
                #expect(tailrace_crc32c_in_way(way, 0, part, part.count) == sum, "\(length) bytes, way \(way)")
            }
        }
    }

    @Test func aSpoolWrittenFromTheSpecificationIsRead() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        mkdir(settings.directory, 0o700)

        var checkpoint = ByHand()
        checkpoint.add(UInt16(3))
        checkpoint.add(UInt16(0))
        checkpoint.add(UInt32(2))
        checkpoint.add("oldat")

        var payload = ByHand()
        payload.add("context")
        payload.add("key")
        payload.add("value")
        payload.pad(to: 4)
        payload.add(UInt32(1))
        payload.add(UInt32(10))
        payload.add(UInt32(4))
        payload.add(UInt32(0))
        payload.add(UInt32(5))
        payload.add(UInt32(6))
        payload.add(UInt32(3) | 1 << 28)
        payload.add("first\ntwo\nattr")

        let file =
            ByHand.segmentHeader(generation: 5, first: 100, previousEnd: 98)
            + ByHand.frame(
                kind: 2, flags: 2, generation: 5, first: 100, committed: 100, block: UInt32(checkpoint.bytes.count),
                payload: checkpoint.bytes)
            + ByHand.frame(
                kind: 1, flags: 1, generation: 5, first: 100, committed: 100, time: 1234, baseOffset: 4711, records: 2,
                attributes: 1, context: 7, value: 5, block: 14, key: 3, payload: payload.bytes)
            + ByHand.frame(kind: 3, flags: 0, generation: 5, first: 102, committed: 102, payload: [])
        writeFile("\(settings.directory)/00000000000000000005.spool", file + [UInt8](repeating: 0, count: 4096))

        let spool = try openSpool(settings)
        #expect(spool.recovery.isClean)
        #expect(spool.statistics().firstSequence == 100)
        #expect(spool.statistics().nextSequence == 102)
        #expect(spool.positions() == [key("old"): Array("at".utf8), key("key"): Array("value".utf8)])
        let reader = try spool.reader(from: 100)
        let frame = try #require(try reader.next())
        #expect(text(frame.context) == "context")
        #expect(frame.time == 1234 && frame.baseOffset == 4711)
        #expect(text(frame.body(0)) == "first" && text(frame.body(1)) == "two")
        #expect(frame.entry(0).flags == [] && frame.entry(1).flags == .truncated)
        #expect(frame.attributes(of: 0).isEmpty && text(frame.attributes(of: 1)) == "attr")
        #expect(try reader.next() == nil)
    }

    @Test func whatIsWrittenIsWhatTheSpecificationSays() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        let spool = try openSpool(settings)
        let sent = batch(["first"], source: "key", position: "value")
        sent.context = Array("context".utf8)
        sent.baseOffset = 9
        try spool.append(sent)
        #expect(spool.flush())
        spool.close()
        let bytes = readFile("\(settings.directory)/00000000000000000001.spool")
        var payload = ByHand()
        payload.add("contextkeyvalue")
        payload.pad(to: 4)
        payload.add(UInt32(0))
        payload.add(UInt32(5))
        payload.add("first")
        var expected = ByHand.segmentHeader(generation: 1, first: 0, previousEnd: 0)
        // The time of creation is the clock's, and the checksum follows it.
        expected.replaceSubrange(40..<48, with: bytes[40..<48])
        expected.replaceSubrange(60..<64, with: bytes[60..<64])
        expected += ByHand.frame(kind: 2, flags: 2, generation: 1, first: 0, committed: 0, payload: [])
        expected += ByHand.frame(
            kind: 1, flags: 1, generation: 1, first: 0, committed: 0, time: 1_700_000_000_000, baseOffset: 9,
            records: 1, context: 7, value: 5, block: 5, key: 3, payload: payload.bytes)
        expected += ByHand.frame(kind: 3, flags: 0, generation: 1, first: 1, committed: 1, payload: [])
        #expect(Array(bytes[..<expected.count]) == expected)
        #expect(bytes[expected.count...].allSatisfy { $0 == 0 })
    }
}
