/// Holds what was written against what arrived: of every source, every number once, and the first arrivals in order.
struct LineBalance {
    fileprivate struct Tally {
        let written: Int
        /// A bit per number.
        var seen: [UInt64]
        var last = -1
        var arrived = 0
        var duplicates = 0
        var misplaced = 0
    }
    fileprivate var tallies: [Tally]
    private let names: [[UInt8]: Int]
    /// Lines that nobody wrote.
    private(set) var foreign = 0

    /// - Parameter written: how many lines each source has written, numbered from 0.
    init(written: [(source: String, lines: Int)]) {
        tallies = written.map { Tally(written: $0.lines, seen: Array(repeating: 0, count: ($0.lines + 63) / 64)) }
        var names: [[UInt8]: Int] = [:]
        for (index, entry) in written.enumerated() { names[Array(entry.source.utf8)] = index }
        self.names = names
    }

    /// Takes one line as it was read back. Lines of one source must come in the order in which they arrived.
    mutating func add(_ line: UnsafeRawBufferPointer) {
        guard let (source, number) = NumberedLine.parse(line), let index = names[Array(source)],
            number < tallies[index].written
        else {
            foreign += 1
            return
        }
        tallies[index].add(number)
    }

    var written: Int { tallies.reduce(0) { $0 + $1.written } }
    /// Different lines that arrived.
    var arrived: Int { tallies.reduce(0) { $0 + $1.arrived } }
    var lost: Int { written - arrived }
    var duplicates: Int { tallies.reduce(0) { $0 + $1.duplicates } }
    /// First arrivals that came after a later line of the same source.
    var misplaced: Int { tallies.reduce(0) { $0 + $1.misplaced } }
    /// Nothing is missing, nothing is in the wrong place, nothing is there that nobody wrote.
    var closes: Bool { lost == 0 && misplaced == 0 && foreign == 0 }
}

extension LineBalance.Tally {
    fileprivate mutating func add(_ number: Int) {
        let bit = (1 as UInt64) << UInt64(number % 64)
        if seen[number / 64] & bit != 0 {
            duplicates += 1
            return
        }
        seen[number / 64] |= bit
        arrived += 1
        if number < last { misplaced += 1 }
        last = max(last, number)
    }
}
