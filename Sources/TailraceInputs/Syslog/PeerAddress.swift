import Glibc

/// An IP address as 16 bytes: of IPv4 its IPv6 form ::ffff:a.b.c.d. Zeros stand for senders without an address.
package struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
    /// Big-endian halves, as numbers.
    var high: UInt64 = 0
    var low: UInt64 = 0

    init() {}

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// From 16 bytes in the order of the wire.
    init(_ bytes: UnsafeRawPointer) {
        high = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    package init?(_ text: String) {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            low = 0xFFFF_0000_0000 | UInt64(UInt32(bigEndian: four.s_addr))
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        self = withUnsafeBytes(of: &six) { PeerAddress($0.baseAddress!) }
    }

    var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }
    var isNone: Bool { high == 0 && low == 0 }

    /// `10.0.0.1` or `2001:db8::1`.
    package var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        if isIPv4 {
            var address = in_addr(s_addr: UInt32(truncatingIfNeeded: low).bigEndian)
            inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
        } else {
            var bytes = (high.bigEndian, low.bigEndian)
            inet_ntop(AF_INET6, &bytes, &text, socklen_t(text.count))
        }
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }
}

/// `10.0.0.0/8`, `2001:db8::/32`, or one address: an element of `trust`.
package struct AddressRange: Equatable, Sendable {
    private let address: PeerAddress
    /// Leading bits that count, of 128.
    private let bits: Int

    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = PeerAddress(String(parts[0])) else { return nil }
        self.address = address
        guard parts.count == 2 else {
            bits = 128
            return
        }
        guard let length = Int(parts[1]), (0...(address.isIPv4 ? 32 : 128)).contains(length) else { return nil }
        bits = length + (address.isIPv4 ? 96 : 0)
    }

    func contains(_ other: PeerAddress) -> Bool {
        let high = bits >= 64 ? UInt64.max : bits == 0 ? 0 : ~(UInt64.max >> UInt64(bits))
        let low = bits >= 128 ? UInt64.max : bits <= 64 ? 0 : ~(UInt64.max >> UInt64(bits - 64))
        return (address.high ^ other.high) & high == 0 && (address.low ^ other.low) & low == 0
    }
}
