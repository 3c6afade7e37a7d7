import Logging
import TailraceDelivery
import TailraceSpool

/// The way to the service in one process: one drain after the other, by one routing after the other when partitions come, as
/// the agent's outputs do it.
final class WorldOutput {
    private static let retryInterval = Duration.milliseconds(100)

    private(set) var drain: Drain<SimulatedDestination>
    /// Nothing more happens here.
    private(set) var hasEnded = false
    private let make: (_ isFinished: Bool) throws -> (Drain<SimulatedDestination>, Routing)
    private let next: () -> UInt64
    private let service: SimulatedService
    private let now: () -> ContinuousClock.Instant
    /// By which the drain works.
    private var routing: Routing
    private var isStopping = false

    init(
        _ settings: DrainConfiguration, _ spool: Spool, _ ledger: Ledger, _ service: SimulatedService, batchLimit: Int,
        clocks: Clocks, deadLetters: DeadLetterArea, isGone: @escaping () -> Bool, logger: Logger,
        release: @escaping @Sendable (UInt64) -> Void
    ) throws {
        self.service = service
        now = clocks.instant
        next = { spool.statistics().nextSequence }
        make = { [next] isFinished in
            var routing = Routing(key: settings.key, partitions: service.partitionCount)
            switch ledger.state.step(to: routing, next: next(), isFinished: isFinished) {
            case .keep: break
            case .finish(let first): routing = first
            case .startOver: preconditionFailure("a simulated service never loses partitions")
            case .begin:
                var state = ledger.state
                state.begin(routing)
                try ledger.update(state)
                guard ledger.flush(timeoutMilliseconds: 1000) else { throw SpoolError.closed }
            }
            let destination = SimulatedDestination(
                service, ledger: ledger.state, routing: routing, batchLimit: batchLimit, now: clocks.nanoseconds,
                isGone: isGone)
            let drain = try Drain(
                settings, destination: destination, spool: spool, ledger: ledger,
                deadLetters: deadLetters, sentBelow: isFinished ? next() : nil, logger: logger,
                release: release)
            return (drain, routing)
        }
        (drain, routing) = try make(false)
        lookForPartitions()
    }

    /// What waits goes by the old routing first.
    func lookForPartitions() {
        if service.partitionCount > routing.partitions { drain.finish(below: next()) }
    }

    func step() -> StepResult<ContinuousClock.Instant> {
        guard !hasEnded else { return .ended }
        switch drain.step() {
        case .again: return .again
        case .wait(let until): return .wait(until: until)
        case .ended:
            guard drain.isFinished, !isStopping else {
                hasEnded = true
                return .ended
            }
        }
        do {
            (drain, routing) = try make(true)
            lookForPartitions()
            return .again
        } catch {
            return .wait(until: now().advanced(by: Self.retryInterval))
        }
    }

    func beginStop(within limit: Duration) {
        isStopping = true
        drain.beginStop(within: limit)
    }
}
