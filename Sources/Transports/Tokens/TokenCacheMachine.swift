/// A token, as far as a cache must know it.
package protocol CachedToken: Sendable {
    var value: String { get }
    /// Seconds since 1970 by this machine's clock.
    var expiry: Int64 { get }
    /// When a new one should be asked for, in seconds since 1970; nil leaves the choice to the cache.
    var refreshAfter: Int64? { get }
}

/// One scope's token: when it is used, when a new one is fetched, and who waits. No IO and no clock of its own.
///
/// Times are a continuous clock's, so that setting the machine's clock neither ends nor prolongs a token's life here.
package struct TokenCacheMachine<Token: CachedToken>: Sendable {
    package typealias Instant = ContinuousClock.Instant

    /// A token, and the moments that count.
    package struct Held: Sendable {
        package let token: Token
        package let expires: Instant
        package let refresh: Instant
    }

    package enum Answer: Sendable {
        case use(Held)
        /// Use it, and fetch another in the background.
        case useAndFetch(Held)
        /// There is none to use: fetch one and wait for it.
        case fetch
        /// A fetch is under way: wait for it.
        case wait
    }

    package private(set) var held: Held?
    private var isFetching = false
    /// After a refresh that failed: not again before.
    private var nextAttempt: Instant?

    package init() {}

    /// Before the expiry, unless the issuer names a time.
    package static var margin: Duration { .seconds(300) }
    /// What a token needs to reach the service, and to be judged there to the second.
    package static var transit: Duration { .seconds(2) }
    /// Between attempts to refresh a token that is still good.
    package static var spacing: Duration { .seconds(30) }

    /// - Parameter renewing: the caller wants the next token rather than one that is due to be refreshed.
    package mutating func ask(_ now: Instant, renewing: Bool = false) -> Answer {
        if let held, now < held.expires {
            guard now >= held.refresh else { return .use(held) }
            if isFetching { return renewing ? .wait : .use(held) }
            if let nextAttempt, now < nextAttempt { return .use(held) }
            isFetching = true
            return renewing ? .fetch : .useAndFetch(held)
        }
        held = nil
        if isFetching { return .wait }
        isFetching = true
        return .fetch
    }

    /// - Parameters:
    ///   - wallClock: seconds since 1970, now.
    ///   - jitter: 0 to 1: which part of the spread to take, so that many machines do not ask at once.
    package mutating func fetched(_ token: Token, _ now: Instant, wallClock: Int64, jitter: Double) -> Held {
        let left = Self.seconds(token.expiry, after: wallClock)
        var wait =
            token.refreshAfter.map { min(Self.seconds($0, after: wallClock), left) }
            ?? (left >= Self.margin * 2 ? left - Self.margin : left / 2)
        wait -= min(wait / 10, Self.spacing) * jitter
        // Whoever gives out a token that is due at once would be asked without end.
        let soonest = min(Self.spacing, left / 4)
        // A token on its way must not end before it arrives.
        let end = now + left - min(Self.transit, left / 4)
        let held = Held(token: token, expires: end, refresh: now + max(wait, soonest))
        self.held = held
        isFetching = false
        nextAttempt = nil
        return held
    }

    /// Returns the token that is still good, if there is one.
    package mutating func failed(_ now: Instant) -> Held? {
        isFetching = false
        guard let held, now < held.expires else {
            self.held = nil
            return nil
        }
        nextAttempt = now + Self.retryDelay(left: held.expires - now)
        return held
    }

    /// Between attempts to refresh a token that is good for `left`.
    package static func retryDelay(left: Duration) -> Duration { min(spacing, max(left / 4, .milliseconds(200))) }

    /// The service does not take this token: it is not used again.
    package mutating func refused(_ value: String) {
        if held?.token.value == value { held = nil }
    }

    /// At most ten years, at least nothing.
    private static func seconds(_ end: Int64, after start: Int64) -> Duration {
        let (difference, overflow) = end.subtractingReportingOverflow(start)
        return .seconds(overflow ? 0 : min(max(0, difference), 315_360_000))
    }
}
