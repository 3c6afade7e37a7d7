/// How long to wait between attempts: exponential with full jitter, so that a thousand producers that lost the same
/// service do not come back in the same moment. The number of attempts has no limit.
package struct RetryPolicy: Equatable, Sendable {
    /// The longest wait before the first retry. Short: most refusals are a connection that was replaced.
    package var first: Duration
    /// The longest wait that we choose ourselves.
    package var cap: Duration
    /// The longest wait that a service can make us do.
    package var suggestedCap: Duration

    package init(
        first: Duration = .milliseconds(50), cap: Duration = .seconds(30), suggestedCap: Duration = .seconds(300)
    ) {
        precondition(first > .zero && cap >= first && suggestedCap >= .zero)
        self.first = first
        self.cap = cap
        self.suggestedCap = suggestedCap
    }

    /// The wait before the next attempt.
    ///
    /// - Parameters:
    ///   - failures: attempts that failed in a row, at least 1.
    ///   - suggested: what the service asked for: a lower limit, to which the jitter is added.
    package func delay(
        afterFailures failures: Int, suggested: Duration?, using random: inout some RandomNumberGenerator
    ) -> Duration {
        precondition(failures > 0)
        var longest = first
        var doublings = failures - 1
        while doublings > 0, longest < cap {
            longest *= 2
            doublings -= 1
        }
        longest = min(longest, cap)
        // In whole microseconds: finer jitter buys nothing, and the numbers stay far from overflow.
        let (seconds, attoseconds) = longest.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        let jitter = Duration.microseconds(Int64.random(in: 0...microseconds, using: &random))
        guard let suggested, suggested > .zero else { return jitter }
        return min(suggested, suggestedCap) + jitter
    }
}
