@testable import tailrace

/// What arrived of the torture's logs: every line once, in order, with the log's own path as its source.
struct TortureBalance: CustomStringConvertible {
    private struct Tally {
        var name: String
        var path: String
        var written: TortureLog.State
        var seen: [Bool]
        var last = -1
        /// Numbers in the order of arrival, as runs.
        var runs: [Range<Int>] = []
    }
    private var tallies: [Tally]
    private(set) var duplicates = 0
    /// First arrivals that came after a later line of the same log.
    private(set) var misplaced = 0
    /// Lines that nobody wrote: torn, joined, from elsewhere.
    private(set) var foreign = 0
    /// Lines whose `source` is not their log's path.
    private(set) var mislabelled = 0
    private var examples: [String] = []

    init(_ logs: [TortureLog]) {
        tallies = logs.map { log in
            let written = log.exclusively { $0 }
            return Tally(
                name: log.name, path: log.path, written: written, seen: Array(repeating: false, count: written.lines))
        }
    }

    /// Takes one record as it was read back, in the order of arrival of its partition.
    mutating func add(_ body: [UInt8], source: String?) {
        let parsed = body.withUnsafeBytes { bytes in
            NumberedLine.parse(bytes).map { (String(decoding: $0.source, as: UTF8.self), $0.number) }
        }
        guard let (name, number) = parsed, let index = tallies.firstIndex(where: { $0.name == name }),
            number < tallies[index].written.lines
        else {
            foreign += 1
            note("foreign: \(String(decoding: body.prefix(200), as: UTF8.self))")
            return
        }
        if let last = tallies[index].runs.last, last.upperBound == number {
            tallies[index].runs[tallies[index].runs.count - 1] = last.lowerBound..<(number + 1)
        } else {
            tallies[index].runs.append(number..<(number + 1))
        }
        if source != tallies[index].path {
            mislabelled += 1
            note("label of \(name) \(number): \(source ?? "none")")
        }
        if tallies[index].seen[number] {
            duplicates += 1
            note("twice: \(place(number, tallies[index]))")
            return
        }
        tallies[index].seen[number] = true
        if number < tallies[index].last {
            misplaced += 1
            note("late: \(place(number, tallies[index])), after \(place(tallies[index].last, tallies[index]))")
        }
        tallies[index].last = max(tallies[index].last, number)
    }

    private mutating func note(_ example: String) {
        if examples.count < 40 { examples.append(example) }
    }

    private func place(_ number: Int, _ tally: Tally) -> String {
        let index = tally.written.generations.lastIndex { $0.first <= number } ?? 0
        let end = tally.written.generations[index].end
        return "\(tally.name) line \(number), generation \(index), which ended by \(end)"
    }

    /// Of the logs of which something came more than once, late or not at all: which lines came in which order, and what file
    /// was rotated how, when.
    var story: String {
        var lines: [String] = []
        for tally in tallies {
            let isWhole = tally.runs.indices.dropFirst().allSatisfy { index in
                (tally.runs[index - 1].upperBound..<max(tally.runs[index].lowerBound, tally.runs[index - 1].upperBound))
                    .allSatisfy(tally.written.window.contains)
                    && tally.runs[index].lowerBound >= tally.runs[index - 1].upperBound
            }
            if isWhole, tally.runs.last?.upperBound == tally.written.lines { continue }
            lines.append(
                "\(tally.name), in the order of arrival: \(tally.runs.map { "\($0.lowerBound)-\($0.upperBound - 1)" })")
            for (index, generation) in tally.written.generations.enumerated() {
                lines.append("\(tally.name), generation \(index) from line \(generation.first) on: \(generation)")
            }
        }
        return lines.joined(separator: "\n")
    }

    var written: Int { tallies.reduce(0) { $0 + $1.written.lines } }
    var arrived: Int { tallies.reduce(0) { $0 + $1.seen.count { $0 } } }
    var generations: Int { tallies.reduce(0) { $0 + $1.written.generations.count } }

    /// Lines that nobody can promise: written between copy and truncation.
    var window: Int { tallies.reduce(0) { $0 + $1.written.window.count } }
    /// Of those, the ones that did not arrive.
    var lostInWindow: Int {
        tallies.reduce(0) { sum, tally in sum + tally.written.window.count { !tally.seen[$0] } }
    }
    /// All others that did not arrive.
    var lost: Int { written - arrived - lostInWindow }

    var description: String {
        var lines = [
            "\(written) lines in \(generations) generations: arrived \(arrived), lost \(lost), twice \(duplicates), out of"
                + " order \(misplaced), mislabelled \(mislabelled), foreign \(foreign); between copy and truncation"
                + " \(window), of them not arrived \(lostInWindow)"
        ]
        for tally in tallies {
            var runs: [Range<Int>] = []
            for number in 0..<tally.written.lines where !tally.seen[number] && !tally.written.window.contains(number) {
                if let last = runs.last, last.upperBound == number {
                    runs[runs.count - 1] = last.lowerBound..<(number + 1)
                } else {
                    runs.append(number..<(number + 1))
                }
            }
            lines += runs.prefix(20).map { "lost: \($0.count) lines from \(place($0.lowerBound, tally))" }
        }
        return (lines + examples).joined(separator: "\n")
    }
}
