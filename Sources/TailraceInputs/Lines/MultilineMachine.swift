/// Decides which lines belong together: lines in, verdicts out. For one thread at a time.
///
/// It holds nothing but the state of the record that is open, and lines are looked at once or again alike: whoever reads a
/// file anew from the beginning of a record comes to the same verdicts.
package struct MultilineMachine {
    private enum Kind {
        case start(PatternMatcher)
        case end(PatternMatcher)
        case indent
        case trace(starts: [Step], steps: [Step])
    }
    private struct Step {
        var from: Int
        var matcher: PatternMatcher
        var to: Int

        init(_ step: TraceRules.Step) {
            from = step.from
            matcher = PatternMatcher(step.pattern)
            to = step.to
        }
    }
    private let kind: Kind
    private let maximumLines: Int
    private var lines = 0
    /// Of a trace; 0 = nothing continues the line.
    private var state = 0

    package init(_ rules: MultilineRules) {
        switch rules.kind {
        case .start(let pattern): kind = .start(PatternMatcher(pattern))
        case .end(let pattern): kind = .end(PatternMatcher(pattern))
        case .indent: kind = .indent
        case .trace(let trace):
            kind = .trace(starts: trace.starts.map { Step($0) }, steps: trace.steps.map { Step($0) })
        }
        maximumLines = rules.maximumLines
    }

    /// Whether a record is open that another line may continue.
    package private(set) var isOpen = false

    /// `line` is the first of a record.
    package mutating func begin(_ line: UnsafeRawBufferPointer) {
        lines = 1
        switch kind {
        case .start, .indent: isOpen = true
        case .end(let matcher): isOpen = matcher.find(in: line) != .found
        case .trace(let starts, _):
            state = starts.isEmpty ? 1 : starts.first { $0.matcher.find(in: line) == .found }?.to ?? 0
            isOpen = state != 0
        }
    }

    /// Whether `line` continues the open record. If not, it is the first of the next: `begin` is to be called with it.
    package mutating func continues(_ line: UnsafeRawBufferPointer) -> Bool {
        guard isOpen else { return false }
        switch kind {
        case .start(let matcher):
            guard matcher.find(in: line) != .found else { return false }
        case .end(let matcher):
            if matcher.find(in: line) == .found { isOpen = false }
        case .indent:
            guard let first = line.first, first == UInt8(ascii: " ") || first == UInt8(ascii: "\t") else {
                return false
            }
        case .trace(_, let steps):
            guard let step = steps.first(where: { $0.from == state && $0.matcher.find(in: line) == .found }) else {
                return false
            }
            state = step.to
        }
        lines += 1
        if lines >= maximumLines { isOpen = false }
        return true
    }

    /// Nothing continues the open record.
    package mutating func close() { isOpen = false }
}
