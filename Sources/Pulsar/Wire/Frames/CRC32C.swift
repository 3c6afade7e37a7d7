import CTailrace
package import NIOCore

/// CRC-32C over parts that are not in one piece.
package struct CRC32C: Sendable {
    package private(set) var value: UInt32 = 0

    package init() {}

    package mutating func update(_ bytes: ByteBuffer) {
        let seed = value
        value = bytes.withUnsafeReadableBytes { tailrace_crc32c(seed, $0.baseAddress, $0.count) }
    }

    /// Of the number as it stands in a frame, big-endian.
    package mutating func update(_ number: UInt32) {
        let seed = value
        value = withUnsafeBytes(of: number.bigEndian) { tailrace_crc32c(seed, $0.baseAddress, $0.count) }
    }
}
