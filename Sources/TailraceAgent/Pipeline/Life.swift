import Glibc
import Synchronization

/// The end of something that runs, a thread or a task, for those who wait for it.
final class Life: Sendable {
    private struct State {
        var hasEnded = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())
    let isStopping = Atomic<Bool>(false)

    func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let thread = DedicatedThread.start(name) {
            body()
            self.end()
        }
        pthread_detach(thread)
    }

    /// Nothing of it runs any more.
    func end() {
        let waiters = state.withLock { state in
            state.hasEnded = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    func waitForEnd() async {
        await withCheckedContinuation { continuation in
            let hasEnded = state.withLock { state in
                if !state.hasEnded { state.waiters.append(continuation) }
                return state.hasEnded
            }
            if hasEnded { continuation.resume() }
        }
    }

    /// Blocks until the end or the time.
    func hasEnded(withinMilliseconds milliseconds: Int) -> Bool {
        for _ in 0..<max(1, milliseconds / 5) {
            if hasEnded { return true }
            usleep(5000)
        }
        return hasEnded
    }
}
