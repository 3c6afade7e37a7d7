package import NIOCore

/// The time that a buffered producer lives by: real, or a test's.
package struct EngineTimer: Sendable {
    package let now: @Sendable () -> ContinuousClock.Instant
    /// Calls the closure at this time or soon after, once.
    package let schedule: @Sendable (ContinuousClock.Instant, @escaping @Sendable () -> Void) -> Void

    package init(
        now: @escaping @Sendable () -> ContinuousClock.Instant,
        schedule: @escaping @Sendable (ContinuousClock.Instant, @escaping @Sendable () -> Void) -> Void
    ) {
        self.now = now
        self.schedule = schedule
    }

    /// Real time; closures run on `eventLoop`.
    package init(_ eventLoop: any EventLoop) {
        self.init(now: { .now }) { time, body in
            let (seconds, attoseconds) = (time - .now).components
            // No timer of ours is longer than a day; an early call is answered with another timer.
            let wait = TimeAmount.nanoseconds(min(seconds, 86400) * 1_000_000_000 + attoseconds / 1_000_000_000)
            eventLoop.scheduleTask(in: wait, body)
        }
    }
}
