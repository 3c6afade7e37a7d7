/// Lets one message of a kind through per interval, and counts the others.
struct LogLimiter {
    private let interval: Duration
    private var next: ContinuousClock.Instant?
    private var suppressed = 0

    init(interval: Duration) { self.interval = interval }

    /// How many messages were suppressed since the last one; nil when this one is too.
    mutating func take(_ now: ContinuousClock.Instant) -> Int? {
        if let next, now < next {
            suppressed += 1
            return nil
        }
        next = now.advanced(by: interval)
        defer { suppressed = 0 }
        return suppressed
    }
}
