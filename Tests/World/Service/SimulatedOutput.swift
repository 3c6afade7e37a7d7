import TailraceDelivery
import TailraceSpool

/// The way to a service in memory: one drain after the other, by one routing after the other when partitions come, as the
/// agent's outputs do it.
final class SimulatedOutput: WorldOutput {
    private static let retryInterval = Duration.milliseconds(100)

    /// Nothing more happens here.
    private(set) var hasEnded = false
    private var drain: Drain<SimulatedDestination>
    private let process: WorldProcess
    private let service: SimulatedService
    /// By which the drain works.
    private var routing: Routing
    private var isStopping = false

    init(_ service: SimulatedService, _ process: WorldProcess) throws {
        self.service = service
        self.process = process
        (drain, routing) = try Self.make(service, process, isFinished: false)
        lookForPartitions()
    }

    private static func make(
        _ service: SimulatedService, _ process: WorldProcess, isFinished: Bool
    ) throws -> (Drain<SimulatedDestination>, Routing) {
        let routing = try process.routing(partitions: service.partitionCount, isFinished: isFinished)
        let destination = SimulatedDestination(
            service, ledger: process.ledger.state, routing: routing, batchLimit: process.plan.batchLimit,
            now: process.clocks.nanoseconds, isGone: process.isGone)
        return (try process.drain(to: destination, isFinished: isFinished), routing)
    }

    var statistics: DrainStatistics? { drain.statistics }

    func lookForPartitions() {
        if service.partitionCount > routing.partitions {
            drain.finish(below: process.spool.statistics().nextSequence)
        }
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
            (drain, routing) = try Self.make(service, process, isFinished: true)
            lookForPartitions()
            return .again
        } catch {
            return .wait(until: process.clocks.instant().advanced(by: Self.retryInterval))
        }
    }

    func beginStop(within limit: Duration) {
        isStopping = true
        drain.beginStop(within: limit)
    }

    func abandon() {}
}
