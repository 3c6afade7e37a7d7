/// How a message's key becomes a number, and by that a partition: number modulo partition count.
///
/// Every producer of a topic must use the same one, or the messages of one key are spread over several partitions.
/// A topic that grows more partitions moves most keys.
public enum PulsarHashing: Sendable, CaseIterable {
    /// MurmurHash3 in its x86 32-bit form, seed 0, over the key's UTF-8: the same in the Java, Go and C++ clients, so
    /// the right one when they share a topic.
    case murmur3

    /// Java's `String.hashCode()`, as the Java client has it by default: over UTF-16 code units. The C++ client hashes
    /// signed UTF-8 bytes and Go unsigned ones under the same name, so they agree with Java for ASCII keys only.
    case javaString

    /// What `boost::hash` makes of a string since Boost 1.82 on 64-bit machines: the C++ and Python clients' default.
    /// Clients that were built with an older Boost, or for 32 bits, put keys elsewhere.
    case boost

    /// The hash's lowest 31 bits.
    package func hash(_ key: String) -> UInt32 {
        if case .javaString = self { return JavaStringHash.hash(key.utf16) & 0x7FFF_FFFF }
        var key = key
        return key.withUTF8 { hash(UnsafeRawBufferPointer($0)) }
    }

    /// The same of a key's UTF-8. Where `javaString` meets bytes that are not UTF-8, it takes U+FFFD for them, as Java
    /// does when it reads the key.
    package func hash(_ key: UnsafeRawBufferPointer) -> UInt32 {
        let hash =
            switch self {
            case .murmur3: MurmurHash3.hash(key)
            case .javaString: JavaStringHash.hash(utf8: key)
            case .boost: UInt32(truncatingIfNeeded: BoostHash.hash(key))
            }
        return hash & 0x7FFF_FFFF
    }

    package func partition(of key: String, count: Int) -> Int { Int(hash(key)) % count }
    package func partition(of key: UnsafeRawBufferPointer, count: Int) -> Int { Int(hash(key)) % count }
}
