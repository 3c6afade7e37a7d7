import CTailrace
import Glibc

extension UnsafeRawPointer {
    /// A little-endian integer that need not be aligned. The caller has checked the bounds.
    func load<T: FixedWidthInteger>(at offset: Int, as type: T.Type) -> T {
        T(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}

extension UnsafeMutableRawPointer {
    /// Stores a little-endian integer that need not be aligned. The caller has checked the bounds.
    func store<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }
}

extension UnsafeRawBufferPointer {
    /// Nothing but zeros: the first byte is, and each of the others is like the one before.
    var isZero: Bool {
        guard let base = baseAddress, let first else { return true }
        return first == 0 && memcmp(base, base + 1, count - 1) == 0
    }
}

/// CRC32C, continuing from `seed`.
package func checksum(of bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    guard let base = bytes.baseAddress else { return seed }
    return tailrace_crc32c(seed, base, bytes.count)
}
