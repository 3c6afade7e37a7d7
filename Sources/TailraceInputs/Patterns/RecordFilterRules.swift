/// What goes along of an input's records, and what of it is hidden.
///
/// A record must match one of `keep` (when there are any), then none of `drop`, then be among the sample; what is left is
/// redacted.
package struct RecordFilterRules: Equatable, Sendable {
    package var keep: [Pattern] = []
    package var drop: [Pattern] = []
    /// The share of records that goes along, above 0 to 1; nil = all.
    package var sample: Double?
    package var redact: [RedactionRule] = []

    package init() {}

    package var isEmpty: Bool { keep.isEmpty && drop.isEmpty && sample == nil && redact.isEmpty }
}

/// What a filter did, in records since it was made.
package struct RecordFilterCounts: Equatable, Sendable {
    /// Matched none of the patterns of `keep`.
    package var notKept: UInt64 = 0
    /// Matched one of `drop`.
    package var dropped: UInt64 = 0
    /// Not in the sample.
    package var notSampled: UInt64 = 0
    /// Went along with something written over.
    package var redacted: UInt64 = 0
    /// Went no further, because redaction reached a limit.
    package var notRedactable: UInt64 = 0
    /// Went along, because a pattern of `keep` or `drop` reached a limit.
    package var undecided: UInt64 = 0

    package init() {}

    package var filtered: UInt64 { notKept &+ dropped &+ notSampled }

    /// Of two filters, one after the other.
    package static func + (a: RecordFilterCounts, b: RecordFilterCounts) -> RecordFilterCounts {
        var sum = a
        sum.notKept &+= b.notKept
        sum.dropped &+= b.dropped
        sum.notSampled &+= b.notSampled
        sum.redacted &+= b.redacted
        sum.notRedactable &+= b.notRedactable
        sum.undecided &+= b.undecided
        return sum
    }
}
