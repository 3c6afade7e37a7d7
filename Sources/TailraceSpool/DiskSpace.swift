/// How much room a file system has, in bytes.
package struct DiskSpace: Equatable, Sendable {
    package var total: UInt64
    /// For programs without privileges.
    package var free: UInt64

    package init(total: UInt64, free: UInt64) {
        self.total = total
        self.free = free
    }

    /// What is kept free when nothing is configured.
    static let usualReserve: UInt64 = 256 << 20

    /// The bytes to keep free.
    ///
    /// - Parameter wanted: as configured; nil: the usual, but of a small file system a twentieth.
    package func reserve(_ wanted: UInt64?) -> UInt64 { wanted ?? min(Self.usualReserve, total / 20) }

    /// Whether a file of `size` bytes fits and leaves the reserve.
    func hasRoom(for size: Int, minimumFree: UInt64?) -> Bool {
        let reserve = reserve(minimumFree)
        // Nothing is to be left: the file system itself says when it is full.
        guard reserve > 0 else { return true }
        return free >= reserve && free - reserve >= UInt64(size)
    }
}
