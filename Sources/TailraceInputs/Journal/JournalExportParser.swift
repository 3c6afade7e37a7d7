import Glibc

/// Takes journald's export format apart, from chunks of any size.
///
/// An entry is a row of fields and ends with an empty line. A field is `NAME=value` and a newline, or, when its value
/// could hold a newline, `NAME`, a newline, the length of the value in 64 bits (little-endian), the value, a newline.
package struct JournalExportParser {
    /// Bytes of a name: journald's own limit.
    package static let maximumName = 64
    /// Bytes of a value: above journald's own limit of 768 MiB. Values are not kept whole, so this costs no memory.
    package static let maximumValue: UInt64 = 1 << 30

    package enum Progress: Equatable {
        /// All bytes are taken; the entry goes on in the next chunk.
        case needsMore
        /// The entry is complete after so many bytes. Take it, `reset` it, and go on with the rest.
        case complete(consumed: Int)
        /// Another entry begins before this one has ended: whoever wrote it could not read all of it. Go on as above.
        case incomplete(consumed: Int)
        /// No export format; nothing after it can be trusted.
        case broken(String)
    }

    private enum State: Equatable {
        /// In a name, or before one.
        case name
        /// In a value that ends with the line.
        case text
        case length(bytes: Int)
        case binary(left: UInt64)
        case binaryEnd
        /// In a line that is no field.
        case junk
        /// The name of the cursor was read and belongs to the next entry.
        case nextCursor
        case broken
    }

    private var state = State.name
    private var nameLength = 0
    private var length: UInt64 = 0
    /// Lines that were no fields.
    package private(set) var junkLines: UInt64 = 0

    package init() {}

    /// Adds the fields of `bytes` to `entry`, up to the entry's end.
    package mutating func parse(_ bytes: UnsafeRawBufferPointer, into entry: JournalEntry) -> Progress {
        if state == .nextCursor {
            entry.beginCursor()
            state = .text
        }
        var index = 0
        while index < bytes.count {
            switch state {
            case .name:
                let start = index
                while index < bytes.count, Self.isName(bytes[index]) { index += 1 }
                if index > start {
                    if nameLength == 0 { entry.beginField() }
                    nameLength += index - start
                    if nameLength > Self.maximumName {
                        abandonLine(entry)
                        continue
                    }
                    entry.appendName(UnsafeRawBufferPointer(rebasing: bytes[start..<index]))
                }
                guard index < bytes.count else { break }
                if let end = endOfName(bytes[index], entry) {
                    index += 1
                    switch end {
                    case .entry: return .complete(consumed: index)
                    case .nextEntry: return .incomplete(consumed: index)
                    case .name: continue
                    }
                }
            case .text:
                let rest = UnsafeRawBufferPointer(rebasing: bytes[index...])
                let end = Self.newline(in: rest)
                entry.appendValue(UnsafeRawBufferPointer(rebasing: rest[..<(end ?? rest.count)]))
                index += end ?? rest.count
                if end != nil {
                    entry.endField()
                    index += 1
                    state = .name
                }
            case .length(let count):
                length |= UInt64(bytes[index]) << UInt64(count * 8)
                index += 1
                if count < 7 {
                    state = .length(bytes: count + 1)
                } else if length > Self.maximumValue {
                    state = .broken
                    return .broken("a field of \(length) bytes")
                } else {
                    state = length == 0 ? .binaryEnd : .binary(left: length)
                }
            case .binary(let left):
                let count = Int(min(left, UInt64(bytes.count - index)))
                entry.appendValue(UnsafeRawBufferPointer(rebasing: bytes[index..<(index + count)]))
                index += count
                state = left == UInt64(count) ? .binaryEnd : .binary(left: left - UInt64(count))
            case .binaryEnd:
                guard bytes[index] == 0x0A else {
                    state = .broken
                    return .broken("a field that is longer than it says")
                }
                entry.endField()
                index += 1
                state = .name
            case .junk:
                let rest = UnsafeRawBufferPointer(rebasing: bytes[index...])
                let end = Self.newline(in: rest)
                index += end.map { $0 + 1 } ?? rest.count
                if end != nil { state = .name }
            case .broken: return .broken("bytes after what is no journal")
            case .nextCursor: preconditionFailure("the next entry's cursor is taken before its bytes")
            }
        }
        return .needsMore
    }

    private enum NameEnd { case name, entry, nextEntry }

    /// What the byte after a name means; nil when the line is no field, and the byte is still to be looked at.
    private mutating func endOfName(_ byte: UInt8, _ entry: JournalEntry) -> NameEnd? {
        defer { nameLength = 0 }
        switch (byte, nameLength) {
        case (0x0A, 0):
            return .entry
        case (UInt8(ascii: "="), 1...):
            if entry.endNameIsNextCursor() {
                state = .nextCursor
                return .nextEntry
            }
            state = .text
            return .name
        case (0x0A, 1...):
            _ = entry.endNameIsNextCursor()
            length = 0
            state = .length(bytes: 0)
            return .name
        default:
            abandonLine(entry)
            return nil
        }
    }

    private mutating func abandonLine(_ entry: JournalEntry) {
        if nameLength > 0 { entry.abandonField() }
        nameLength = 0
        junkLines &+= 1
        state = .junk
    }

    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func newline(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress, let found = memchr(base, 0x0A, bytes.count) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
