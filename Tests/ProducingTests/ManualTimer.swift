import Producing
import Synchronization

/// Time that stands still until a test moves it.
final class ManualTimer: Sendable {
    private struct State {
        var now = ContinuousClock.now
        var alarms: [(time: ContinuousClock.Instant, body: @Sendable () -> Void)] = []
    }
    private let state = Mutex(State())

    var now: ContinuousClock.Instant { state.withLock { $0.now } }

    var engineTimer: EngineTimer {
        EngineTimer(
            now: { self.now }, schedule: { time, body in self.state.withLock { $0.alarms.append((time, body)) } })
    }

    /// The time of the next alarm.
    var next: ContinuousClock.Instant? { state.withLock { $0.alarms.map(\.time).min() } }

    /// Lets time pass, with all alarms on the way at their times.
    func advance(by duration: Duration) { advance(to: now.advanced(by: duration)) }

    func advance(to end: ContinuousClock.Instant) {
        while true {
            let body = state.withLock { state -> (@Sendable () -> Void)? in
                let due = state.alarms.indices.filter { state.alarms[$0].time <= end }
                guard let first = due.min(by: { state.alarms[$0].time < state.alarms[$1].time }) else {
                    state.now = max(state.now, end)
                    return nil
                }
                let alarm = state.alarms.remove(at: first)
                state.now = max(state.now, alarm.time)
                return alarm.body
            }
            guard let body else { return }
            body()
        }
    }
}
