import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct TaskThreadTests {
    private static var thread: String { String(ChildProcess.text("/proc/thread-self/comm").dropLast()) }

    /// A task, what it waits for, and its children, also after each wait; the thread goes with the last of them.
    @Test func tasksRunOnTheThreadWhichEndsWithThem() async {
        let name = "tasks of test 1"
        let names = await Task(executorPreference: TaskThread(name)) {
            var names = [Self.thread]
            await Self.pause()
            names.append(Self.thread)
            async let child = Self.threadAfterPause()
            names.append(await child)
            names += await withTaskGroup(of: String.self) { group in
                for _ in 0..<3 { group.addTask { await Self.threadAfterPause() } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            return names
        }.value
        #expect(names == Array(repeating: name, count: 6))
        while ThreadNames.of(getpid()).contains(name) { await Task.yield() }
    }

    private static func threadAfterPause() async -> String {
        await pause()
        return thread
    }

    /// Ends on another thread.
    private static func pause() async {
        await withCheckedContinuation { continuation in
            pthread_detach(DedicatedThread.start("pause") { continuation.resume() })
        }
    }

    private final class Flag: Sendable { let isSet = Atomic(false) }

    /// What blocks one executor's thread is nothing to the others.
    @Test func aTaskMayBlock() async {
        let blocked = TaskThread("tasks of test 2")
        let isOver = Flag()
        let first = Task(executorPreference: blocked) {
            while !isOver.isSet.load(ordering: .acquiring) { usleep(1000) }
            return "done"
        }
        await Task(executorPreference: TaskThread("tasks of test 3")) {
            isOver.isSet.store(true, ordering: .releasing)
        }.value
        #expect(await first.value == "done")
    }
}
