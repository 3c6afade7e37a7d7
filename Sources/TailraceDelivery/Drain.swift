import Glibc
package import Logging
internal import Producing
import Synchronization
package import TailraceSpool

/// Carries one output's records from the spool to its destination, in order per key, and keeps the ledger of what was
/// acknowledged. One thread of its own from `run` to the end of `stop`.
package final class Drain<D: Destination>: Sendable {
    /// What a ledger has room for.
    package static var maximumPartitions: Int { 4000 }

    private let parts: DrainParts<D>
    /// Made by the first `step`.
    private let stepped = Mutex<SteppedLoop?>(nil)

    /// Its owner is the one thread that steps.
    private struct SteppedLoop: @unchecked Sendable { let loop: DrainLoop<D> }

    /// Prepares to go on where the ledger says; nothing runs before `run`.
    ///
    /// - Parameters:
    ///   - ledger: of this output alone.
    ///   - deadLetters: where the records go that the service refuses for good.
    ///   - sentBelow: ids from here on cannot have been sent by an earlier drain; nil: those that came into the spool since
    ///     it was opened.
    ///   - keptFrom: ids below this may go at any time: nobody kept them for this output, see `SpoolFloors.add`.
    ///   - release: told the id below which this output needs nothing any more (`SpoolFloors.set`), once the ledger's disk
    ///     knows it.
    package init(
        _ configuration: DrainConfiguration, destination: D, spool: Spool, ledger: Ledger,
        deadLetters: DeadLetterArea, sentBelow: UInt64? = nil, keptFrom: UInt64 = 0, logger: Logger,
        release: @escaping @Sendable (UInt64) -> Void
    ) throws {
        let count = destination.partitionCount
        guard count > 0, count <= Self.maximumPartitions else {
            throw DrainError.destination(
                "\(destination.name) says that it has \(count) partitions; 1 to \(Self.maximumPartitions) are possible")
        }
        var state = ledger.state
        let present = spool.statistics()
        guard state.floor <= present.nextSequence else {
            throw DrainError.ledgerAhead(floor: state.floor, next: present.nextSequence)
        }
        // What was released was acknowledged, also when an older ledger has come back.
        let gone = state.floor..<max(state.floor, present.removedEnd, keptFrom)
        state.floor = max(state.floor, present.firstSequence, keptFrom)
        Self.route(&state, configuration.key, partitions: count, destination.name, logger)
        let resumption = Self.resume(
            &state, destination, sentBelow ?? spool.recovery.nextSequence, gone: gone, logger)
        parts = DrainParts(
            configuration: configuration, destination: destination, spool: spool, ledger: ledger, state: state,
            resumption: resumption, reader: try spool.reader(from: state.floor),
            deadLetters: deadLetters, logger: logger)
        ledger.tellDurable(release)
    }

    /// Holds the ledger's routing against the one that is to be (`LedgerState.step`). What a partition has had acknowledged
    /// says nothing of the partition that its records would go to by another routing, so then everything counts from the
    /// floor again.
    private static func route(
        _ state: inout LedgerState, _ key: RoutingKey, partitions count: Int, _ name: String, _ logger: Logger
    ) {
        defer { state.keyKind = key.kind }
        let wanted = Routing(key: key, partitions: count)
        guard let before = state.routing(else: key), before != wanted else {
            if state.partitions.isEmpty { state.begin(wanted) }
            return
        }
        logger.warning(
            "the routing has changed while records waited: keys move, and some records may arrive twice",
            metadata: [
                "destination": "\(name)", "partitions_before": "\(before.partitions)", "partitions_now": "\(count)",
                "key_before": "\(before.key.rawValue)", "key_now": "\(key.rawValue)",
            ])
        state.begin(wanted)
        // Which of the numbers belong to records that wait nobody can tell: other producers begin.
        for index in state.partitions.indices {
            state.partitions[index] = LedgerState.Partition(acknowledged: state.floor)
        }
    }

    private static func resume(
        _ state: inout LedgerState, _ destination: D, _ end: UInt64, gone: Range<UInt64>, _ logger: Logger
    ) -> Resumption {
        guard let positions = destination.positions else {
            // Records that go without numbers leave the numbers behind that the ledger has.
            for index in state.partitions.indices {
                state.partitions[index].producer = nil
                state.partitions[index].serviceNumber = ServiceNumbering.none
            }
            return Resumption(partitions: state.partitions.count)
        }
        var doubts = 0
        let resumption = Resumption(&state, positions, destination.numbering, end: end, gone: gone) {
            partition, reason in
            doubts += 1
            guard doubts <= 10 else { return }
            logger.warning(
                "the service and the ledger disagree; records in flight at the last end may arrive twice",
                metadata: ["destination": "\(destination.name)", "partition": "\(partition)", "reason": "\(reason)"])
        }
        if !resumption.isOver {
            logger.notice(
                "the service has records that the last run did not live to note; they are not sent again",
                metadata: [
                    "destination": "\(destination.name)", "records": "\(resumption.remaining.reduce(0, +))",
                ])
        }
        return resumption
    }

    /// Of its thread.
    package var mark: StageMark { parts.mark }

    /// How things stand; at most a few milliseconds old.
    package var statistics: DrainStatistics { parts.published.withLock { $0 } }

    /// Runs until `stop`, or until the task is cancelled, which stops within `grace`. Call once.
    package func run(grace: Duration = .seconds(5)) async {
        start()
        await withTaskCancellationHandler {
            await parts.control.waitForEnd()
        } onCancel: {
            parts.request(.within(parts.clocks.instant().advanced(by: grace)))
        }
    }

    /// Starts the thread and returns.
    package func start() {
        let parts = parts
        guard parts.control.begin() else { preconditionFailure("a drain runs once") }
        let thread = startThread("drain \(parts.configuration.name)") {
            let loop = DrainLoop(parts)
            loop.run()
            parts.control.end(isFinished: loop.isFinished)
        }
        pthread_detach(thread)
    }

    /// From now on nothing is read from `end` on, which is at or behind the spool's next id: when all before it is
    /// acknowledged, and the ledger's disk knows it, the drain ends by itself. The lowest `end` counts.
    package func finish(below end: UInt64) {
        parts.control.finish(below: end)
        parts.wake()
    }

    /// Has it free what only makes it faster, unless it is at work: for when there was nothing to do for a while.
    package func releaseMemory() {
        parts.control.releaseMemory()
        parts.wake()
    }

    /// Waits for the end of a drain that was started. True when it has come to what `finish` told it.
    package func end() async -> Bool {
        await parts.control.waitForEnd()
        return parts.control.isFinished
    }

    /// Instead of `start` and `run`: does a piece of the work. For simulations, on one thread alone.
    package func step() -> StepResult<ContinuousClock.Instant> {
        let stepped = stepped.withLock { stepped in
            if stepped == nil { stepped = SteppedLoop(loop: DrainLoop(parts)) }
            return stepped
        }
        guard let loop = stepped?.loop else { return .ended }
        switch loop.step() {
        case .again: return .again
        case .wait(let until, _): return .wait(until: until)
        case .ended:
            parts.control.end(isFinished: loop.isFinished)
            return .ended
        }
    }

    /// What `end` returns, for who steps.
    package var isFinished: Bool { parts.control.isFinished }

    /// Begins what `stop` awaits: for who steps.
    package func beginStop(within limit: Duration) {
        parts.request(.within(parts.clocks.instant().advanced(by: limit)))
    }

    /// A stop was asked for; nothing new is sent.
    package var isStopping: Bool { parts.control.stop != nil }

    /// Stops reading and sending, waits at most `limit` for what is in flight to be acknowledged, and saves the ledger.
    /// What is neither sent nor acknowledged stays in the spool.
    package func stop(within limit: Duration) async {
        beginStop(within: limit)
        await parts.control.waitForEnd()
    }

    /// For tests: stops as a kill would, without waiting and without a last word to the ledger.
    package func abandon() async {
        parts.request(.abandon)
        await parts.control.waitForEnd()
    }
}

/// What a drain's thread works with, and what is shared with it.
final class DrainParts<D: Destination>: Sendable {
    let configuration: DrainConfiguration
    let destination: D
    let spool: Spool
    let ledger: Ledger
    /// As at the start.
    let state: LedgerState
    let resumption: Resumption
    let reader: SpoolReader
    let deadLetters: DeadLetterArea
    let logger: Logger
    var clocks: Clocks { spool.environment.clocks }
    let signal = Signal()
    let mark = StageMark("drain")
    let control = DrainControl()
    let published: Mutex<DrainStatistics>

    init(
        configuration: DrainConfiguration, destination: D, spool: Spool, ledger: Ledger, state: LedgerState,
        resumption: Resumption, reader: SpoolReader, deadLetters: DeadLetterArea, logger: Logger
    ) {
        self.configuration = configuration
        self.destination = destination
        self.spool = spool
        self.ledger = ledger
        self.state = state
        self.resumption = resumption
        self.reader = reader
        self.deadLetters = deadLetters
        self.logger = logger
        let now = spool.environment.clocks.instant()
        published = Mutex(
            DrainStatistics(partitions: destination.partitionCount, startedAt: state.floor, now: now))
    }

    func request(_ stop: DrainControl.Stop) {
        control.request(stop)
        wake()
    }

    /// Ends the thread's sleep, whatever it sleeps on.
    func wake() {
        signal.raise()
        reader.wake()
    }
}

/// The life of a drain's thread as others see it.
final class DrainControl: Sendable {
    enum Stop: Sendable {
        case within(ContinuousClock.Instant)
        case abandon
    }

    private struct State {
        var hasBegun = false
        var hasEnded = false
        var isFinished = false
        var stop: Stop?
        var finish: UInt64?
        var releasesMemory = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    var stop: Stop? { state.withLock { $0.stop } }
    /// A stop, and the id from which on nothing is read.
    var orders: (stop: Stop?, finish: UInt64?) { state.withLock { ($0.stop, $0.finish) } }
    var isFinished: Bool { state.withLock { $0.isFinished } }

    /// An earlier deadline wins.
    func request(_ stop: Stop) {
        state.withLock { state in
            switch (state.stop, stop) {
            case (.abandon?, _): break
            case (.within(let old)?, .within(let new)): state.stop = .within(min(old, new))
            default: state.stop = stop
            }
        }
    }

    func releaseMemory() { state.withLock { $0.releasesMemory = true } }
    /// Whether that was asked for since the last call.
    func takeRelease() -> Bool {
        state.withLock { state in
            defer { state.releasesMemory = false }
            return state.releasesMemory
        }
    }

    func finish(below end: UInt64) { state.withLock { $0.finish = min($0.finish ?? end, end) } }

    /// False when it has begun before.
    func begin() -> Bool {
        state.withLock { state in
            defer { state.hasBegun = true }
            return !state.hasBegun
        }
    }

    func end(isFinished: Bool) {
        let waiters = state.withLock { state in
            state.hasEnded = true
            state.isFinished = isFinished
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns at once when the thread has ended or was never begun.
    func waitForEnd() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard state.hasBegun, !state.hasEnded else { return true }
                state.waiters.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }
}
