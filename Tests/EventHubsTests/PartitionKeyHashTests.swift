import Testing

@testable import EventHubs

@Suite struct PartitionKeyHashTests {
    /// Key, the two words that the UTF-8 form hashes to (the Python form for keys beyond ASCII), then hash and index
    /// for 2, 3, 4, 5, 8, 10, 16 and 32 partitions: first as in Python, then as in the service.
    private static let vectors: [(String, UInt32, UInt32, Int16, [Int], Int16, [Int])] = [
        ("", 0xdeadbeef, 0xdeadbeef, 0, [0, 0, 0, 0, 0, 0, 0, 0], 0, [0, 0, 0, 0, 0, 0, 0, 0]),
        ("a", 0x58d68708, 0x582647ac, -16220, [0, 1, 0, 0, 4, 0, 4, 4], -16220, [0, 2, 0, 0, 4, 0, 12, 28]),
        ("A", 0x01014ba1, 0x10786e8c, 9517, [1, 1, 1, 2, 5, 7, 13, 13], 9517, [1, 1, 1, 2, 5, 7, 13, 13]),
        ("ab", 0xfbb3a8df, 0x6b79a0f2, 2093, [1, 2, 1, 3, 5, 3, 13, 13], 2093, [1, 2, 1, 3, 5, 3, 13, 13]),
        ("abc", 0x0e397631, 0x3c03be9e, -14161, [1, 2, 3, 4, 7, 9, 15, 15], -14161, [1, 1, 1, 1, 1, 1, 1, 17]),
        ("abcd", 0xb5f4889c, 0xe20dd3fa, 23398, [0, 1, 2, 3, 6, 8, 6, 6], 23398, [0, 1, 2, 3, 6, 8, 6, 6]),
        ("abcde", 0x026d72de, 0x03cd18df, 27137, [1, 2, 1, 2, 1, 7, 1, 1], 27137, [1, 2, 1, 2, 1, 7, 1, 1]),
        ("abcdef", 0xd6fa502e, 0x23a820a4, 28810, [0, 1, 2, 0, 2, 0, 10, 10], 28810, [0, 1, 2, 0, 2, 0, 10, 10]),
        ("abcdefg", 0xb11ad4a5, 0x59ac1d9d, -14024, [0, 1, 0, 1, 0, 6, 8, 24], -14024, [0, 2, 0, 4, 0, 4, 8, 8]),
        ("abcdefgh", 0x2995c3be, 0xc7969524, 22170, [0, 0, 2, 0, 2, 0, 10, 26], 22170, [0, 0, 2, 0, 2, 0, 10, 26]),
        ("abcdefghi", 0xac6572b4, 0xd99384ff, -2485, [1, 2, 3, 0, 3, 5, 11, 11], -2485, [1, 1, 1, 0, 5, 5, 5, 21]),
        ("abcdefghij", 0x8bf7d2ef, 0x4e0e3900, -5137, [1, 2, 3, 3, 7, 3, 15, 15], -5137, [1, 1, 1, 2, 1, 7, 1, 17]),
        ("abcdefghijk", 0x5f61edf8, 0x83d51874, -2676, [0, 0, 0, 4, 4, 4, 12, 12], -2676, [0, 0, 0, 1, 4, 6, 4, 20]),
        ("abcdefghijkl", 0x4012f87b, 0x75b50ec0, -2373, [1, 0, 3, 2, 3, 7, 11, 27], -2373, [1, 0, 1, 3, 5, 3, 5, 5]),
        (
            "abcdefghijklm", 0x928128f9, 0x0f04ab68, -31855, [1, 2, 1, 0, 1, 5, 1, 17], -31855,
            [1, 1, 3, 0, 7, 5, 15, 15]
        ),
        ("device-1", 0x9307b98b, 0x51eed12f, 26788, [0, 1, 0, 3, 4, 8, 4, 4], 26788, [0, 1, 0, 3, 4, 8, 4, 4]),
        ("device-2", 0xba2b2188, 0x9fa010c6, 12622, [0, 1, 2, 2, 6, 2, 14, 14], 12622, [0, 1, 2, 2, 6, 2, 14, 14]),
        ("device-42", 0x598dd653, 0xef067d87, -21548, [0, 1, 0, 2, 4, 2, 4, 20], -21548, [0, 2, 0, 3, 4, 8, 12, 12]),
        (
            "tenant/0001/host-a", 0xaba69f05, 0x39816201, -764, [0, 1, 0, 1, 4, 6, 4, 4], -764,
            [0, 2, 0, 4, 4, 4, 12, 28]
        ),
        ("7", 0xf7ca9c57, 0xaf025836, -15263, [1, 1, 1, 2, 1, 7, 1, 1], -15263, [1, 2, 3, 3, 7, 3, 15, 31]),
        ("149", 0xbbf6d999, 0xf3d72f9f, -2554, [0, 2, 2, 1, 6, 6, 6, 6], -2554, [0, 1, 2, 4, 2, 4, 10, 26]),
        ("7149", 0xea1df4d5, 0xadff7175, -31328, [0, 1, 0, 2, 0, 2, 0, 0], -31328, [0, 2, 0, 3, 0, 8, 0, 0]),
        ("7146b7", 0x19e46f54, 0x3d578926, -6542, [0, 1, 2, 3, 2, 8, 2, 18], -6542, [0, 2, 2, 2, 6, 2, 14, 14]),
        (
            "The quick brown fox jumps over the lazy dog", 0x64a2cd46, 0x627c4e79, -31937, [1, 1, 3, 3, 7, 3, 15, 31],
            -31937, [1, 2, 1, 2, 1, 7, 1, 1]
        ),
        (
            String(repeating: "x", count: 24), 0x4f26558e, 0x878bfa2d, -20573, [1, 1, 3, 2, 3, 7, 3, 3], -20573,
            [1, 2, 1, 3, 5, 3, 13, 29]
        ),
        (
            String(repeating: "x", count: 25), 0x18298975, 0x9da41fbe, -26933, [1, 1, 3, 2, 3, 7, 11, 11], -26933,
            [1, 2, 1, 3, 5, 3, 5, 21]
        ),
        (
            String(repeating: "x", count: 36), 0x094b9287, 0x19e7295f, -17448, [0, 0, 0, 2, 0, 2, 8, 24], -17448,
            [0, 0, 0, 3, 0, 8, 8, 8]
        ),
        (
            String(repeating: "x", count: 64), 0x136c983a, 0xd3b7ddf5, 17871, [1, 0, 3, 1, 7, 1, 15, 15], 17871,
            [1, 0, 3, 1, 7, 1, 15, 15]
        ),
        ("é", 0x5760acfb, 0x1efe57de, -1243, [1, 2, 1, 2, 5, 7, 5, 5], -24812, [0, 2, 0, 2, 4, 2, 12, 12]),
        ("日本語", 0x33f6e619, 0x728e4550, -23735, [1, 1, 1, 0, 1, 5, 9, 9], -23353, [1, 1, 1, 3, 1, 3, 9, 25]),
        ("ÿ", 0x2c43362b, 0xfc8b9906, -20691, [1, 0, 1, 4, 5, 9, 13, 13], 15399, [1, 0, 3, 4, 7, 9, 7, 7]),
        ("Ā", 0x3bcace31, 0x2b5f03f7, -12858, [0, 0, 2, 2, 6, 2, 6, 6], -7808, [0, 2, 0, 3, 0, 8, 0, 0]),
        ("😀", 0xd9d1c247, 0x36a54c50, -29161, [1, 2, 3, 4, 7, 9, 7, 23], -17126, [0, 2, 2, 1, 6, 6, 6, 6]),
    ]

    @Test func bothFormsGiveTheKnownHashesAndIndices() {
        #expect(Self.vectors.count >= 33)
        for (key, c, b, pythonHash, pythonIndices, serviceHash, serviceIndices) in Self.vectors {
            let scalars = key.unicodeScalars.map(\.value)
            let words = PartitionKeyHash.lookup3(count: scalars.count, of: scalars)
            #expect(words.c == c && words.b == b, "\(key)")
            #expect(PartitionKeyHash.python.hash(of: key) == pythonHash, "\(key)")
            #expect(PartitionKeyHash.service.hash(of: key) == serviceHash, "\(key)")
            for (position, count) in [2, 3, 4, 5, 8, 10, 16, 32].enumerated() {
                #expect(PartitionKeyHash.python.index(of: key, partitionCount: count) == pythonIndices[position])
                #expect(PartitionKeyHash.service.index(of: key, partitionCount: count) == serviceIndices[position])
            }
        }
    }
}
