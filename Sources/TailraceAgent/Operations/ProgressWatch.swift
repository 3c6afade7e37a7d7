/// Health as progress: while records wait for an output, its acknowledged ids have to move.
///
/// Time comes from outside: a monotonic clock in milliseconds.
package struct ProgressWatch: Sendable {
    /// Milliseconds without an acknowledgement, with a backlog, after which an output counts as stuck.
    package let patience: Int64
    private struct Mark {
        var acknowledged: UInt64
        var since: Int64
    }
    private var marks: [String: Mark] = [:]

    package init(patience: Int64 = 60_000) { self.patience = patience }

    /// Notes how an output stands. Returns for how many milliseconds it has been stuck, nil when it is well.
    package mutating func note(_ output: String, acknowledged: UInt64, backlog: UInt64, now: Int64) -> Int64? {
        guard let mark = marks[output], mark.acknowledged == acknowledged, backlog > 0 else {
            marks[output] = Mark(acknowledged: acknowledged, since: now)
            return nil
        }
        return now - mark.since >= patience ? now - mark.since : nil
    }
}
