import Glibc

/// How a file's bytes stand for characters. Records are UTF-8: other encodings are converted to it, and what stands for
/// no character becomes U+FFFD.
package enum TextEncoding: String, Sendable, CaseIterable {
    /// The bytes go along as they are, whatever they are.
    case utf8 = "utf-8"
    case latin1 = "latin-1"
    case utf16LittleEndian = "utf-16le"
    case utf16BigEndian = "utf-16be"

    /// Told by the byte order mark that a file begins with; nil while there are too few bytes to tell.
    package init?(beginning bytes: UnsafeRawBufferPointer) {
        guard let first = bytes.first else { return nil }
        if first == 0xFF || first == 0xFE {
            guard bytes.count > 1 else { return nil }
            if first == 0xFF, bytes[1] == 0xFE {
                self = .utf16LittleEndian
                return
            }
            if first == 0xFE, bytes[1] == 0xFF {
                self = .utf16BigEndian
                return
            }
        }
        self = .utf8
    }

    /// Bytes of a code unit, and so of a newline.
    package var unit: Int {
        switch self {
        case .utf8, .latin1: 1
        case .utf16LittleEndian, .utf16BigEndian: 2
        }
    }

    package var isConverted: Bool { self != .utf8 }

    // MARK: Newlines

    /// Where the first newline begins in bytes that begin with a whole code unit.
    package func newline(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        var from = 0
        while from < bytes.count, let found = memchr(base + from, 0x0A, bytes.count - from) {
            let index = UnsafeRawPointer(found) - base
            if let start = newline(in: bytes, with: index) { return start }
            from = index + 1
        }
        return nil
    }

    /// Where the last newline begins in bytes that begin with a whole code unit.
    package func lastNewline(in bytes: UnsafeRawBufferPointer) -> Int? {
        var rest = bytes[...]
        while let index = rest.lastIndex(of: 0x0A) {
            if let start = newline(in: bytes, with: index) { return start }
            rest = rest[..<index]
        }
        return nil
    }

    /// Where the newline begins to which the 0x0A at `index` belongs; nil when it is a part of something else.
    private func newline(in bytes: UnsafeRawBufferPointer, with index: Int) -> Int? {
        switch self {
        case .utf8, .latin1: index
        case .utf16LittleEndian: index & 1 == 0 && index + 1 < bytes.count && bytes[index + 1] == 0 ? index : nil
        case .utf16BigEndian: index & 1 == 1 && bytes[index - 1] == 0 ? index - 1 : nil
        }
    }

    // MARK: Converting

    /// Bytes that must be free behind what was converted for the next character.
    package static let longestCharacter = 4

    /// Converts what begins with a whole character, as far as there is room for it. A character of which the end is still to
    /// come stays, unless this `isFinal`.
    ///
    /// - Returns: bytes taken, and bytes made of them.
    package func convert(
        _ bytes: UnsafeRawBufferPointer, into text: UnsafeMutableRawBufferPointer, isFinal: Bool
    ) -> (taken: Int, made: Int) {
        switch self {
        case .utf8:
            let count = min(bytes.count, text.count)
            text.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            return (count, count)
        case .latin1: return Self.convertLatin1(bytes, into: text)
        case .utf16LittleEndian: return Self.convertUTF16(bytes, into: text, isBig: false, isFinal: isFinal)
        case .utf16BigEndian: return Self.convertUTF16(bytes, into: text, isBig: true, isFinal: isFinal)
        }
    }

    /// Bytes of the file that `text` was made of: half of a pair and U+FFFD, which stands for it, both are one code unit.
    package func length(of text: UnsafeRawBufferPointer) -> Int {
        guard isConverted else { return text.count }
        var characters = 0
        var pairs = 0
        for byte in text {
            characters &+= byte & 0xC0 == 0x80 ? 0 : 1
            pairs &+= byte >= 0xF0 ? 1 : 0
        }
        return self == .latin1 ? characters : (characters &+ pairs) &* 2
    }

    /// The longest beginning of converted text that has at most `maximum` bytes and ends with a whole character.
    package static func cut(_ text: UnsafeRawBufferPointer, to maximum: Int) -> Int {
        guard text.count > maximum else { return text.count }
        var end = maximum
        while end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
        return end
    }

    private static func convertLatin1(
        _ bytes: UnsafeRawBufferPointer, into text: UnsafeMutableRawBufferPointer
    ) -> (taken: Int, made: Int) {
        var (taken, made) = (0, 0)
        while true {
            while bytes.count - taken >= 16, text.count - made >= 16 {
                let block = bytes.loadUnaligned(fromByteOffset: taken, as: SIMD16<UInt8>.self)
                guard block & 0x80 == .zero else { break }
                text.storeBytes(of: block, toByteOffset: made, as: SIMD16<UInt8>.self)
                taken += 16
                made += 16
            }
            guard taken < bytes.count, text.count - made >= longestCharacter else { return (taken, made) }
            put(UInt32(bytes[taken]), text, &made)
            taken += 1
        }
    }

    private static func convertUTF16(
        _ bytes: UnsafeRawBufferPointer, into text: UnsafeMutableRawBufferPointer, isBig: Bool, isFinal: Bool
    ) -> (taken: Int, made: Int) {
        let end = bytes.count & ~1
        func unit(_ index: Int) -> UInt32 {
            let unit = bytes.loadUnaligned(fromByteOffset: index, as: UInt16.self)
            return UInt32(isBig ? UInt16(bigEndian: unit) : UInt16(littleEndian: unit))
        }
        var (taken, made) = (0, 0)
        while true {
            while end - taken >= 16, text.count - made >= 8 {
                var units = bytes.loadUnaligned(fromByteOffset: taken, as: SIMD8<UInt16>.self)
                if isBig { units = units &<< 8 | units &>> 8 }
                guard units & 0xFF80 == .zero else { break }
                text.storeBytes(
                    of: SIMD8<UInt8>(truncatingIfNeeded: units), toByteOffset: made, as: SIMD8<UInt8>.self)
                taken += 16
                made += 8
            }
            guard taken < end, text.count - made >= longestCharacter else { break }
            var scalar = unit(taken)
            if scalar & 0xFC00 == 0xD800 {
                guard taken + 4 <= end else {
                    guard isFinal else { return (taken, made) }
                    put(0xFFFD, text, &made)
                    taken += 2
                    continue
                }
                let low = unit(taken + 2)
                if low & 0xFC00 == 0xDC00 {
                    scalar = 0x10000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
                    taken += 2
                } else {
                    scalar = 0xFFFD
                }
            } else if scalar & 0xFC00 == 0xDC00 {
                scalar = 0xFFFD
            }
            put(scalar, text, &made)
            taken += 2
        }
        // Half a code unit that nothing follows.
        if isFinal, taken == end, end < bytes.count, text.count - made >= longestCharacter {
            put(0xFFFD, text, &made)
            taken += 1
        }
        return (taken, made)
    }

    /// Writes one scalar value as UTF-8.
    private static func put(_ scalar: UInt32, _ text: UnsafeMutableRawBufferPointer, _ made: inout Int) {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: 0x80 | (scalar >> shift & 0x3F)) }
        if scalar < 0x80 {
            text[made] = UInt8(truncatingIfNeeded: scalar)
            made += 1
        } else if scalar < 0x800 {
            text[made] = UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6)
            text[made + 1] = tail(0)
            made += 2
        } else if scalar < 0x10000 {
            text[made] = UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12)
            text[made + 1] = tail(6)
            text[made + 2] = tail(0)
            made += 3
        } else {
            text[made] = UInt8(truncatingIfNeeded: 0xF0 | scalar >> 18)
            text[made + 1] = tail(12)
            text[made + 2] = tail(6)
            text[made + 3] = tail(0)
            made += 4
        }
    }
}
