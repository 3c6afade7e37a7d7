/// One component of a path pattern: what stands between two slashes.
///
/// `*` any bytes, `?` one character, `[a-z]`, `[!a-z]` one of (or none of) a set, `\` takes the next byte as it is.
/// As in a shell, a name that begins with a dot matches only a pattern that does.
struct GlobComponent: Equatable, Sendable {
    private enum Piece: Equatable {
        case byte(UInt8)
        case one
        case any
        case set(ranges: [ClosedRange<UInt8>], negated: Bool)
    }
    private let pieces: [Piece]
    /// `**`: any number of directories, none included.
    let isAnyDepth: Bool
    /// The name itself when the component has no wildcard.
    let literal: String?
    private let matchesDot: Bool

    init(_ text: Substring) {
        isAnyDepth = text == "**"
        var pieces: [Piece] = []
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "*"):
                if pieces.last != .any { pieces.append(.any) }
            case UInt8(ascii: "?"): pieces.append(.one)
            case UInt8(ascii: "\\") where index + 1 < bytes.count:
                index += 1
                pieces.append(.byte(bytes[index]))
            case UInt8(ascii: "["):
                if let (piece, next) = Self.set(in: bytes, from: index + 1) {
                    pieces.append(piece)
                    index = next
                } else {
                    pieces.append(.byte(bytes[index]))
                }
            default: pieces.append(.byte(bytes[index]))
            }
            index += 1
        }
        self.pieces = pieces
        matchesDot = pieces.first == .byte(UInt8(ascii: "."))
        let plain = pieces.compactMap { if case .byte(let byte) = $0 { byte } else { nil } }
        literal = plain.count == pieces.count ? FileName.text(plain) : nil
    }

    /// The set that begins behind `[`, and the index of its `]`; nil when it is not closed.
    private static func set(in bytes: [UInt8], from start: Int) -> (Piece, Int)? {
        var index = start
        var negated = false
        if index < bytes.count, bytes[index] == UInt8(ascii: "!") || bytes[index] == UInt8(ascii: "^") {
            negated = true
            index += 1
        }
        var ranges: [ClosedRange<UInt8>] = []
        let first = index
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "]"), index > first {
                return (.set(ranges: ranges, negated: negated), index)
            }
            let low = bytes[index]
            if index + 2 < bytes.count, bytes[index + 1] == UInt8(ascii: "-"), bytes[index + 2] != UInt8(ascii: "]") {
                if low <= bytes[index + 2] { ranges.append(low...bytes[index + 2]) }
                index += 3
            } else {
                ranges.append(low...low)
                index += 1
            }
        }
        return nil
    }

    func matches(_ name: String) -> Bool {
        FileName.withBytes(name) { matches($0) }
    }

    /// Linear in the name times the pattern at worst: on a mismatch only the last `*` takes one byte more.
    private func matches(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        if name.first == UInt8(ascii: "."), !matchesDot { return false }
        var at = 0
        var piece = 0
        var retry: (piece: Int, at: Int)?
        while at < name.count {
            if piece < pieces.count {
                if pieces[piece] == .any {
                    retry = (piece, at)
                    piece += 1
                    continue
                }
                if let width = width(of: pieces[piece], name, at) {
                    at += width
                    piece += 1
                    continue
                }
            }
            guard let (starPiece, starAt) = retry else { return false }
            retry = (starPiece, starAt + 1)
            piece = starPiece + 1
            at = starAt + 1
        }
        while piece < pieces.count, pieces[piece] == .any { piece += 1 }
        return piece == pieces.count
    }

    /// How many bytes of the name at `at` the piece takes; nil when it does not match there.
    private func width(of piece: Piece, _ name: UnsafeBufferPointer<UInt8>, _ at: Int) -> Int? {
        switch piece {
        case .byte(let byte): return name[at] == byte ? 1 : nil
        case .one, .any:
            var end = at + 1
            if name[at] >= 0xC0 { while end < name.count, end - at < 4, name[end] & 0xC0 == 0x80 { end += 1 } }
            return end - at
        case .set(let ranges, let negated):
            return ranges.contains { $0.contains(name[at]) } != negated ? 1 : nil
        }
    }
}
