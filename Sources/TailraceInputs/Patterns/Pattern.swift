import CTailrace

/// A compiled regular expression, in PCRE2's syntax (Perl's).
///
/// It matches bytes, so that lines of any encoding are welcome; `(*UTF)` at its beginning makes it match characters, and
/// never what is not UTF-8. It never changes: any thread may make a matcher of it and use that alone.
package final class Pattern: Sendable {
    package let text: String
    /// Numbered groups.
    package let groups: Int
    // The compiled code never changes.
    nonisolated(unsafe) fileprivate let code: tailrace_pattern

    /// Bytes of a pattern at most.
    package static let maximumLength = 16 << 10

    package init(_ text: String) throws(PatternError) {
        guard text.utf8.count <= Self.maximumLength else {
            throw PatternError(.syntax(offset: Self.maximumLength), "it has more than \(Self.maximumLength) bytes")
        }
        var text = text
        var problem = tailrace_pattern_problem()
        let code = text.withUTF8 { tailrace_pattern_compile($0.baseAddress, $0.count, &problem) }
        guard let code else {
            let reason = withUnsafeBytes(of: problem.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            throw PatternError(problem.code == 0 ? .library : .syntax(offset: problem.offset), reason)
        }
        self.text = text
        self.code = code
        groups = Int(tailrace_pattern_groups(code))
    }

    deinit { tailrace_pattern_free(code) }

    /// Whether it became machine code; where the system forbids that, it is interpreted, which takes longer.
    package var isNative: Bool { tailrace_pattern_is_native(code) != 0 }
}

extension Pattern: Equatable {
    package static func == (a: Pattern, b: Pattern) -> Bool { a.text == b.text }
}

/// Why there is no pattern.
package struct PatternError: Error, Equatable, CustomStringConvertible {
    package enum Kind: Equatable, Sendable {
        /// The library is not installed.
        case library
        /// At this byte.
        case syntax(offset: Int)
    }

    package let kind: Kind
    package let reason: String

    init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }

    package var description: String {
        switch kind {
        case .library: "patterns need the library PCRE2 (\(reason))"
        case .syntax(let offset): "\(reason), at byte \(offset)"
        }
    }

    package var remedy: String {
        switch kind {
        case .library: "install Debian's libpcre2-8-0"
        case .syntax: "correct the regular expression (man 3 pcre2syntax); in single quotes a backslash is only one"
        }
    }
}

/// What one owner needs to match a pattern: for one thread at a time.
///
/// Nothing is allocated per match. Steps, memory and time are limited: no pattern can keep a thread for longer than
/// about `PatternBudget.limit`, whatever the bytes are.
package final class PatternMatcher {
    package let pattern: Pattern
    private let matcher: tailrace_matcher

    package enum Finding: Equatable, Sendable {
        case found
        case notFound
        /// A limit was reached: nobody knows.
        case gaveUp
    }

    package init(_ pattern: Pattern) {
        self.pattern = pattern
        matcher = tailrace_matcher_make(pattern.code)
    }

    deinit { tailrace_matcher_free(matcher) }

    /// Whether the pattern matches anywhere in `bytes`.
    package func find(in bytes: UnsafeRawBufferPointer) -> Finding {
        var budget = PatternBudget()
        return find(in: bytes, from: 0, budget: &budget)
    }

    /// The first match that begins at `start` or behind it; what is before may be looked back at.
    ///
    /// - Parameters:
    ///   - notEmpty: an empty match at `start` itself does not count.
    ///   - budget: shared by the calls that belong together.
    package func find(
        in bytes: UnsafeRawBufferPointer, from start: Int, notEmpty: Bool = false, budget: inout PatternBudget
    ) -> Finding {
        precondition(start >= 0 && start <= bytes.count)
        let result = tailrace_matcher_find(
            matcher, bytes.baseAddress, bytes.count, start, notEmpty ? 1 : 0, &budget.deadline)
        switch result {
        case Int32(TAILRACE_FOUND): return .found
        case 0: return .notFound
        default: return .gaveUp
        }
    }

    /// Where group `number` of the last match lies; 0 is the whole. Nil when it took no part in the match.
    package func group(_ number: Int) -> Range<Int>? {
        var begin = 0, end = 0
        guard number >= 0, tailrace_matcher_group(matcher, UInt32(clamping: number), &begin, &end) != 0 else {
            return nil
        }
        return begin..<end
    }
}

/// The time that matches which belong together (all of one record) may take: about half a second, for what a
/// reasonable pattern does with a line takes microseconds.
package struct PatternBudget {
    /// CLOCK_MONOTONIC in nanoseconds; 0 = nothing has taken long yet.
    fileprivate var deadline: Int64 = 0

    package init() {}

    /// Starts the clock: many short matches may take long together.
    package mutating func isSpent() -> Bool { tailrace_budget_is_spent(&deadline) != 0 }
}
