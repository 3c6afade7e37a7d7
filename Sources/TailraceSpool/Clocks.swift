import Glibc

/// The times that a spool, a ledger and a drain ask for: the machine's, or those of a simulation.
package struct Clocks: Sendable {
    /// Nanoseconds of the clock that nobody can set.
    package var nanoseconds: @Sendable () -> UInt64
    /// The same clock in the form that deadlines of the delivery have.
    package var instant: @Sendable () -> ContinuousClock.Instant
    /// Milliseconds since 1970, UTC.
    package var wallMilliseconds: @Sendable () -> Int64

    package init(
        nanoseconds: @escaping @Sendable () -> UInt64, instant: @escaping @Sendable () -> ContinuousClock.Instant,
        wallMilliseconds: @escaping @Sendable () -> Int64
    ) {
        self.nanoseconds = nanoseconds
        self.instant = instant
        self.wallMilliseconds = wallMilliseconds
    }

    package static let system = Clocks(
        nanoseconds: monotonicNanoseconds, instant: { .now }, wallMilliseconds: wallClockMilliseconds)
}

/// Nanoseconds of the clock that nobody can set.
package func monotonicNanoseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// Milliseconds since 1970, UTC.
package func wallClockMilliseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}
