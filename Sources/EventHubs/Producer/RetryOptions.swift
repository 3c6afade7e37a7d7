internal import Producing

/// How often and when what failed is tried again. Only failures that may pass are: a wrong key, a missing hub or an event
/// that is too large fail at once.
public struct RetryOptions: Hashable, Sendable {
    /// How waits grow.
    public enum Mode: Hashable, Sendable {
        /// Twice as long before each retry as before the one before it.
        case exponential
        /// Always `delay`.
        case fixed
    }

    /// Attempts after the first; nil: no limit, for those who would rather wait than lose. 3 by default. A buffered client
    /// does not count attempts that the service throttled.
    public var maximumRetries: Int? = 3
    /// The wait before the first retry; 0.8 s by default. The service's own wish (four seconds when it throttles) is a
    /// lower limit for each wait.
    public var delay: Duration = .milliseconds(800)
    /// No wait of ours is longer, but for `jitter`; 120 s by default.
    public var maximumDelay: Duration = .seconds(120)
    /// `exponential` by default.
    public var mode = Mode.exponential
    /// Each wait becomes longer by a random share of it, at most this one, so that many clients do not come back in the
    /// same moment. 0.1 by default; 0: none.
    public var jitter = 0.1
    /// No wait that the service asks for is longer; tests cannot wait for seconds.
    package var maximumServiceDelay: Duration = .seconds(60)

    public init() {}

    var policy: RetryPolicy {
        let first = max(delay, .zero)
        return RetryPolicy(
            first: first, cap: max(maximumDelay, first), suggestedCap: max(maximumServiceDelay, .zero),
            growth: mode == .fixed ? .fixed : .exponential,
            jitter: .share(min(max(jitter, 0), 1)))
    }
}

/// The attempts at one operation: what comes after each failure. A value without clock.
struct RetrySeries {
    private let options: RetryOptions
    /// Of the whole operation.
    private let deadline: ContinuousClock.Instant?
    private(set) var failures = 0

    init(_ options: RetryOptions, deadline: ContinuousClock.Instant?) {
        self.options = options
        self.deadline = deadline
    }

    /// The wait before the next attempt; nil: there is none, because no attempt is left, none is of use, or the deadline
    /// would pass during the wait.
    mutating func wait(
        after prospect: SendResult.Prospect, now: ContinuousClock.Instant,
        using random: inout some RandomNumberGenerator
    ) -> Duration? {
        failures += 1
        if let limit = options.maximumRetries, failures > limit { return nil }
        let wait: Duration
        switch prospect {
        case .retriable(let after):
            wait = options.policy.delay(afterFailures: failures, suggested: after, using: &random)
        case .unknown: wait = options.policy.delay(afterFailures: failures, suggested: nil, using: &random)
        case .batchRefused, .blocked: return nil
        }
        if let deadline, now.advanced(by: wait) >= deadline { return nil }
        return wait
    }
}
