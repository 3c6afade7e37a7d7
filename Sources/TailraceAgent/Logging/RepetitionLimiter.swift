/// Decides which log lines are written, so that an error that repeats cannot fill a disk.
///
/// Each message site (file and line of the source) may write `burst` lines per `period`; more are counted, and told by
/// one summary when the period is over. Time comes from outside: a monotonic clock in milliseconds.
package struct RepetitionLimiter: Sendable {
    package struct Site: Hashable, Sendable {
        package var file: String
        package var line: UInt

        package init(file: String, line: UInt) {
            self.file = file
            self.line = line
        }
    }

    /// What to tell about a site whose period is over.
    package struct Summary: Equatable, Sendable {
        /// The first message that was left out.
        package var message: String
        package var repetitions: Int

        package init(message: String, repetitions: Int) {
            self.message = message
            self.repetitions = repetitions
        }
    }

    private struct Window {
        var end: Int64
        var written: Int
        var suppressed = 0
        var message = ""

        var summary: Summary? { suppressed > 0 ? Summary(message: message, repetitions: suppressed) : nil }
    }

    /// Lines per site and period.
    package let burst: Int
    /// Milliseconds.
    package let period: Int64
    /// Sites remembered at most; when there are more, the oldest window gives way.
    package let siteLimit: Int
    private var windows: [Site: Window] = [:]
    /// Of windows that gave way.
    private var left: [Summary] = []
    /// No window ends before this time, so that most calls need not look at them.
    private var nextEnd = Int64.max

    package init(burst: Int = 10, period: Int64 = 10_000, siteLimit: Int = 256) {
        self.burst = burst
        self.period = period
        self.siteLimit = siteLimit
    }

    /// True when the line of `site` may be written now.
    package mutating func admit(_ site: Site, message: @autoclosure () -> String, now: Int64) -> Bool {
        guard var window = windows[site] else {
            if windows.count >= siteLimit, let oldest = windows.min(by: { $0.value.end < $1.value.end })?.key {
                if let window = windows.removeValue(forKey: oldest), let summary = window.summary {
                    left.append(summary)
                    nextEnd = now
                }
            }
            windows[site] = Window(end: now + period, written: 1)
            nextEnd = min(nextEnd, now + period)
            return true
        }
        if window.written < burst {
            window.written += 1
            windows[site] = window
            return true
        }
        if window.suppressed == 0 { window.message = message() }
        window.suppressed += 1
        windows[site] = window
        return false
    }

    /// Ends the periods that are over at `now` and returns what was left out in them. Call before `admit`, and now and then:
    /// a message that comes no more does not end its own period.
    ///
    /// - Parameter endsAll: nothing more is written: all periods end.
    package mutating func summaries(now: Int64, endsAll: Bool = false) -> [Summary] {
        guard now >= nextEnd || endsAll else { return [] }
        var summaries = left
        left = []
        for (site, window) in windows where endsAll || now >= window.end {
            if let summary = window.summary { summaries.append(summary) }
            windows[site] = nil
        }
        nextEnd = windows.values.map(\.end).min() ?? .max
        return summaries
    }
}
