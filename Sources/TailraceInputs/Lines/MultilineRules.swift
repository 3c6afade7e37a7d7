/// How the lines of a file are put together to records of several lines.
package struct MultilineRules: Equatable, Sendable {
    package enum Kind: Equatable, Sendable {
        /// A line that matches begins a record; others continue it.
        case start(Pattern)
        /// A line that matches ends a record.
        case end(Pattern)
        /// A line that begins with a space or a tab continues a record.
        case indent
        /// The traces of a language's run-time; every other line is a record.
        case trace(TraceRules)
    }

    package var kind: Kind
    /// A record with so many lines ends.
    package var maximumLines = Self.defaultMaximumLines
    /// A record ends when its file has not grown for so long; after ten times as long in any case.
    package var timeout = Self.defaultTimeout

    package static let defaultMaximumLines = 500
    package static let defaultTimeout = Duration.seconds(1)
    /// Fewer than the lines of a batch, so that every record ends within one.
    package static let lineLimits: ClosedRange<Int64> = 2...10_000

    package init(_ kind: Kind) { self.kind = kind }
}

/// Which lines belong to a trace: states with the lines that lead from one to the next.
package struct TraceRules: Equatable, Sendable {
    struct Step: Equatable, Sendable {
        var from: Int
        var pattern: Pattern
        var to: Int
    }
    /// What a trace's first line matches, from state 0; empty: any line may be a first one, with state 1 after it.
    var starts: [Step]
    var steps: [Step]

    /// `at …`, `Caused by: …`, `Suppressed: …`, `… more` continue the line before them.
    package static func java() throws(PatternError) -> TraceRules {
        let more = try Pattern(
            #"^(?:[ \t]+(?:eval )?at |[ \t]*(?:Caused by|Suppressed): |[ \t]+\.\.\. \d|[ \t]+- (?:locked|waiting|parking)"#
                + #"|[ \t]*nested exception is:|[ \t]+--- End of )"#)
        return TraceRules(starts: [], steps: [Step(from: 1, pattern: more, to: 1)])
    }

    /// From `Traceback` to the line of the exception, with the exceptions that it was raised in or from.
    package static func python() throws(PatternError) -> TraceRules {
        let traceback = try Pattern(#"Traceback \(most recent call last\):\r?$"#)
        let group = try Pattern(#"^[ \t|]*\+ Exception Group Traceback \(most recent call last\):\r?$"#)
        let indented = try Pattern(#"^[ \t]"#)
        let exception = try Pattern(#"^[A-Za-z_][\w.]*(?::|\r?$)"#)
        let blank = try Pattern(#"^\r?$"#)
        let chain = try Pattern(#"^(?:During handling of the above|The above exception was the direct)"#)
        return TraceRules(
            starts: [
                Step(from: 0, pattern: group, to: 6), Step(from: 0, pattern: traceback, to: 1),
            ],
            steps: [
                Step(from: 1, pattern: indented, to: 1), Step(from: 1, pattern: exception, to: 2),
                Step(from: 2, pattern: indented, to: 2), Step(from: 2, pattern: blank, to: 3),
                Step(from: 3, pattern: chain, to: 4), Step(from: 4, pattern: blank, to: 5),
                Step(from: 5, pattern: group, to: 6), Step(from: 5, pattern: traceback, to: 1),
                Step(from: 6, pattern: indented, to: 6),
            ])
    }

    /// From `panic:` or `fatal error:` through the goroutines.
    package static func go() throws(PatternError) -> TraceRules {
        let panic = try Pattern(#"^(?:panic: |fatal error: |.*http: panic serving )"#)
        let header = try Pattern(#"^(?:\[signal |[ \t]|runtime: )"#)
        let blank = try Pattern(#"^\r?$"#)
        let goroutine = try Pattern(#"^(?:goroutine \d+|runtime stack:)"#)
        let frame = try Pattern(#"^(?:[ \t]|created by |\.\.\.|\S+\(.*\)\r?$)"#)
        return TraceRules(
            starts: [Step(from: 0, pattern: panic, to: 1)],
            steps: [
                Step(from: 1, pattern: header, to: 1), Step(from: 1, pattern: goroutine, to: 3),
                Step(from: 1, pattern: blank, to: 2), Step(from: 2, pattern: goroutine, to: 3),
                Step(from: 2, pattern: header, to: 1), Step(from: 3, pattern: frame, to: 3),
                Step(from: 3, pattern: goroutine, to: 3), Step(from: 3, pattern: blank, to: 2),
            ])
    }
}
