internal import TailraceSpool

/// How far a journal has been read, as it is stored with the records that it covers.
///
/// The source key is `journal` and, each behind a zero byte, the input's name and the journal's own name: two inputs may
/// read the same journal with different filters, and an input that is pointed at another journal begins there anew.
/// The value is `[u8 version = 1][u8 kind][u64 realtime in microseconds, little-endian][cursor as journald wrote it]`.
struct JournalPosition: Equatable, Sendable {
    enum Kind: UInt8 {
        /// The entry of the cursor has been read.
        case after = 1
        /// The entry of the cursor is the first to read.
        case at = 2
        /// Everything is still to be read; there is no cursor.
        case head = 3
    }

    var kind: Kind
    /// Of the cursor's entry; tells where to go on when the cursor means nothing to journald.
    var realtime: UInt64
    var cursor: [UInt8]

    static let head = JournalPosition(kind: .head, realtime: 0, cursor: [])

    static func key(input: String, journal: String) -> SourceKey {
        SourceKey(Array("journal\0\(input)\0\(journal)".utf8.prefix(SourceKey.maximumLength)))
    }

    /// What `key` was made of; nil when it is another input's. A name that was cut comes back as far as it is there.
    static func names(of key: SourceKey) -> (input: String, journal: String)? {
        let parts = key.bytes.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].elementsEqual("journal".utf8) else { return nil }
        return (String(decoding: parts[1], as: UTF8.self), String(decoding: parts[2], as: UTF8.self))
    }

    init(kind: Kind, realtime: UInt64, cursor: [UInt8]) {
        self.kind = kind
        self.realtime = realtime
        self.cursor = cursor
    }

    /// Nil when the bytes are no position of a version that we know. The cursor may still be none.
    init?(_ value: [UInt8]) {
        guard value.count >= 10, value[0] == 1, let kind = Kind(rawValue: value[1]) else { return nil }
        self.kind = kind
        realtime = value[2..<10].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        cursor = Array(value[10...])
    }

    var value: [UInt8] {
        var bytes: [UInt8] = [1, kind.rawValue]
        bytes.reserveCapacity(10 + cursor.count)
        for shift in stride(from: 0, to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: realtime >> UInt64(shift)))
        }
        bytes.append(contentsOf: cursor)
        return bytes
    }

    /// Nil when the cursor is none that we understand.
    var entry: JournalCursor? { cursor.withUnsafeBytes { JournalCursor($0) } }
}
