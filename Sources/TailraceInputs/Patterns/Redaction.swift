/// One thing to hide: what matches the pattern is written over by the replacement.
package struct RedactionRule: Equatable, Sendable {
    package let pattern: Pattern
    package let replacement: Replacement

    package init(_ pattern: Pattern, _ replacement: Replacement) {
        self.pattern = pattern
        self.replacement = replacement
    }
}

/// What stands in for a match: text in which `$1` to `$99` (or `${1}`) are the pattern's groups, `$0` is the match, and
/// `$$` is a dollar.
package struct Replacement: Equatable, Sendable {
    enum Part: Equatable, Sendable {
        case text([UInt8])
        case group(Int)
    }
    let parts: [Part]

    /// Nil when a group is named that the pattern (with `groups` of them) does not have, or `${` is not closed.
    package init?(_ text: String, groups: Int) {
        var parts: [Part] = []
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "$") else {
                bytes.append(byte)
                continue
            }
            if rest.first == UInt8(ascii: "$") {
                rest.removeFirst()
                bytes.append(byte)
                continue
            }
            let isBraced = rest.first == UInt8(ascii: "{")
            var digits = isBraced ? rest.dropFirst() : rest
            var number = 0
            var count = 0
            while count < 2, let digit = digits.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) {
                number = number * 10 + Int(digit - UInt8(ascii: "0"))
                count += 1
                digits.removeFirst()
            }
            if isBraced {
                guard count > 0, digits.popFirst() == UInt8(ascii: "}") else { return nil }
            } else if count == 0 {
                // A dollar before anything else is a dollar.
                bytes.append(byte)
                continue
            }
            guard number <= groups else { return nil }
            rest = digits
            if !bytes.isEmpty { parts.append(.text(bytes)) }
            bytes = []
            parts.append(.group(number))
        }
        if !bytes.isEmpty { parts.append(.text(bytes)) }
        self.parts = parts
    }
}

/// Applies the rules in order to one body after the other. For one thread at a time; allocates nothing once warm.
package struct Redactor {
    private struct Rule {
        var matcher: PatternMatcher
        var parts: [Replacement.Part]
    }
    private let rules: [Rule]
    /// The body after the last rule that matched, and the room of the next.
    private var current: [UInt8] = []
    private var next: [UInt8] = []

    package enum Outcome: Equatable, Sendable {
        case unchanged
        /// `body` has it.
        case changed
        /// A limit was reached: what the record holds is not known to be harmless.
        case gaveUp
    }

    package init(_ rules: [RedactionRule]) {
        self.rules = rules.map { Rule(matcher: PatternMatcher($0.pattern), parts: $0.replacement.parts) }
    }

    package var isEmpty: Bool { rules.isEmpty }
    /// What `redact` made, until its next call.
    package var body: [UInt8] { current }

    /// - Parameter limit: bytes that the body may become; beyond, the redactor gives up.
    package mutating func redact(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Outcome {
        var budget = PatternBudget()
        var isChanged = false
        for rule in rules {
            let outcome: Outcome
            if isChanged {
                outcome = current.withUnsafeBytes { Self.apply(rule, to: $0, into: &next, limit: limit, &budget) }
            } else {
                outcome = Self.apply(rule, to: bytes, into: &next, limit: limit, &budget)
            }
            switch outcome {
            case .unchanged: continue
            case .gaveUp: return .gaveUp
            case .changed:
                swap(&current, &next)
                isChanged = true
            }
        }
        return isChanged ? .changed : .unchanged
    }

    private static func apply(
        _ rule: Rule, to bytes: UnsafeRawBufferPointer, into output: inout [UInt8], limit: Int,
        _ budget: inout PatternBudget
    ) -> Outcome {
        var matches = 0
        /// What has been copied, and where the next match may begin.
        var copied = 0
        var at = 0
        var isAfterMatch = false
        output.removeAll(keepingCapacity: true)
        search: while at <= bytes.count {
            switch rule.matcher.find(in: bytes, from: at, notEmpty: isAfterMatch, budget: &budget) {
            case .gaveUp: return .gaveUp
            case .notFound: break search
            case .found: break
            }
            // With \K or a look-behind a match may reach back before what is done already.
            guard let match = rule.matcher.group(0), match.lowerBound >= copied else { return .gaveUp }
            matches += 1
            if matches & 255 == 0, budget.isSpent() { return .gaveUp }
            output.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[copied..<match.lowerBound]))
            for part in rule.parts {
                switch part {
                case .text(let text): output.append(contentsOf: text)
                case .group(let number):
                    if let range = rule.matcher.group(number) {
                        output.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[range]))
                    }
                }
            }
            guard output.count <= limit else { return .gaveUp }
            copied = match.upperBound
            at = match.upperBound
            isAfterMatch = true
        }
        guard matches > 0 else { return .unchanged }
        output.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[copied...]))
        return output.count <= limit ? .changed : .gaveUp
    }
}
