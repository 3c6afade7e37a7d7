import Glibc
internal import Logging
import Synchronization

/// How long a stop waits for what, in milliseconds.
enum StopLimits {
    /// The inputs; then whatever holds them back is closed.
    static let inputs = 2000
    /// The inputs then. Syslog's streams have 2 s of their own.
    static let released = 4000
    /// The outputs: the sum of `OutputLimits`, and a little.
    static let outputs = 13_000
    /// All of it, with what a disk that does not answer may add. A service manager has to wait for longer.
    static let all = 25_000

    /// Inputs that others take the place of. Syslog has 6 s of its own for what it has taken.
    static let replaced = 8000

    /// False when not all have ended in time.
    ///
    /// - Parameter isCut: whether there is no more time at all; asked again and again.
    static func wait(
        for parts: [any RunningPart], milliseconds: Int, unless isCut: () -> Bool = { false }
    ) -> Bool {
        for _ in 0..<max(1, milliseconds / 5) {
            if parts.allSatisfy(\.life.hasEnded) { return true }
            if isCut() { return false }
            usleep(5000)
        }
        return parts.allSatisfy(\.life.hasEnded)
    }

    private static let isEnforced = Atomic<Bool>(false)

    /// Ends the process when the stop that begins now has not done so in time. What is stored is as after a kill: nothing of
    /// it is lost. The first call counts.
    static func enforce(_ logger: Logger) {
        guard !isEnforced.exchange(true, ordering: .relaxed) else { return }
        let thread = DedicatedThread.start("stop-limit") {
            for _ in 0..<all / 100 { usleep(100_000) }
            logger.critical("the agent did not stop in time and is ended; most likely a disk does not answer")
            _exit(1)
        }
        pthread_detach(thread)
    }

    /// Somebody does not want to wait for a stop in order. What is stored is as after a kill: nothing of it is lost.
    static func endNow(_ logger: Logger) -> Never {
        logger.warning(
            "ended at once, by a second signal; what was not acknowledged is in the spool, or is read again, after a start"
        )
        _exit(1)
    }
}
