/// What a cursor of journald says about its entry: `s=…;i=…;b=…;m=…;t=…;x=…`, all in hexadecimal digits.
struct JournalCursor: Equatable, Sendable {
    /// A 128-bit id.
    struct ID: Hashable, Sendable {
        var high: UInt64 = 0
        var low: UInt64 = 0
    }

    /// Whose numbers `sequence` belongs to: they go up by one with each entry of one journal.
    var sequenceID: ID
    var sequence: UInt64
    var boot: ID
    /// Microseconds since that boot.
    var monotonic: UInt64
    /// Microseconds since 1970.
    var realtime: UInt64
    /// Of the entry's fields.
    var hash: UInt64

    /// Bytes of a cursor: six fields of at most 34 bytes, and the separators.
    static let maximumLength = 6 * 34 + 5

    /// Nil when anything is missing, double or not a number.
    init?(_ text: UnsafeRawBufferPointer) {
        guard text.count <= Self.maximumLength else { return nil }
        var parts: (ID?, ID?, ID?, ID?, ID?, ID?) = (nil, nil, nil, nil, nil, nil)
        var index = 0
        while index < text.count {
            guard index + 2 < text.count, text[index + 1] == UInt8(ascii: "=") else { return nil }
            let key = text[index]
            index += 2
            guard let number = Self.number(text, &index) else { return nil }
            switch key {
            case UInt8(ascii: "s") where parts.0 == nil: parts.0 = number
            case UInt8(ascii: "i") where parts.1 == nil: parts.1 = number
            case UInt8(ascii: "b") where parts.2 == nil: parts.2 = number
            case UInt8(ascii: "m") where parts.3 == nil: parts.3 = number
            case UInt8(ascii: "t") where parts.4 == nil: parts.4 = number
            case UInt8(ascii: "x") where parts.5 == nil: parts.5 = number
            default: return nil
            }
        }
        guard case (let s?, let i?, let b?, let m?, let t?, let x?) = parts,
            i.high == 0, m.high == 0, t.high == 0, x.high == 0
        else { return nil }
        (sequenceID, sequence, boot) = (s, i.low, b)
        (monotonic, realtime, hash) = (m.low, t.low, x.low)
    }

    /// The digits from `index` to the next semicolon, which is passed over; nil when there are none or too many.
    private static func number(_ text: UnsafeRawBufferPointer, _ index: inout Int) -> ID? {
        var number = ID()
        var digits = 0
        while index < text.count, text[index] != UInt8(ascii: ";") {
            let digit: UInt8
            switch text[index] {
            case let byte where byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case let byte where byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "f"):
                digit = byte - UInt8(ascii: "a") + 10
            default: return nil
            }
            number.high = number.high << 4 | number.low >> 60
            number.low = number.low << 4 | UInt64(digit)
            digits += 1
            index += 1
        }
        index += 1
        return (1...32).contains(digits) ? number : nil
    }

    /// Whether both name the same entry. An entry that journald has moved, from memory to disk, has another number.
    func isSameEntry(as other: JournalCursor) -> Bool {
        boot == other.boot && monotonic == other.monotonic && realtime == other.realtime && hash == other.hash
            && (sequenceID != other.sequenceID || sequence == other.sequence)
    }

    /// Whether this is `other`'s entry or certainly one before it.
    func isUpTo(_ other: JournalCursor) -> Bool {
        isSameEntry(as: other) || sequenceID == other.sequenceID && sequence <= other.sequence
    }

    /// Whether journald wrote the entry of `other` once more (it does at some rotations).
    func isRepetition(of other: JournalCursor) -> Bool {
        boot == other.boot && monotonic == other.monotonic && hash == other.hash && sequence == other.sequence
    }
}
