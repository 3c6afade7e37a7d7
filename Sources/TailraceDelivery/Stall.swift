/// What full lanes have cost the others lately.
///
/// That one is waited for costs nothing while it sends as much as all of them do otherwise: then it is not slow, there is
/// only much for it. So what was sent meanwhile counts, by the pace of the times in which nobody waited.
struct Stall {
    /// That much of a `window` is too much, beyond the time that what was sent meanwhile takes at half the pace.
    static let patience = Duration.milliseconds(100)
    static let window = Duration.seconds(1)

    enum Phase {
        /// There is nothing to place.
        case idle
        /// Records are placed, or nobody has room for more.
        case going
        /// A full lane keeps others waiting that have nothing to send.
        case waiting
    }

    private struct Flow {
        var time = Duration.zero
        /// Acknowledged in that time.
        var bytes = 0
    }

    private var windowEnd: ContinuousClock.Instant
    private var phase = Phase.idle
    private var since: ContinuousClock.Instant
    private var going = Flow()
    private var waiting = Flow()

    init(now: ContinuousClock.Instant) {
        since = now
        windowEnd = now.advanced(by: Self.window)
    }

    /// When it will have been too much, if nothing more is acknowledged; nil while nobody waits.
    var deadline: ContinuousClock.Instant? {
        phase == .waiting ? since.advanced(by: allowance - waiting.time) : nil
    }

    private var allowance: Duration {
        guard going.bytes > 0 else { return Self.patience }
        return Self.patience + going.time * (2 * Double(waiting.bytes) / Double(going.bytes))
    }

    /// So many bytes were acknowledged, of a partition that keeps up.
    mutating func count(_ bytes: Int) {
        switch phase {
        case .idle: break
        case .going: going.bytes += bytes
        case .waiting: waiting.bytes += bytes
        }
    }

    /// What holds from now on. True when others have been kept waiting for too much, and then that is forgotten.
    mutating func note(_ next: Phase, _ now: ContinuousClock.Instant) -> Bool {
        switch phase {
        case .idle: break
        case .going: going.time += since.duration(to: now)
        case .waiting: waiting.time += since.duration(to: now)
        }
        if next != .waiting, now >= windowEnd {
            // The pace stays what it was until there is another.
            going = Flow(time: going.time / 2, bytes: going.bytes / 2)
            waiting = Flow()
            windowEnd = now.advanced(by: Self.window)
        }
        (phase, since) = (next, now)
        guard let deadline, now >= deadline else { return false }
        phase = .going
        waiting = Flow()
        return true
    }
}
