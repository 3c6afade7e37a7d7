/// MurmurHash3, x86 32-bit, seed 0.
enum MurmurHash3 {
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt32 {
        var hash: UInt32 = 0
        let blocks = key.count & ~3
        for offset in stride(from: 0, to: blocks, by: 4) {
            hash ^= scramble(UInt32(littleEndian: key.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            hash = rotate(hash, 13) &* 5 &+ 0xE654_6B64
        }
        var tail: UInt32 = 0
        for offset in (blocks..<key.count).reversed() { tail = tail << 8 | UInt32(key[offset]) }
        hash ^= scramble(tail)  // 0 stays 0
        hash ^= UInt32(truncatingIfNeeded: key.count)
        hash = (hash ^ hash >> 16) &* 0x85EB_CA6B
        hash = (hash ^ hash >> 13) &* 0xC2B2_AE35
        return hash ^ hash >> 16
    }

    private static func scramble(_ block: UInt32) -> UInt32 { rotate(block &* 0xCC9E_2D51, 15) &* 0x1B87_3593 }

    private static func rotate(_ value: UInt32, _ bits: UInt32) -> UInt32 { value << bits | value >> (32 - bits) }
}
