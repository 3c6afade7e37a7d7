import Glibc
import Synchronization

/// Who does the work of a spool or a ledger: a thread of its own, or whoever calls `step`.
///
/// Without a thread everything happens on one: hence `@unchecked Sendable`.
final class Worker: @unchecked Sendable {
    private let thread: ThreadHandle?
    private var work: (() -> StepResult<UInt64>)?
    private var isStepping = false

    /// - Parameter run: all of the work; returns when it ends.
    init(thread name: String, run: @escaping @Sendable () -> Void) {
        thread = ThreadHandle(startThread(name, run))
    }

    /// - Parameter step: a piece of the work.
    init(step: @escaping () -> StepResult<UInt64>) {
        thread = nil
        work = step
    }

    var hasThread: Bool { thread != nil }

    /// Does a piece of the work; nothing when a thread does it, or when this is called out of such a piece: a made-up disk
    /// may let others do something in the middle of a call.
    func step() -> StepResult<UInt64> {
        guard let work else { return .ended }
        guard !isStepping else { return .wait(until: nil) }
        isStepping = true
        defer { isStepping = false }
        let result = work()
        if case .ended = result { self.work = nil }
        return result
    }

    /// Without a thread, does all that can be done without time going by.
    func settle() {
        while case .again = step() {}
    }

    /// Returns when the work, which was told to end, has ended.
    func join() {
        settle()
        thread?.join()
    }
}

/// A pthread that can be joined once, from wherever.
final class ThreadHandle: Sendable {
    private let thread: Mutex<pthread_t?>

    init(_ thread: pthread_t) { self.thread = Mutex(thread) }

    func join() {
        // Held while joining, so that a second caller also returns only when the thread is gone.
        thread.withLock {
            if let thread = $0 { pthread_join(thread, nil) }
            $0 = nil
        }
    }
}
