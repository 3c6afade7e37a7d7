package import TailraceSpool

/// How far an input has read a journal, as it lies in the spool: for people and scripts.
package struct StoredJournalPosition: Equatable, Sendable {
    package enum Place: String, Sendable {
        /// The entry has been read.
        case after
        /// The entry is the first to read.
        case at
        /// Everything is still to be read.
        case beginning
    }

    /// The input's name in the configuration.
    package var input: String
    /// What its records carry as `source`.
    package var journal: String
    package var place: Place
    /// Of the entry: its number in the journal (nil when the cursor tells none), its time in milliseconds since 1970, and
    /// journald's cursor. Nothing of it at the beginning.
    package var sequence: UInt64?
    package var time: Int64
    package var cursor: String

    /// Nil when it is the position of something that is no journal.
    package init?(source key: SourceKey, value: [UInt8]) {
        guard let names = JournalPosition.names(of: key), let position = JournalPosition(value) else { return nil }
        (input, journal) = names
        switch position.kind {
        case .after: place = .after
        case .at: place = .at
        case .head: place = .beginning
        }
        sequence = position.entry?.sequence
        time = Int64(clamping: position.realtime / 1000)
        cursor = String(decoding: position.cursor, as: UTF8.self)
    }
}
