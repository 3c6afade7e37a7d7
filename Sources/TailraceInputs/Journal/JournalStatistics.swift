/// What a journal input has counted since the start.
package struct JournalStatistics: Equatable, Sendable {
    /// Entries passed on.
    package var entries: UInt64 = 0
    /// Entries whose numbers are missing: gone from the journal before they were read.
    package var missed: UInt64 = 0
    /// With filters: entries that went so, of which some may not have passed the filters.
    package var missedAtMost: UInt64 = 0
    /// Times that entries were missing, or that the journal was another one than before.
    package var gaps: UInt64 = 0
    /// Messages that journald suppressed or missed, by its own notices.
    package var suppressed: UInt64 = 0
    /// Entries that journald had written twice.
    package var repeated: UInt64 = 0
    /// The agent's own messages, which are not passed on: each would cause the next.
    package var own: UInt64 = 0
    /// Entries of which journald or journalctl could read only a part.
    package var incomplete: UInt64 = 0
    /// Lines of journalctl that were no fields.
    package var junkLines: UInt64 = 0
    /// Readers started again after they ended or were stuck.
    package var restarts: UInt64 = 0
    /// Bytes that came from the reader.
    package var bytes: UInt64 = 0
    /// Microseconds since 1970 of the entry last passed on; 0 before the first.
    package var lastRealtime: UInt64 = 0
    /// The reader that runs now; 0 while none does.
    package var process: Int32 = 0

    package init() {}

    var drops: [InputReport.Drop] {
        [
            .init("gone from the journal before they were read", missed),
            .init("gone from the journal before they were read, or not selected", missedAtMost),
            .init("lost by journald", suppressed),
            .init("written twice by journald", repeated),
            .init("of the agent itself", own),
        ]
    }
}
