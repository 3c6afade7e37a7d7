import Glibc

/// Wall clock and processor time since it was made.
package struct Stopwatch: Sendable {
    private let begin = ContinuousClock.now
    private let processor = Self.processorSeconds()

    package init() {}

    /// Prints "events=N seconds=S processor=S peak=KIB"; ends the program when not all were sent.
    package func report(_ sent: Int, of events: Int) {
        let time = ContinuousClock.now - begin
        let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        print(
            "events=\(sent) seconds=\(seconds) processor=\(Self.processorSeconds() - processor) peak=\(usage.ru_maxrss)"
        )
        if sent != events { exit(1) }
    }

    private static func processorSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}
