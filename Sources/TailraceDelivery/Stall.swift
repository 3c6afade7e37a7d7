/// How long full lanes have kept the others waiting lately.
struct Stall {
    /// That much of a `window` is too much.
    static let patience = Duration.milliseconds(100)
    static let window = Duration.seconds(1)

    private var windowEnd: ContinuousClock.Instant
    private var total = Duration.zero
    private var since: ContinuousClock.Instant?

    init(now: ContinuousClock.Instant) { windowEnd = now.advanced(by: Self.window) }

    /// When it will have been too much; nil while nobody waits.
    var deadline: ContinuousClock.Instant? { since.map { $0.advanced(by: Self.patience - total) } }

    /// A full lane keeps the others waiting now. True when that has been so for too long, and then it is forgotten.
    mutating func goesOn(_ now: ContinuousClock.Instant) -> Bool {
        if since == nil, now >= windowEnd { self = Stall(now: now) }
        since = since ?? now
        guard let deadline, now >= deadline else { return false }
        self = Stall(now: now)
        return true
    }

    /// Nobody waits.
    mutating func ends(_ now: ContinuousClock.Instant) {
        if let since { total += since.duration(to: now) }
        since = nil
    }
}
