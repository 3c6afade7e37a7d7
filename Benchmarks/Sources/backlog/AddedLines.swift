import Measuring

/// Lines that come at a rate while a backlog is sent, and when each was seen to be durable. They are the only ones that are
/// appended to the spool meanwhile: the id of the first one not durable yet tells how many are.
struct AddedLines {
    private let file: LineFile
    private let rate: Int
    /// Ids below were there before.
    private let base: Int
    private let begin = seconds()
    private var written = 0
    /// How many were written by when, of those that are not durable yet.
    private var waiting: [(end: Int, time: Double)] = []
    private(set) var waits = Waits()

    init(file: LineFile, rate: Int, base: Int) {
        self.file = file
        self.rate = rate
        self.base = base
    }

    /// Writes those that are due.
    mutating func write(_ now: Double) {
        let due = Int((now - begin) * Double(rate))
        guard due > written else { return }
        file.append(due - written)
        written = due
        waiting.append((due, now))
    }

    mutating func see(_ committed: Int, at now: Double) {
        while let first = waiting.first, base + first.end <= committed {
            waits.add((now - first.time) * 1000)
            waiting.removeFirst()
        }
    }
}

/// Milliseconds.
struct Waits {
    private var values: [Double] = []

    mutating func add(_ value: Double) { values.append(value) }

    /// What so many of them (of 1) do not exceed.
    func share(_ share: Double) -> Double {
        guard !values.isEmpty else { fail("see a line that was added become durable", 0) }
        let sorted = values.sorted()
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
}
