import TestSupport
import Testing

@testable import Pulsar

@Suite struct PulsarHashingTests {
    /// Key, `String.hashCode()` as Java computes it, Murmur3 (31 bits each), and Boost's whole 64 bits.
    private static let vectors: [(key: String, java: UInt32, murmur3: UInt32, boost: UInt64)] = [
        ("", 0, 0, 0x1C97_DA6F_7F24_EBA6),
        ("a", 97, 1009084850, 0x5DC9_4FB3_FF4E_CD1C),
        ("b", 98, 366902787, 0x9DE0_3E12_F544_9CD8),
        ("ab", 3105, 465557343, 0xE367_CA63_07ED_7876),
        ("abc", 96354, 870159354, 0x233D_0900_C00A_BCFD),
        ("abcd", 2987074, 1139631978, 0x6E7B_505F_8EB3_9B62),
        ("abcde", 92599395, 1755028214, 0x1E00_D3C0_94FE_9B85),
        ("hello", 99162322, 613153351, 0x4749_80AF_E7D9_40B9),
        ("key-1", 101943363, 414258592, 0x28E9_3F2A_E58D_FC19),
        ("key-2", 101943364, 1945654540, 0x646D_ED94_A2BB_4574),
        ("key1", 3288498, 462881061, 0x6802_95E7_7B72_867A),
        ("key2", 3288499, 1936800180, 0x4906_C47A_84AB_3BE5),
        ("order-12345", 478832884, 1785094598, 0x23D7_404B_9A9B_591E),
        ("pulsar", 1170364285, 5536699, 0xDBDC_F4A5_3460_A0D4),
        ("0123456789", 1584875013, 1891213601, 0xF1AF_4888_1966_24F6),
        ("The quick brown fox", 408147619, 1621279277, 0xCDC4_F742_F80D_804F),
        ("host-01.example.com", 1965567317, 404465267, 0x2E98_9E98_912E_8237),
        ("keykeykeykeykey1", 434058482, 19350382, 0x4EB3_E598_1E17_1919),
        (String(repeating: "x", count: 33), 1954484344, 2095705298, 0x7874_636D_0594_039F),
        ("é", 233, 269551495, 0xAB38_07FC_94BE_52C9),
        ("日本語", 25921943, 631534231, 0x3C72_77BB_8120_4709),
    ]

    @Test func everyKnownKeyHasItsHashes() {
        #expect(Self.vectors.count == 21)
        for vector in Self.vectors {
            var key = vector.key
            #expect(PulsarHashing.javaString.hash(key) == vector.java, "\(key)")
            #expect(PulsarHashing.murmur3.hash(key) == vector.murmur3, "\(key)")
            #expect(PulsarHashing.boost.hash(key) == UInt32(truncatingIfNeeded: vector.boost & 0x7FFF_FFFF), "\(key)")
            key.withUTF8 { #expect(BoostHash.hash(UnsafeRawBufferPointer($0)) == vector.boost) }
        }
    }

    @Test func bytesAndTextHashTheSame() {
        var random = SeededGenerator.fresh("bytesAndTextHashTheSame")
        for _ in 0..<2000 {
            let scalars = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                Unicode.Scalar(UInt32.random(in: 0..<0x11_0000, using: &random)) ?? "x"
            }
            var text = ""
            text.unicodeScalars.append(contentsOf: scalars)
            for hashing in PulsarHashing.allCases {
                let ofBytes = Array(text.utf8).withUnsafeBytes { hashing.hash($0) }
                #expect(hashing.hash(text) == ofBytes, "seed \(random.seed)")
                #expect(ofBytes < 1 << 31)
            }
        }
    }

    @Test func bytesThatAreNotTextHashAsJavaWouldReadThem() {
        let bytes: [UInt8] = [0x61, 0xFF, 0x62]
        #expect(
            bytes.withUnsafeBytes { PulsarHashing.javaString.hash($0) } == PulsarHashing.javaString.hash("a\u{FFFD}b"))
    }

    @Test func aKeyAtAnyAddressHashesTheSame() {
        let key = Array("The quick brown fox jumps".utf8)
        for hashing in PulsarHashing.allCases {
            let expected = key.withUnsafeBytes { hashing.hash($0) }
            for shift in 1..<8 {
                let moved = [UInt8](repeating: 0, count: shift) + key
                #expect(
                    moved.withUnsafeBytes { hashing.hash(UnsafeRawBufferPointer(rebasing: $0[shift...])) } == expected)
            }
        }
    }
}
