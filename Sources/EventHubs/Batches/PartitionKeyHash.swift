/// Which partition a key belongs to: Jenkins' lookup3 with two results and both seeds zero, folded to 16 bits.
///
/// The service, .NET and Java hash the key's UTF-8 bytes and take the absolute value of the remainder. The Python
/// client hashes code points and takes the floored remainder, so that it disagrees for half of all keys.
public enum PartitionKeyHash: Hashable, Sendable {
    /// As the service does for batches that name a key and no partition.
    case service
    /// As the Python client's buffered mode does, for producers that share a hub with it.
    case python

    /// The index of the partition in the list that the service gives.
    ///
    /// - Precondition: `partitionCount` is positive.
    public func index(of key: String, partitionCount: Int) -> Int {
        precondition(partitionCount > 0, "an event hub has at least one partition")
        let hash = Int(self.hash(of: key))
        let remainder = hash % partitionCount
        switch self {
        case .service: return abs(remainder)
        case .python: return remainder < 0 ? remainder + partitionCount : remainder
        }
    }

    /// The 16-bit hash of `key`.
    public func hash(of key: String) -> Int16 {
        let (c, b): (UInt32, UInt32)
        switch self {
        case .service:
            var key = key
            (c, b) = key.withUTF8 { Self.lookup3(count: $0.count, of: $0) }
        case .python:
            let scalars = key.unicodeScalars.map(\.value)
            (c, b) = Self.lookup3(count: scalars.count, of: scalars)
        }
        return Int16(truncatingIfNeeded: c ^ b)
    }

    static func lookup3<Elements: RandomAccessCollection>(count: Int, of elements: Elements) -> (c: UInt32, b: UInt32)
    where Elements.Element: FixedWidthInteger & UnsignedInteger, Elements.Index == Int {
        func rotate(_ x: UInt32, _ by: UInt32) -> UInt32 { x << by | x >> (32 - by) }
        func element(_ i: Int) -> UInt32 { i < count ? UInt32(truncatingIfNeeded: elements[i]) : 0 }
        // Elements wider than a byte spill into their neighbours' lanes by addition, as the Python client has it.
        func word(_ i: Int) -> UInt32 {
            element(i) &+ element(i + 1) << 8 &+ element(i + 2) << 16 &+ element(i + 3) << 24
        }
        var a: UInt32 = 0xDEAD_BEEF &+ UInt32(truncatingIfNeeded: count)
        var b = a
        var c = a
        var i = 0
        while count - i > 12 {
            a &+= word(i)
            b &+= word(i + 4)
            c &+= word(i + 8)
            a = (a &- c) ^ rotate(c, 4)
            c &+= b
            b = (b &- a) ^ rotate(a, 6)
            a &+= c
            c = (c &- b) ^ rotate(b, 8)
            b &+= a
            a = (a &- c) ^ rotate(c, 16)
            c &+= b
            b = (b &- a) ^ rotate(a, 19)
            a &+= c
            c = (c &- b) ^ rotate(b, 4)
            b &+= a
            i += 12
        }
        guard i < count else { return (c, b) }
        a &+= word(i)
        b &+= word(i + 4)
        c &+= word(i + 8)
        c = (c ^ b) &- rotate(b, 14)
        a = (a ^ c) &- rotate(c, 11)
        b = (b ^ a) &- rotate(a, 25)
        c = (c ^ b) &- rotate(b, 16)
        a = (a ^ c) &- rotate(c, 4)
        b = (b ^ a) &- rotate(a, 14)
        c = (c ^ b) &- rotate(b, 24)
        return (c, b)
    }
}
