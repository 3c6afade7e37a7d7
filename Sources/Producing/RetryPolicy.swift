/// How long to wait between attempts. The number of attempts has no limit here.
package struct RetryPolicy: Equatable, Sendable {
    package enum Growth: Equatable, Sendable {
        /// Twice as long after each failure in a row.
        case exponential
        /// Always the first wait.
        case fixed
    }

    package enum Jitter: Equatable, Sendable {
        /// Any wait from zero to the whole, so that a thousand producers that lost the same service do not come back in
        /// the same moment.
        case full
        /// The whole, and up to this share of it more.
        case share(Double)
        /// The whole, or up to this share of it less, but never less than the first wait: as Pulsar's clients wait.
        case shortened(Double)
    }

    /// The longest wait before the first retry. Short: most refusals are a connection that was replaced.
    package var first: Duration
    /// The longest wait that we choose ourselves.
    package var cap: Duration
    /// The longest wait that a service can make us do.
    package var suggestedCap: Duration
    package var growth: Growth
    package var jitter: Jitter

    package init(
        first: Duration = .milliseconds(50), cap: Duration = .seconds(30), suggestedCap: Duration = .seconds(300),
        growth: Growth = .exponential, jitter: Jitter = .full
    ) {
        precondition(first >= .zero && cap >= first && suggestedCap >= .zero)
        self.first = first
        self.cap = cap
        self.suggestedCap = suggestedCap
        self.growth = growth
        self.jitter = jitter
    }

    /// The wait before the next attempt.
    ///
    /// - Parameters:
    ///   - failures: attempts that failed in a row, at least 1.
    ///   - suggested: what the service asked for: a lower limit.
    package func delay(
        afterFailures failures: Int, suggested: Duration?, using random: inout some RandomNumberGenerator
    ) -> Duration {
        precondition(failures > 0)
        var longest = first
        if growth == .exponential {
            var doublings = failures - 1
            while doublings > 0, longest > .zero, cap > longest {
                longest *= 2
                doublings -= 1
            }
        }
        longest = min(longest, cap)
        let suggested = min(max(suggested ?? .zero, .zero), suggestedCap)
        switch jitter {
        case .full: return suggested + Self.random(upTo: longest, &random)
        case .share(let share):
            let wait = max(longest, suggested)
            return wait + Self.random(upTo: wait * share, &random)
        case .shortened(let share):
            return max(max(longest - Self.random(upTo: longest * share, &random), first), suggested)
        }
    }

    /// The wait before the next attempt at a service that works and asked for less: the same every time, and up to a
    /// quarter more.
    package func delay(whenThrottled suggested: Duration, using random: inout some RandomNumberGenerator) -> Duration {
        let wait = min(max(suggested, .zero), suggestedCap)
        return wait + Self.random(upTo: wait / 4, &random)
    }

    /// In whole microseconds: finer jitter buys nothing, and the numbers stay far from overflow.
    private static func random(upTo longest: Duration, _ random: inout some RandomNumberGenerator) -> Duration {
        let (seconds, attoseconds) = longest.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        return .microseconds(Int64.random(in: 0...max(0, microseconds), using: &random))
    }
}
