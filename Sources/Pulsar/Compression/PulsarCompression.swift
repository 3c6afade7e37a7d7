/// What a producer does to a message's payload, or to a batch as a whole, before it is sent. Consumers undo it by
/// themselves.
///
/// A payload is sent compressed also where that made it larger, so that a consumer sees what was configured. Only an empty
/// one is left as it is.
public enum PulsarCompression: String, Sendable, CaseIterable {
    case none
    /// A zlib stream (RFC 1950) at zlib's usual level, by the system's zlib.
    case zlib
    /// A bare LZ4 block. Needs Debian's `liblz4-1` on the machine.
    case lz4
    /// One Zstandard frame at level 3. Needs Debian's `libzstd1` on the machine.
    case zstd
    /// Raw Snappy, without the framing format. Needs Debian's `libsnappy1v5` on the machine.
    case snappy
}
