import NIOCore
import TailraceAgent
import TailraceSpool
import Transports

/// One kind of service behind a network: what serves, process after process, what it makes of what it is asked, and the
/// agent's way there.
protocol WireServer: AnyObject {
    associatedtype Way: Outlet

    /// Nothing may come twice.
    var isExact: Bool { get }
    /// See `SimulatedNetwork.isOrderly`.
    var isOrderly: Bool { get }
    var partitionCount: Int { get }
    /// What each partition has, in order, as far as it was told.
    var partitions: [[Numbered]] { get }
    var manners: WireManners { get set }
    var events: (any WorldEvents)? { get set }
    /// Told that a client may send again what has no answer.
    var onResend: (() -> Void)? { get set }
    /// What was wrong beside the records.
    var violations: [String] { get }

    /// Another process of it begins.
    func start(_ loop: SimulatedLoop) throws -> SimulatedNetwork.Accept
    /// A turn, beside those of its loop.
    func work() -> StepResult<UInt64>
    /// The process is no more: what it still does has no effect.
    func abandon(withPower: Bool)
    /// It gets more partitions; true: once it has begun anew.
    func grow(by count: Int) -> Bool
    /// The client's process is no more.
    func clientEnded()
    /// Something happens to it.
    func meet(_ event: WireManners.Event)

    /// The agent's way there, for one process.
    func outlet(_ name: String, _ machine: WireMachine) throws -> Way
    /// What a client still has when its process is over, beside what waits on its loop.
    func leftovers(of way: Way) -> String?
    /// The ids of the records in a batch.
    func ids(in batch: Way.Target.Batch) -> [UInt64]
}

/// What a client has of its process.
struct WireMachine {
    let loop: SimulatedLoop
    let tasks: SimulatedTasks
    let clocks: Clocks
    let connector: Route.Connector

    /// The loop's time, which goes on by itself when the process is no more.
    var instant: @Sendable () -> ContinuousClock.Instant {
        { [loop, clocks] in
            let ahead = loop.now - .uptimeNanoseconds(clocks.nanoseconds())
            return clocks.instant().advanced(by: .nanoseconds(ahead.nanoseconds))
        }
    }
}
