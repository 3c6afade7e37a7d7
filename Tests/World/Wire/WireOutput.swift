import TailraceAgent
import TailraceDelivery
import TailraceSpool
import TestSupport

/// The agent's way to a service in one process: connects until it is there, drains, connects anew when partitions come, and
/// stops, in the steps of `OutputRunner`, on a loop and an executor of the world's.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class WireOutput<Way: Outlet>: WorldOutput, @unchecked Sendable {
    private typealias Target = WatchedDestination<Way.Target>
    private typealias Instant = ContinuousClock.Instant

    private enum Phase {
        case resting(until: Instant)
        case connecting
        case draining
        /// The drain has ended by itself, and its producers are being given up.
        case replacing
        case closing(until: Instant)
        case ended
    }

    /// Between two questions for partitions.
    private static var partitionCheck: Duration { .seconds(20) }
    private static var pauses: (first: Duration, longest: Duration) { (.milliseconds(500), .seconds(30)) }
    private static var closeLimit: Duration { .seconds(2) }

    let loop: SimulatedLoop
    let tasks: SimulatedTasks
    private let outlet: Way
    private let process: WorldProcess
    private let sent: (Way.Target.Batch) -> [UInt64]
    private let leftovers: (Way) -> String?
    /// Takes the network away from this process.
    private let disconnect: () -> Void
    private let health = OutputHealth()
    private weak var events: (any WorldEvents)?
    private var random: SeededGenerator
    private var phase: Phase
    private var running: (drain: Drain<Target>, target: Target)?
    private var targets: [Target] = []
    /// By which the drain works.
    private var routing: Routing?
    private var isFinished = false
    private var stopLimit: Duration?
    private var isStopping: Bool { stopLimit != nil }
    private var isClosed = false
    private var isAsking = false
    private var pause = pauses.first
    private var partitionCheckAt: Instant

    init(
        _ outlet: Way, _ process: WorldProcess, _ machine: WireMachine, seed: UInt64, events: (any WorldEvents)?,
        sent: @escaping (Way.Target.Batch) -> [UInt64], leftovers: @escaping (Way) -> String?,
        disconnect: @escaping () -> Void
    ) {
        self.leftovers = leftovers
        self.outlet = outlet
        self.process = process
        loop = machine.loop
        tasks = machine.tasks
        self.sent = sent
        self.disconnect = disconnect
        self.events = events
        random = SeededGenerator(seed: seed)
        let now = process.clocks.instant()
        phase = .resting(until: now)
        partitionCheckAt = now
        loop.onWork = { [unowned self] in self.events?.wakeOthers() }
        tasks.onWork = { [unowned self] in self.events?.wakeOthers() }
    }

    var statistics: DrainStatistics? { running?.drain.statistics }
    var hasEnded: Bool { if case .ended = phase { true } else { false } }

    // MARK: - Steps

    func step() -> StepResult<ContinuousClock.Instant> {
        let now = process.clocks.instant()
        switch phase {
        case .resting(let until):
            if isStopping { return close(now) }
            guard until <= now else { return .wait(until: until) }
            connect()
            return .again
        case .connecting: return isStopping ? close(now) : .wait(until: nil)
        case .draining: return drain(now)
        case .replacing: return .wait(until: nil)
        case .closing(let until):
            guard isClosed || until <= now else { return .wait(until: until) }
            process.ledger.flush(timeoutMilliseconds: 5000)
            phase = .ended
            return .ended
        case .ended: return .ended
        }
    }

    private func drain(_ now: Instant) -> StepResult<Instant> {
        guard let running else { preconditionFailure("draining without a drain") }
        if partitionCheckAt <= now { ask(now) }
        switch running.drain.step() {
        case .again: return .again
        case .wait(let until): return .wait(until: min(until ?? partitionCheckAt, partitionCheckAt))
        case .ended: break
        }
        guard running.drain.isFinished, !isStopping else { return close(now) }
        isFinished = true
        phase = .replacing
        tasks.begin { [self] in
            await running.target.target.close()
            if case .replacing = phase { phase = .resting(until: process.clocks.instant()) }
        }
        return .again
    }

    private func connect() {
        phase = .connecting
        let (outlet, ledger, health) = (outlet, process.ledger, health)
        tasks.begin { [self] in
            do {
                let target = try await outlet.connect(ledger, health, nil) { count in
                    let routing = try self.process.routing(partitions: count, isFinished: self.isFinished)
                    self.routing = routing
                    // What came meanwhile goes by the old one first.
                    return routing
                }
                try begin(target)
            } catch {
                failed(error)
            }
        }
    }

    private func begin(_ target: Way.Target) throws {
        guard case .connecting = phase, !process.isGone() else { return }
        let watched = Target(target, isGone: process.isGone, events: events, sent: sent)
        let drain = try process.drain(to: watched, isFinished: isFinished)
        events?.note("connected", UInt64(target.partitionCount), 0, "\(target.guarantee)")
        running = (drain, watched)
        targets.append(watched)
        pause = Self.pauses.first
        phase = .draining
        if let stopLimit { drain.beginStop(within: stopLimit) }
        // The service may have more by now than it is to be.
        partitionCheckAt = process.clocks.instant()
    }

    private func failed(_ error: any Error) {
        guard case .connecting = phase, !process.isGone() else { return }
        events?.note("not connected", 0, 0, "\(outlet.trouble(error).error)")
        let milliseconds = pause.components.seconds * 1000 + pause.components.attoseconds / 1_000_000_000_000_000
        let wait = Int64.random(in: milliseconds / 2...milliseconds, using: &random)
        phase = .resting(until: process.clocks.instant().advanced(by: .milliseconds(wait)))
        pause = min(pause * 2, Self.pauses.longest)
    }

    private func ask(_ now: Instant) {
        partitionCheckAt = now.advanced(by: Self.partitionCheck)
        guard !isAsking, let drain = running?.drain, let routing else { return }
        isAsking = true
        outlet.partitionCount().whenComplete { [self] result in
            isAsking = false
            guard !process.isGone(), case .success(let count) = result, count > routing.partitions else { return }
            drain.finish(below: process.spool.statistics().nextSequence)
            events?.wakeOthers()
        }
    }

    private func close(_ now: Instant) -> StepResult<Instant> {
        phase = .closing(until: now.advanced(by: Self.closeLimit))
        outlet.close().whenComplete { [self] _ in
            isClosed = true
            events?.wakeOthers()
        }
        return .again
    }

    // MARK: - For its world

    func lookForPartitions() { partitionCheckAt = process.clocks.instant() }

    func beginStop(within limit: Duration) {
        stopLimit = limit
        running?.drain.beginStop(within: limit)
    }

    /// The process is no more, or may send again what has no end.
    func forget() {
        for target in targets { target.forget() }
    }

    func abandon() {
        loop.onWork = nil
        tasks.onWork = nil
        disconnect()
        _ = outlet.close()
        running = nil
        let tasks = tasks
        let hasEnd = loop.runOut { tasks.runOne() }
        if !hasEnd { events?.violate("something does not end with its connections") }
        if let leftovers = leftovers(outlet) { events?.violate(leftovers) }
        let left = targets.reduce(0) { $0 + $1.left }
        if left > 0 { events?.violate("\(left) batches were never told their end") }
        targets = []
    }
}
