/// Walks over the sections of a message in the form that every encoder writes them: a small-ulong descriptor, a value
/// that tells its own length. Reads bytes in place; `MessageSections` does the same for every form, at twenty times the
/// cost, and knows why something is wrong.
package struct SectionScanner {
    package enum Step: Equatable {
        /// `value`: with its constructor; `content`: what its bytes mean. Indices of `bytes`.
        case section(MessageSection.Kind, value: Range<Int>, content: Range<Int>)
        case end
        /// A form that only `MessageSections` reads, or no message at all. Sticky.
        case unusual
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    @inline(__always)
    package mutating func next() -> Step {
        let left = bytes.count - position
        guard left > 0 else { return .end }
        guard left >= 4, bytes[position] == 0, bytes[position + 1] == 0x53,
            let kind = MessageSection.Kind(rawValue: bytes[position + 2])
        else { return .unusual }
        let constructor = bytes[position + 3]
        let head: Int
        let length: Int
        // The high four bits tell how the length is told (part 1, section 1.3).
        switch constructor >> 4 {
        case 0xA, 0xC, 0xE:
            guard left >= 5 else { return .unusual }
            head = 5
            length = Int(bytes[position + 4])
        case 0xB, 0xD, 0xF:
            guard left >= 8 else { return .unusual }
            head = 8
            let size = bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self)
            length = Int(UInt32(bigEndian: size))
        default: return .unusual
        }
        if kind == .data, constructor != 0xA0, constructor != 0xB0 { return .unusual }
        guard length <= left - head else { return .unusual }
        let content = (position + head)..<(position + head + length)
        let value = (position + 3)..<content.upperBound
        position = content.upperBound
        return .section(kind, value: value, content: content)
    }

    /// Whether everything is a message in the usual form.
    package static func isUsual(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var scanner = SectionScanner(bytes)
        while true {
            switch scanner.next() {
            case .section: continue
            case .end: return true
            case .unusual: return false
            }
        }
    }
}
