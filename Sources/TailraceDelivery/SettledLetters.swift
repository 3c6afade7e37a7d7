package import TailraceSpool

/// Which dead letters of an output are no longer there: replayed, or dropped by hand. Ids of its dead-letter area.
///
/// Lies in the main spool as a position, in the same frame as the records that were replayed: a crash finds both or neither.
/// As text: the id below which all are settled, and then what is above it, such as `17 20 22-30`.
package struct SettledLetters: Equatable, Sendable {
    /// Ascending, with something between any two.
    package private(set) var ranges: [Range<UInt64>] = []

    /// Ranges at most, so that a position stays small: who picks single records out of very many has to settle what is
    /// before them at some time.
    package static let maximumRanges = 1000

    package init() {}

    package init(_ ranges: some Sequence<Range<UInt64>>) {
        for range in ranges { insert(range) }
    }

    /// Under which key it lies among the main spool's positions.
    package static func key(output: String) -> SourceKey { SourceKey(Array("dead-letters:\(output)".utf8)) }

    /// All ids below are settled.
    package var floor: UInt64 { ranges.first.map { $0.lowerBound == 0 ? $0.upperBound : 0 } ?? 0 }

    /// Ids from here on are not settled.
    package var end: UInt64 { ranges.last?.upperBound ?? 0 }

    package func contains(_ id: UInt64) -> Bool {
        let next = firstRange(endingAfter: id)
        return next < ranges.count && ranges[next].contains(id)
    }

    /// The parts of `range` that are not settled, ascending.
    package func rest(of range: Range<UInt64>) -> [Range<UInt64>] {
        var rest: [Range<UInt64>] = []
        var next = range.lowerBound
        for settled in ranges[firstRange(endingAfter: range.lowerBound)...] where next < range.upperBound {
            if settled.lowerBound > next { rest.append(next..<min(settled.lowerBound, range.upperBound)) }
            next = max(next, settled.upperBound)
        }
        if next < range.upperBound { rest.append(next..<range.upperBound) }
        return rest
    }

    /// What of the ranges is below `end`.
    package func clamped(to end: UInt64) -> [Range<UInt64>] {
        ranges.map { $0.clamped(to: 0..<end) }.filter { !$0.isEmpty }
    }

    package mutating func insert(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        var range = range
        // What touches it becomes a part of it.
        let first = range.lowerBound == 0 ? 0 : firstRange(endingAfter: range.lowerBound - 1)
        var end = first
        while end < ranges.count, ranges[end].lowerBound <= range.upperBound {
            range = min(range.lowerBound, ranges[end].lowerBound)..<max(range.upperBound, ranges[end].upperBound)
            end += 1
        }
        ranges.replaceSubrange(first..<end, with: [range])
    }

    private func firstRange(endingAfter id: UInt64) -> Int {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: As text

    /// The position's value.
    package var value: [UInt8] {
        let above = ranges.filter { $0.lowerBound > 0 }
        return Array(([String(floor)] + above.map(Self.text)).joined(separator: " ").utf8)
    }

    /// `7`, or `7-9`.
    package static func text(_ range: Range<UInt64>) -> String {
        range.lowerBound + 1 == range.upperBound ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound - 1)"
    }

    /// Nil for what `text` does not write.
    package static func range(_ text: some StringProtocol) -> Range<UInt64>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(ends.count), let first = UInt64(ends[0]), let last = UInt64(ends[ends.count - 1]),
            first <= last, last < .max
        else { return nil }
        return first..<(last + 1)
    }

    /// Nil for what no version wrote that we know.
    package init?(value: [UInt8]) {
        let words = String(decoding: value, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        guard let first = words.first, let floor = UInt64(first) else { return nil }
        insert(0..<floor)
        for word in words.dropFirst() {
            guard let range = Self.range(word), range.lowerBound > end else { return nil }
            insert(range)
        }
    }
}
