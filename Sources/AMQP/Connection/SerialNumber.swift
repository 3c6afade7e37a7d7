/// Distances between 32-bit serial numbers (RFC 1982): transfer ids, delivery ids and delivery counts wrap around.
enum SerialNumber {
    /// How far `a` is ahead of `b`; negative when it is behind.
    static func distance(_ a: UInt32, from b: UInt32) -> Int32 { Int32(bitPattern: a &- b) }
}
