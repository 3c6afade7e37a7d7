/// `boost::hash<std::string>` of Boost 1.82 and later with a 64-bit `size_t`. Sums wrap.
enum BoostHash {
    private static let step: UInt64 = 0x9E37_79B9_7F4A_7C15
    private static let factor = step &* step

    static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 {
        var weight = fold(step, factor)
        var hash = weight ^ UInt64(key.count)
        let blocks = key.count & ~7
        for offset in stride(from: 0, to: blocks, by: 8) {
            weight &+= step
            let block = UInt64(littleEndian: key.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            hash ^= fold(block &+ weight, factor)
        }
        // Once more for the rest, also when there is none.
        var tail: UInt64 = 0
        for offset in (blocks..<key.count).reversed() { tail = tail << 8 | UInt64(key[offset]) }
        weight &+= step
        hash ^= fold(tail &+ weight, factor)
        return fold(hash &+ weight, factor)
    }

    /// Both halves of the 128-bit product, one over the other.
    private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.low ^ product.high
    }
}
