import NIOCore
import TailraceSpool

/// Runs the pieces of a process's tasks one after the other, when it is given a turn.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class SimulatedTasks: TaskExecutor, @unchecked Sendable {
    private var jobs = CircularBuffer<UnownedJob>()
    /// Told that there is something to do.
    var onWork: (() -> Void)?

    func enqueue(_ job: consuming ExecutorJob) {
        jobs.append(UnownedJob(job))
        onWork?()
    }

    /// Begins a task that runs here.
    func begin(_ body: @escaping @Sendable () async -> Void) { Task(executorPreference: self, operation: body) }

    /// False: there was nothing to do.
    func runOne() -> Bool {
        guard let job = jobs.popFirst() else { return false }
        job.runSynchronously(on: asUnownedTaskExecutor())
        return true
    }

    func step() -> StepResult<UInt64> { runOne() ? .again : .wait(until: nil) }
}
