/// Hashes of a log's content at a few places before its position: what tells a copy of it that is shorter than what was read.
///
/// There is one for each power of two from 64 bytes on, of the last eight that were passed. So a copy that is no shorter
/// than a 256th of what was read has one in its later half.
struct ContentMarks: Equatable, Sendable {
    /// Bytes before each place that are hashed, and the first place.
    static let length = 64
    static let maximum = 8

    /// The last one is that of `last`.
    private(set) var hashes: [UInt64] = []
    /// A power of two; 0 = there is none yet.
    private(set) var last: UInt64 = 0

    init() {}

    /// Nil when they are none that could have been made up to `offset`.
    init?(hashes: [UInt64], exponent: UInt8, offset: UInt64) {
        guard hashes.count <= Self.maximum else { return nil }
        if hashes.isEmpty { return }
        guard exponent < 63, (1 << UInt64(exponent)) <= offset,
            (1 << UInt64(exponent)) >> UInt64(hashes.count - 1) >= UInt64(Self.length)
        else { return nil }
        self.hashes = hashes
        last = 1 << UInt64(exponent)
    }

    var exponent: UInt8 { last == 0 ? 0 : UInt8(last.trailingZeroBitCount) }

    /// Where the next one is.
    var next: UInt64 { last == 0 ? UInt64(Self.length) : last << 1 }

    /// Takes those up to `offset`.
    ///
    /// - Parameter hash: of so many bytes from an offset on; nil when they cannot be read.
    mutating func extend(to offset: UInt64, hash: (_ from: UInt64, _ length: Int) -> ContentHash?) {
        var place = next
        // Of the last ones alone: a log may be begun far from its beginning.
        while place << UInt64(Self.maximum) <= offset, place < 1 << 54 { place <<= 1 }
        if place > next { hashes = [] }
        while place <= offset, place < 1 << 62, let mark = hash(place - UInt64(Self.length), Self.length) {
            hashes.append(mark.value)
            if hashes.count > Self.maximum { hashes.removeFirst() }
            last = place
            place <<= 1
        }
    }

    /// Whether the content is the same at all places within its first `size` bytes, if there are any.
    func agree(within size: UInt64, hash: (_ from: UInt64, _ length: Int) -> ContentHash?) -> Bool {
        guard !hashes.isEmpty, last >> UInt64(hashes.count - 1) <= size else { return true }
        return proven(within: size, hash: hash) != nil
    }

    /// The last place within the first `size` bytes, when the content is the same at all places there; else nil.
    func proven(within size: UInt64, hash: (_ from: UInt64, _ length: Int) -> ContentHash?) -> UInt64? {
        var place = last
        var proven: UInt64?
        for mark in hashes.reversed() {
            defer { place >>= 1 }
            if place > size { continue }
            guard hash(place - UInt64(Self.length), Self.length)?.value == mark else { return nil }
            proven = proven ?? place
        }
        return proven
    }
}
