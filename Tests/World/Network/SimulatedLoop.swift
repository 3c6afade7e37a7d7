import Dispatch
import NIOCore
import TailraceSpool
import TestSupport

/// An event loop that runs when it is given a turn, by the clock of a world. As with a real one, who calls from elsewhere is
/// not inside it, and what he asks for happens later.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class SimulatedLoop: EventLoop, @unchecked Sendable {
    private struct Timer {
        let id: UInt64
        let deadline: UInt64
        let run: () -> Void
    }

    private let clock: () -> UInt64
    private var random: SeededGenerator
    private var jobs = CircularBuffer<() -> Void>()
    /// By deadline, the next one last.
    private var timers: [Timer] = []
    private var lastTimer: UInt64 = 0
    /// The time of a loop whose process is no more goes on by itself.
    private var ownTime: UInt64?
    /// It is running something.
    private(set) var inEventLoop = false
    /// Told that there is something to do, by somebody outside.
    var onWork: (() -> Void)?

    init(seed: UInt64, clock: @escaping () -> UInt64) {
        random = SeededGenerator(seed: seed)
        self.clock = clock
    }

    private var time: UInt64 { ownTime ?? clock() }
    var now: NIODeadline { .uptimeNanoseconds(time) }
    var timerCount: Int { timers.count }

    // MARK: - For those who use it

    func execute(_ task: @escaping @Sendable () -> Void) {
        jobs.append(task)
        if !inEventLoop { onWork?() }
    }

    @discardableResult
    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        lastTimer += 1
        let id = lastTimer
        let timer = Timer(id: id, deadline: deadline.uptimeNanoseconds) {
            do {
                promise.assumeIsolated().succeed(try task())
            } catch {
                promise.fail(error)
            }
        }
        // Of those for one moment the first to come is the first to go.
        let place = timers.firstIndex { $0.deadline <= timer.deadline } ?? timers.endIndex
        timers.insert(timer, at: place)
        if !inEventLoop { onWork?() }
        return Scheduled(promise: promise) { [weak self] in self?.timers.removeAll { $0.id == id } }
    }

    @discardableResult
    func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: now + delay, task)
    }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        preconditionFailure("a simulated loop ends with its process")
    }

    // MARK: - For its world

    /// A turn: what is due, some of it or all.
    func step() -> StepResult<UInt64> {
        wakeTimers()
        guard !jobs.isEmpty else { return .wait(until: timers.last?.deadline) }
        runJobs(Int.random(in: 1...8, using: &random))
        return .again
    }

    private func wakeTimers() {
        while let next = timers.last, next.deadline <= time { jobs.append(timers.removeLast().run) }
    }

    private func runJobs(_ count: Int) {
        inEventLoop = true
        defer { inEventLoop = false }
        var left = count
        while left > 0, let job = jobs.popFirst() {
            job()
            left -= 1
        }
    }

    /// Its process is no more, or is done: all that is left on it comes to its end, in a time of its own.
    ///
    /// - Parameter tasks: what waits for it; true when something has gone on.
    /// - Returns: false when there is no end to it.
    func runOut(_ tasks: () -> Bool = { false }) -> Bool {
        ownTime = time
        let end = time + Self.longestRest
        for _ in 0..<Self.mostJobs {
            wakeTimers()
            if !jobs.isEmpty {
                runJobs(1)
            } else if tasks() {
                continue
            } else if let next = timers.last {
                guard next.deadline <= end else { return false }
                ownTime = max(time, next.deadline)
            } else {
                return true
            }
        }
        return false
    }

    /// No deadline of the delivery is longer, but for the life of a token.
    private static let longestRest: UInt64 = 600_000_000_000
    private static let mostJobs = 100_000
}
