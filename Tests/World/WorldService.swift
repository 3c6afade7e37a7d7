import TailraceDelivery
import TailraceSpool

/// What the processes of a world deliver to, and the way there.
protocol WorldService: AnyObject {
    /// Nothing may come twice.
    var isExact: Bool { get }
    var partitionCount: Int { get }
    /// Steps of a world with it, compared with those of one whose service is nothing but a queue.
    var effort: Int { get }
    /// What a partition has, in order.
    func stored(_ partition: Int) -> [Numbered]
    /// It gets more partitions, and whoever asks hears of it.
    func grow(by count: Int)
    /// How it behaves from now on; nil: as well as it can.
    func behave(_ life: WorldPlan.Life?)
    /// Whose turns make it work.
    func join(_ actors: Actors, weight: Int)
    /// Before each step of a life.
    func pass(step: Int)
    /// The way there, for one process.
    func makeOutput(_ process: WorldProcess) throws -> any WorldOutput
    /// The process is no more.
    func forgetSender(withPower: Bool)
    /// The world is over. What was wrong beside the records.
    func close() -> [String]
    /// Tells `events` what happens, until `close`.
    func watch(_ events: any WorldEvents)
}

/// The way to the service in one process, from its start to its end.
protocol WorldOutput: AnyObject {
    /// Nil before there is a drain.
    var statistics: DrainStatistics? { get }
    /// Nothing more happens here.
    var hasEnded: Bool { get }
    func step() -> StepResult<ContinuousClock.Instant>
    /// The service may have more partitions.
    func lookForPartitions()
    func beginStop(within limit: Duration)
    /// The process is no more, or done.
    func abandon()
}

/// What an output gets of its process.
struct WorldProcess {
    let settings: DrainConfiguration
    let plan: WorldPlan
    let spool: Spool
    let ledger: Ledger
    let deadLetters: DeadLetterArea
    let clocks: Clocks
    /// It is no more: nothing that it does has an effect.
    let isGone: () -> Bool
    let release: @Sendable (UInt64) -> Void

    /// The routing by which the next drain works, as the agent's outputs choose it: what waits goes by the old one first.
    func routing(partitions count: Int, isFinished: Bool) throws -> Routing {
        let wanted = Routing(key: settings.key, partitions: count)
        switch ledger.state.step(to: wanted, next: spool.statistics().nextSequence, isFinished: isFinished) {
        case .keep: return wanted
        case .finish(let first): return first
        case .startOver: preconditionFailure("a service of a world never loses partitions")
        case .begin:
            var state = ledger.state
            state.begin(wanted)
            try ledger.update(state)
            guard ledger.flush(timeoutMilliseconds: 1000) else { throw SpoolError.closed }
            return wanted
        }
    }

    /// - Parameter isFinished: see `LedgerState.step`.
    func drain<D: Destination>(to destination: D, isFinished: Bool) throws -> Drain<D> {
        try Drain(
            settings, destination: destination, spool: spool, ledger: ledger, deadLetters: deadLetters,
            sentBelow: isFinished ? spool.statistics().nextSequence : nil, logger: WorldLife.quiet, release: release)
    }
}
