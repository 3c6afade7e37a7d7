/// Tells, per input, how many records the outputs have acknowledged: a queue of what was taken out of the spool, in the
/// order of the sequence ids, that is shortened as the acknowledged ids move on.
///
/// Several outputs may tell it, each in the order of the ids: what one has told before the others counts. Its length is
/// bounded: when a fast output takes more ahead of a slow one than there is room for, neighbours become one, and such a one
/// counts when all of it is acknowledged. Nothing is left out by that, it is only told later, by `grain` records at most.
struct SequenceAccount {
    /// Spans at most: half a megabyte, or two where neighbours became one.
    static let limit = 1 << 14

    private struct Span {
        var first: UInt64
        var end: UInt64
        /// Whose the ids are; all of them, when there is one.
        var input: Int
        /// Of several inputs, or with ids in between that are nobody's: how many are whose.
        var shares: [Share]?

        var count: UInt64 { shares.map { $0.reduce(0) { $0 + $1.count } } ?? end - first }

        /// Takes in the one behind it.
        mutating func join(_ next: Span) {
            if shares == nil, next.shares == nil, input == next.input, end == next.first {
                end = next.end
                return
            }
            var joint = shares ?? [Share(input: input, count: end - first)]
            for share in next.shares ?? [Share(input: next.input, count: next.end - next.first)] {
                if let index = joint.firstIndex(where: { $0.input == share.input }) {
                    joint[index].count += share.count
                } else {
                    joint.append(share)
                }
            }
            shares = joint
            end = next.end
        }
    }
    private struct Share {
        var input: Int
        var count: UInt64
    }
    /// Ids below this lay in the spool at the start and belong to no input's balance.
    let start: UInt64
    private var spans: [Span] = []
    /// Spans before this index are done with.
    private var head = 0
    /// Every id below this has been told of.
    private var noted: UInt64
    /// By the inputs' numbers; of those beyond nothing was noted.
    private(set) var acknowledged: [UInt64]
    /// Records that may be told of at once, because there is no room to tell them apart.
    private(set) var grain: UInt64 = 1
    private let limit: Int

    init(start: UInt64, inputs: Int = 0, limit: Int = Self.limit) {
        self.start = start
        noted = start
        self.limit = limit
        acknowledged = Array(repeating: 0, count: inputs)
    }

    /// Spans that wait for their acknowledgement.
    var count: Int { spans.count - head }

    /// Notes that the ids from `first` on, `count` of them, belong to `input`. What was noted before is passed over: an
    /// output may read again what it had not got acknowledged.
    mutating func note(first: UInt64, count: Int, input: Int) {
        let end = first &+ UInt64(max(0, count))
        let first = max(first, noted)
        guard end > first, input >= 0 else { return }
        noted = end
        while acknowledged.count <= input { acknowledged.append(0) }
        let span = Span(first: first, end: end, input: input)
        if self.count > 0, let last = spans.last, isSame(last, span) || last.count + span.count <= grain {
            spans[spans.count - 1].join(span)
        } else {
            spans.append(span)
            if self.count > limit { makeRoom() }
        }
    }

    private func isSame(_ span: Span, _ next: Span) -> Bool {
        span.shares == nil && span.input == next.input && span.end == next.first
    }

    private mutating func makeRoom() {
        removeHead()
        while spans.count > limit / 2 {
            grain *= 2
            var joint: [Span] = []
            for span in spans {
                if let last = joint.last, last.count + span.count <= grain {
                    joint[joint.count - 1].join(span)
                } else {
                    joint.append(span)
                }
            }
            spans = joint
        }
    }

    private mutating func removeHead() {
        spans.removeFirst(head)
        head = 0
    }

    /// Every id below `floor` is acknowledged by every output.
    mutating func acknowledge(below floor: UInt64) {
        while head < spans.count, spans[head].first < floor {
            if let shares = spans[head].shares {
                guard spans[head].end <= floor else { break }
                for share in shares { acknowledged[share.input] += share.count }
            } else {
                let end = min(spans[head].end, floor)
                acknowledged[spans[head].input] += end - spans[head].first
                if end < spans[head].end {
                    spans[head].first = end
                    break
                }
            }
            head += 1
        }
        if head > 64, head > spans.count / 2 { removeHead() }
        if count == 0 { grain = 1 }
    }
}
