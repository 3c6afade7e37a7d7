import TailraceInputs
import TestSupport
import Testing

/// Conversion to UTF-8, beside what the standard library makes of the same bytes.
@Suite struct TextEncodingTests {
    static func encode(_ text: String, _ encoding: TextEncoding) -> [UInt8] {
        switch encoding {
        case .utf8: Array(text.utf8)
        case .latin1: text.unicodeScalars.map { UInt8($0.value) }
        case .utf16LittleEndian: text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        case .utf16BigEndian: text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        }
    }

    /// Piece by piece, each of at most `piece` bytes, into room for `room`.
    private func convert(_ bytes: [UInt8], _ encoding: TextEncoding, piece: Int, room: Int) -> [UInt8] {
        var result: [UInt8] = []
        var at = 0
        var size = piece
        while at < bytes.count {
            let end = min(bytes.count, at + size)
            let text = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
            defer { text.deallocate() }
            let (taken, made) = Array(bytes[at..<end]).withUnsafeBytes {
                encoding.convert($0, into: text, isFinal: end == bytes.count)
            }
            #expect(taken <= end - at && made <= room)
            if end < bytes.count || taken == end - at {
                let converted = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(text)[..<made])
                #expect(encoding.length(of: converted) - taken <= (end == bytes.count ? 1 : 0))
            }
            result += text[..<made]
            at += taken
            size = taken == 0 ? size + 1 : piece
        }
        return result
    }

    private func expected(_ bytes: [UInt8], _ encoding: TextEncoding) -> [UInt8] {
        switch encoding {
        case .utf8: return bytes
        case .latin1: return Array(String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) })).utf8)
        case .utf16LittleEndian, .utf16BigEndian:
            let isBig = encoding == .utf16BigEndian
            let units = stride(from: 0, to: bytes.count - 1, by: 2).map {
                UInt16(bytes[$0]) << (isBig ? 8 : 0) | UInt16(bytes[$0 + 1]) << (isBig ? 0 : 8)
            }
            return Array(String(decoding: units, as: UTF16.self).utf8)
                + (bytes.count % 2 == 1 ? [0xEF, 0xBF, 0xBD] : [])
        }
    }

    @Test(arguments: TextEncoding.allCases) func anyBytesInAnyPieces(encoding: TextEncoding) {
        for seed in [1, 2, 3, SeededGenerator.fresh("text encoding \(encoding.rawValue)").seed] as [UInt64] {
            var generator = SeededGenerator(seed: seed)
            for _ in 0..<400 {
                let kind = Int.random(in: 0..<3, using: &generator)
                let bytes = (0..<Int.random(in: 0...120, using: &generator)).map { _ -> UInt8 in
                    switch kind {
                    // Text that is mostly ASCII; half pairs and pairs; anything.
                    case 0: Bool.random(using: &generator) ? 0 : UInt8.random(in: 0...0x7F, using: &generator)
                    case 1: [0xD8, 0xDC, 0x00, 0xDB, 0xDF, 0x41][Int.random(in: 0..<6, using: &generator)]
                    default: UInt8.random(in: 0...255, using: &generator)
                    }
                }
                let got = convert(
                    bytes, encoding, piece: Int.random(in: 1...64, using: &generator),
                    room: Int.random(in: 4...80, using: &generator))
                #expect(got == expected(bytes, encoding), "seed \(seed): \(bytes)")
            }
        }
    }

    @Test(arguments: TextEncoding.allCases) func newlinesAreWholeCodeUnits(encoding: TextEncoding) {
        // U+0A00, U+000A, U+0A0A and U+010A, and bytes beside them that make 0A 00 or 00 0A across two code units.
        let text = encoding.unit == 2 ? "a\u{0A00}\u{0A0A}\u{010A}\u{0100}\nx\u{0A00}\u{0041}\u{000A}" : "ab\ncd\n"
        let bytes = Self.encode(text, encoding)
        let newlines = text.utf16.enumerated().filter { $0.element == 0x0A }.map { $0.offset * encoding.unit }
        bytes.withUnsafeBytes { bytes in
            #expect(encoding.newline(in: bytes) == newlines.first)
            #expect(encoding.lastNewline(in: bytes) == newlines.last)
            for end in 0...bytes.count {
                let whole = newlines.filter { $0 + encoding.unit <= end }
                let part = UnsafeRawBufferPointer(rebasing: bytes[..<end])
                #expect(encoding.newline(in: part) == whole.first)
                #expect(encoding.lastNewline(in: part) == whole.last)
            }
        }
    }

    @Test func aFileIsToldByItsFirstBytes() {
        func told(_ bytes: [UInt8]) -> TextEncoding? { bytes.withUnsafeBytes { TextEncoding(beginning: $0) } }
        #expect(told([]) == nil)
        #expect(told([0xFF]) == nil)
        #expect(told([0xFE]) == nil)
        #expect(told([0xFF, 0xFE]) == .utf16LittleEndian)
        #expect(told([0xFE, 0xFF, 0x00]) == .utf16BigEndian)
        #expect(told([0xFF, 0xFF]) == .utf8)
        #expect(told([0xFE, 0xFE]) == .utf8)
        #expect(told([0xEF]) == .utf8)
    }
}
