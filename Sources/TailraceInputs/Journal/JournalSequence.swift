/// Follows the numbers that journals give their entries, and tells how many entries are missing between two.
///
/// Only of use where every entry is read: a filter makes gaps of its own.
struct JournalSequence {
    /// Journals followed at the same time; the one longest not seen is forgotten first.
    static let maximumJournals = 64

    private var last: [(id: JournalCursor.ID, sequence: UInt64)] = []

    /// Entries missing before this one: 0 for the first one of a journal, and for one that comes late.
    mutating func note(_ cursor: JournalCursor) -> UInt64 {
        guard let place = last.lastIndex(where: { $0.id == cursor.sequenceID }) else {
            if last.count == Self.maximumJournals { last.removeFirst() }
            last.append((cursor.sequenceID, cursor.sequence))
            return 0
        }
        let before = last[place].sequence
        guard cursor.sequence > before else { return 0 }
        last[place].sequence = cursor.sequence
        if place != last.count - 1 { last.append(last.remove(at: place)) }
        return cursor.sequence - before - 1
    }
}
