import NIOCore
import TestSupport
import Testing

@testable import Pulsar

@Suite struct CompressorTests {
    private static let algorithms = PulsarCompression.allCases.filter { $0 != .none }

    /// What the official client 3.13.0 made of "abc" ten times.
    private static let recorded: [PulsarCompression: [UInt8]] = [
        .lz4: [0x3F, 0x61, 0x62, 0x63, 0x03, 0x00, 0x03, 0x50, 0x62, 0x63, 0x61, 0x62, 0x63],
        .zlib: [0x78, 0x9C, 0x4B, 0x4C, 0x4A, 0x4E, 0xC4, 0x8D, 0x00, 0xB2, 0x0C, 0x0B, 0x7D],
        .zstd: [
            0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x1E, 0x4D, 0x00, 0x00, 0x18, 0x61, 0x62, 0x63, 0x01, 0x00, 0x86, 0x6E, 0x08,
        ],
        .snappy: [0x1E, 0x08, 0x61, 0x62, 0x63, 0x6A, 0x03, 0x00],
    ]
    private static let plain = Array(repeatElement("abc", count: 10).joined().utf8)

    /// Of any length, none among them, and from well to badly compressible.
    private static func payload(_ random: inout SeededGenerator) -> ByteBuffer {
        let bits = UInt64.random(in: 0...255, using: &random) &* 0x0101_0101_0101_0101
        let count = Int.random(
            in: 0...([0, 1, 2, 30, 1000, 20_000].randomElement(using: &random) ?? 0), using: &random)
        var payload = ByteBuffer()
        while payload.readableBytes < count { payload.writeInteger(random.next() & bits) }
        return payload.readSlice(length: count) ?? ByteBuffer()
    }

    @Test(arguments: algorithms) func whatTheOfficialClientCompressedIsRead(_ compression: PulsarCompression) throws {
        let bytes = try #require(Self.recorded[compression])
        let output = try Compressor(compression).decompress(ByteBuffer(bytes: bytes), size: 30)
        #expect(Array(output.readableBytesView) == Self.plain)
    }

    @Test(arguments: algorithms) func theSameBytesComeOut(_ compression: PulsarCompression) throws {
        var input = ByteBuffer(bytes: Self.plain)
        let output = try Compressor(compression).compress(&input)
        #expect(Array(output.readableBytesView) == Self.recorded[compression])
        #expect(input.readableBytes == 0)
    }

    @Test(arguments: algorithms) func whatGoesInComesOut(_ compression: PulsarCompression) throws {
        let compressor = try Compressor(compression)
        for var random in [SeededGenerator(seed: 11), .fresh("whatGoesInComesOut \(compression)")] {
            try roundTrips(compressor, &random)
        }
    }

    private func roundTrips(_ compressor: Compressor, _ random: inout SeededGenerator) throws {
        for _ in 0..<300 {
            let payload = Self.payload(&random)
            var input = ByteBuffer(bytes: [1, 2, 3])
            input.writeImmutableBuffer(payload)
            input.moveReaderIndex(forwardBy: 3)
            let compressed = try compressor.compress(&input)
            #expect(input.readableBytes == 0)
            let output = try compressor.decompress(compressed, size: payload.readableBytes)
            #expect(output == payload, "seed \(random.seed)")
        }
    }

    @Test(arguments: algorithms) func damageIsAnErrorOrOtherBytesOfTheSameLength(_ compression: PulsarCompression)
        throws
    {
        let compressor = try Compressor(compression)
        for var random in [SeededGenerator(seed: 12), .fresh("damage \(compression)")] {
            try damaged(compressor, &random)
        }
    }

    private func damaged(_ compressor: Compressor, _ random: inout SeededGenerator) throws {
        var refused = 0
        for _ in 0..<1000 {
            let payload = Self.payload(&random)
            var input = payload
            let compressed = Array(try compressor.compress(&input).readableBytesView)
            let damaged = ByteBuffer(bytes: random.mutate(compressed))
            do {
                #expect(
                    try compressor.decompress(damaged, size: payload.readableBytes).readableBytes
                        == payload.readableBytes)
            } catch {
                #expect(error.code == .invalidMessage)
                refused += 1
            }
        }
        #expect(refused > 100, "seed \(random.seed)")
    }

    @Test(arguments: algorithms) func anotherLengthThanAnnouncedIsAnError(_ compression: PulsarCompression) throws {
        let compressor = try Compressor(compression)
        var input = ByteBuffer(bytes: Self.plain)
        let compressed = try compressor.compress(&input)
        for size in [-1, 0, 1, 29, 31, 1000, 65 << 20, .max] {
            #expect(throws: PulsarError.self, "\(size)") { try compressor.decompress(compressed, size: size) }
        }
        // As much as announced, and more behind it.
        #expect(throws: PulsarError.self) {
            try compressor.decompress(ByteBuffer(bytes: Array(compressed.readableBytesView) + [0, 0, 0]), size: 30)
        }
        #expect(throws: PulsarError.self) { try compressor.decompress(ByteBuffer(), size: 30) }
    }

    @Test func withoutCompressionTheBytesStayWhatTheyAre() throws {
        let compressor = try Compressor(.none)
        var input = ByteBuffer(bytes: Self.plain)
        let output = try compressor.compress(&input)
        #expect(input.readableBytes == 0)
        #expect(try compressor.decompress(output, size: 30) == ByteBuffer(bytes: Self.plain))
    }

    @Test(arguments: algorithms) func manyThreadsCompressAtOnce(_ compression: PulsarCompression) async throws {
        let compressor = try Compressor(compression)
        let wrong = await withTaskGroup(of: Int.self) { group in
            for task in 0..<8 {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(task))
                    return (0..<100).count { _ in
                        let payload = Self.payload(&random)
                        var input = payload
                        guard let compressed = try? compressor.compress(&input),
                            let output = try? compressor.decompress(compressed, size: payload.readableBytes)
                        else { return true }
                        return output != payload
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }

    @Test func aLibraryThatIsNotThereIsNamedWithItsPackage() {
        func expect(_ package: String, _ load: () throws -> Void) {
            let error = #expect(throws: PulsarError.self) { try load() }
            #expect(error?.code == .notSupported)
            #expect(error?.message.contains("libabsent.so.9") == true)
            #expect(error?.message.contains("install Debian's \(package)") == true, "\(error?.message ?? "")")
        }
        expect("liblz4-1") { _ = try LZ4Codec.Library("libabsent.so.9") }
        expect("libzstd1") { _ = try ZstdCodec.Library("libabsent.so.9") }
        expect("libsnappy1v5") { _ = try SnappyCodec.Library("libabsent.so.9") }
    }

    @Test func anotherLibraryOfThatNameIsAnError() {
        let error = #expect(throws: PulsarError.self) { try LZ4Codec.Library("libz.so.1") }
        #expect(
            error?.message == "libz.so.1 has no function LZ4_compressBound: it is not the library that it should be")
    }
}
