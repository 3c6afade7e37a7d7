/// Tells, per input, how many records the outputs have acknowledged: a queue of what was taken out of the spool, in the
/// order of the sequence ids, that is shortened as the acknowledged ids move on.
///
/// Its length is bounded by what an output reads ahead of its acknowledgements.
struct SequenceAccount {
    private struct Span {
        var first: UInt64
        var end: UInt64
        var input: Int
    }
    /// Ids below this lay in the spool at the start and belong to no input's balance.
    let start: UInt64
    private var spans: [Span] = []
    /// Spans before this index are done with.
    private var head = 0
    private(set) var acknowledged: [UInt64]

    init(start: UInt64, inputs: Int) {
        self.start = start
        acknowledged = Array(repeating: 0, count: inputs)
    }

    /// Spans that wait for their acknowledgement.
    var count: Int { spans.count - head }

    /// Notes that the ids from `first` on, `count` of them, belong to `input`. What was noted before is passed over: an
    /// output may read again what it had not got acknowledged.
    mutating func note(first: UInt64, count: Int, input: Int) {
        let end = first &+ UInt64(max(0, count))
        let first = max(first, start, spans.last?.end ?? 0)
        guard end > first, acknowledged.indices.contains(input) else { return }
        if spans.count > head, let last = spans.last, last.input == input, last.end == first {
            spans[spans.count - 1].end = end
        } else {
            spans.append(Span(first: first, end: end, input: input))
        }
    }

    /// Every id below `floor` is acknowledged by every output.
    mutating func acknowledge(below floor: UInt64) {
        while head < spans.count, spans[head].first < floor {
            let end = min(spans[head].end, floor)
            acknowledged[spans[head].input] += end - spans[head].first
            if end < spans[head].end {
                spans[head].first = end
                return
            }
            // The last span stays, as the mark of what was noted.
            if head == spans.count - 1 {
                spans[head].first = end
                break
            }
            head += 1
        }
        if head > 64, head > spans.count / 2 {
            spans.removeFirst(head)
            head = 0
        }
    }
}
