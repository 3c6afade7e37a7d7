import Glibc
internal import NIOCore
internal import TailraceSpool

/// A thread that runs tasks: those of an output, which may block.
///
/// The usual executor would do it too, but that is libdispatch, which wakes up once a second to look after its threads for as
/// long as the process lives. This one sleeps until there is something to do.
///
/// The thread ends when nobody has the executor any more; a task has it until its end.
package final class TaskThread: TaskExecutor {
    /// What the thread shares with the executor, which it must not keep. Its content is touched with the monitor locked: hence
    /// `@unchecked Sendable`.
    private final class Jobs: @unchecked Sendable {
        private let monitor = Monitor()
        private let change: Monitor.Condition
        private var waiting = CircularBuffer<(UnownedJob, UnownedTaskExecutor)>()
        private var isLeft = false

        init() { change = Monitor.Condition(monitor) }

        func append(_ job: UnownedJob, _ executor: UnownedTaskExecutor) {
            monitor.withLock {
                waiting.append((job, executor))
                change.signal()
            }
        }

        func leave() {
            monitor.withLock {
                isLeft = true
                change.signal()
            }
        }

        /// Nil: there will be no more.
        func next() -> (job: UnownedJob, executor: UnownedTaskExecutor)? {
            monitor.withLock {
                while waiting.isEmpty, !isLeft { change.wait() }
                return waiting.popFirst()
            }
        }
    }

    private let jobs = Jobs()

    /// - Parameter name: the thread's; 15 bytes of it count.
    package init(_ name: String) {
        let thread = DedicatedThread.start(name) { [jobs] in
            while let (job, executor) = jobs.next() { job.runSynchronously(on: executor) }
        }
        pthread_detach(thread)
    }

    deinit { jobs.leave() }

    package func enqueue(_ job: consuming ExecutorJob) {
        jobs.append(UnownedJob(job), asUnownedTaskExecutor())
    }
}
