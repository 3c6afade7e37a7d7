internal import Logging
internal import NIOCore
import Synchronization
internal import TailraceDelivery
internal import TailraceSpool
internal import Transports

/// One output from start to stop, as the agent sees it.
protocol RunningOutput: RunningPart {
    /// Of every thread that it has.
    var marks: [StageMark] { get }
    func report() -> StatusReport.Output
    /// What it has counted, for the one that comes after it.
    var counted: PastDrains { get }
    /// See `Drain.releaseMemory`.
    func releaseMemory()
}

/// Connects until the service has told its partitions, then drains the spool into it: by one routing after the other,
/// when partitions come or another key is configured.
///
/// The agent runs without the network: until the service answers, records wait in the spool.
final class OutputRunner<Way: Outlet>: RunningOutput {
    private let name: String
    private let key: RoutingKey
    private let partitionCheck: Duration
    private let outlet: Way
    private let spool: Spool
    private let ledger: Ledger
    private let deadLetters: DeadLetterArea
    private let account: InputAccount?
    private let release: @Sendable (UInt64) -> Void
    private let logger: Logger
    let life = Life()
    /// Kept when it is to stop; there is one from the start on.
    private let stopping = Mutex<EventLoopPromise<Void>?>(nil)
    private let health = OutputHealth()
    private let running = Mutex<(drain: Drain<Way.Target>, destination: Way.Target)?>(nil)
    private let past: Mutex<PastDrains>
    private let isSuccessor: Bool
    private let keptFrom: UInt64

    /// - Parameters:
    ///   - account: told what is taken out of the spool.
    ///   - past: what the one has counted that this one comes after, in this process; nil: there was none.
    ///   - keptFrom: see `Drain`.
    ///   - release: told the id below which this output needs nothing any more.
    init(
        _ name: String, key: RoutingKey, partitionCheck: Duration, outlet: Way, spool: Spool, ledger: Ledger,
        deadLetters: DeadLetterArea, account: InputAccount?, past: PastDrains?, keptFrom: UInt64, logger: Logger,
        release: @escaping @Sendable (UInt64) -> Void
    ) {
        self.past = Mutex(past ?? PastDrains())
        isSuccessor = past != nil
        self.keptFrom = keptFrom
        self.name = name
        self.key = key
        self.partitionCheck = partitionCheck
        self.outlet = outlet
        self.spool = spool
        self.ledger = ledger
        self.deadLetters = deadLetters
        self.account = account
        self.release = release
        self.logger = logger
    }

    var description: String { "output \(name)" }

    func start(_ ended: @escaping @Sendable (any Error) -> Void) {
        let stop = outlet.eventLoop.makePromise(of: Void.self)
        stopping.withLock { $0 = stop }
        Task(executorPreference: outlet.executor) { [self] in
            var failure: any Error = AgentError("the \(self) ended by itself; look at the messages before this one")
            do {
                try await run(stop.futureResult)
            } catch {
                failure = error
            }
            stop.succeed()
            await close()
            life.end()
            if !life.isStopping.load(ordering: .relaxed) { ended(failure) }
        }
    }

    /// It ends within the limits of `OutputLimits`.
    func stop() {
        life.isStopping.store(true, ordering: .relaxed)
        stopping.withLock { $0 }?.succeed()
    }

    private func run(_ stop: EventLoopFuture<Void>) async throws {
        var isFinished = false
        while let (destination, course) = await connect(isFinished: isFinished, stop: stop) {
            let drain = try start(destination, course.routing)
            stop.whenComplete { [weak drain] _ in drain?.beginStop(within: OutputLimits.stop) }
            let watch = watchPartitions(course, drain)
            isFinished = await drain.end()
            watch.cancel()
            guard isFinished else { break }
            let closing = outlet.eventLoop.makeFuture(on: outlet.executor) { await destination.close() }
            _ = try await closing.value(unless: stop)
        }
    }

    private func close() async {
        let limit = outlet.eventLoop.scheduleTask(in: OutputLimits.close) {}.futureResult
        _ = try? await outlet.close().value(unless: limit)
        ledger.flush(timeoutMilliseconds: OutputLimits.ledgerMilliseconds)
    }

    private func start(_ destination: Way.Target, _ routing: Routing) throws -> Drain<Way.Target> {
        var configuration = DrainConfiguration(name: name) { Way.partition(of: $0, count: $1) }
        configuration.key = routing.key
        configuration.window = Way.Target.window
        configuration.maximumBatchRecords = destination.maximumBatchRecords
        let drain = try Drain(
            configuration, destination: destination, spool: spool, ledger: ledger,
            deadLetters: deadLetters, sentBelow: hasDrained ? spool.statistics().nextSequence : nil,
            keptFrom: keptFrom, logger: logger, release: release)
        if let before = running.withLock({ $0?.drain.statistics }) { past.withLock { $0.add(before) } }
        running.withLock { $0 = (drain, destination) }
        drain.start()
        return drain
    }

    func releaseMemory() { running.withLock { $0?.drain }?.releaseMemory() }

    private var hasDrained: Bool { isSuccessor || running.withLock { $0 != nil } }

    var counted: PastDrains {
        var counted = past.withLock { $0 }
        if let last = running.withLock({ $0?.drain.statistics }) { counted.add(last) }
        return counted
    }

    /// Ends the drain, in order, when its routing is not the one that is wanted: what waits goes by it first.
    private func watchPartitions(_ course: Course, _ drain: Drain<Way.Target>) -> RepeatedTask {
        if !course.isWanted { drain.finish(below: spool.statistics().nextSequence) }
        let pause = TimeAmount(partitionCheck)
        return outlet.eventLoop.scheduleRepeatedAsyncTask(initialDelay: pause, delay: pause) { [outlet, spool] _ in
            outlet.partitionCount().map { count in
                // A failure is met again, or not, the next time; a topic or hub with fewer is another one.
                if count > course.routing.partitions { drain.finish(below: spool.statistics().nextSequence) }
            }
        }
    }

    /// The routing by which a drain works.
    private struct Course {
        var routing: Routing
        /// As the configuration and the service want it; otherwise what waits goes by it, and no more.
        var isWanted = true
    }

    /// The routing by which the next drain is to work; goes over to it when nothing is in the way.
    ///
    /// - Parameter isFinished: see `LedgerState.step`.
    private func choose(partitions count: Int, isFinished: Bool) throws -> Course {
        let wanted = Routing(key: key, partitions: count)
        switch ledger.state.step(to: wanted, next: spool.statistics().nextSequence, isFinished: isFinished) {
        case .keep, .startOver: return Course(routing: wanted)
        case .finish(let first):
            logger.notice(
                "the routing changes; what waits goes by the old one first",
                metadata: [
                    "output": "\(name)", "partitions_before": "\(first.partitions)", "partitions_now": "\(count)",
                    "key_before": "\(first.key.rawValue)", "key_now": "\(key.rawValue)",
                ])
            return Course(routing: first, isWanted: false)
        case .begin:
            var state = ledger.state
            state.begin(wanted)
            try ledger.update(state)
            guard ledger.flush(timeoutMilliseconds: 5000) else {
                throw AgentError("output \(name): the ledger cannot be written; check the state directory's disk")
            }
            logger.notice(
                "records go by another routing from here on",
                metadata: [
                    "output": "\(name)", "partitions": "\(count)", "key": "\(key.rawValue)",
                    "sequence": "\(state.floor)",
                ])
            return Course(routing: wanted)
        }
    }

    /// Nil when `stop` came first.
    private func connect(isFinished: Bool, stop: EventLoopFuture<Void>) async -> (Way.Target, Course)? {
        var longest = OutputLimits.pauses.first
        while true {
            do {
                let opening = outlet.eventLoop.makeFuture(on: outlet.executor) { [self] in
                    let chosen = Mutex<Course?>(nil)
                    let destination = try await outlet.connect(ledger, health, account) { count in
                        let course = try choose(partitions: count, isFinished: isFinished)
                        chosen.withLock { $0 = course }
                        return course.routing
                    }
                    guard let course = chosen.withLock({ $0 }) else { preconditionFailure("connected by no routing") }
                    return (destination, course)
                }
                guard let (destination, course) = try await opening.value(unless: stop) else { return nil }
                health.noteConnected()
                var facts: Logger.Metadata = [
                    "output": "\(name)", "to": "\(outlet.place)", "partitions": "\(destination.partitionCount)",
                    "guarantee": "\(destination.guarantee)",
                ]
                for fact in destination.facts { facts[fact.name] = "\(fact.value)" }
                logger.info("connected", metadata: facts)
                return (destination, course)
            } catch {
                let trouble = outlet.trouble(error)
                health.note(trouble)
                logger.warning(
                    "the output cannot be reached; records wait in the spool",
                    metadata: ["output": "\(name)", "to": "\(outlet.place)", "reason": "\(trouble.error)"])
            }
            let milliseconds =
                longest.components.seconds * 1000 + longest.components.attoseconds / 1_000_000_000_000_000
            let pause = TimeAmount.milliseconds(Int64.random(in: milliseconds / 2...milliseconds))
            let timer = outlet.eventLoop.scheduleTask(in: pause) {}.futureResult
            if (try? await timer.value(unless: stop)) == nil { return nil }
            longest = min(longest * 2, OutputLimits.pauses.longest)
        }
    }

    // MARK: Status

    var marks: [StageMark] {
        [ledger.mark] + [deadLetters.mark, running.withLock { $0?.drain.mark }].compactMap { $0 }
    }

    func report() -> StatusReport.Output {
        var report = StatusReport.Output()
        report.name = name
        report.type = Way.type
        let running = running.withLock { $0 }
        let statistics = running?.drain.statistics
        // After the drain's: what it has read exists.
        let next = spool.statistics().nextSequence
        let health = health.current
        report.state = health.text
        report.lastError = health.lastError
        report.lastErrorTime = health.lastErrorTime
        if let destination = running?.destination,
            let trouble = (0..<destination.partitionCount).firstResult(of: { destination.trouble($0) })
        {
            report.state = trouble.state
            report.lastError = trouble.error
            report.lastErrorTime = Timestamp.now()
        }
        report.guarantee = running?.destination.guarantee ?? "at least once"
        report.deadLetters = deadLetters.counts ?? DeadLetterCounts()
        let past = past.withLock { $0 }
        guard let running, let statistics else {
            let floor = ledger.state.floor
            report.spooled = next &- past.unused &- past.forOthers
            report.acknowledged = floor &- past.unacknowledged
            report.waiting = next &- floor
            report.deadLettered = past.deadLettered
            report.dropped = past.dropped
            report.resent = past.resent
            return report
        }
        report.spooled = next &- statistics.unused &- statistics.forOthers &- past.unused &- past.forOthers
        report.acknowledged =
            statistics.startedAt &+ statistics.alreadyAcknowledged &+ statistics.acknowledged &- past.unacknowledged
        report.inFlight = statistics.inFlight
        report.waiting =
            (statistics.queued &- statistics.inFlight) &+ statistics.passedOver &+ (next &- statistics.read)
        report.deadLettered = statistics.deadLettered &+ past.deadLettered
        report.dropped = statistics.dropped &+ statistics.damaged &+ past.dropped
        report.resent = statistics.unknownOutcomes &+ past.resent
        report.partitions = statistics.partitions.enumerated().map { index, partition in
            var part = StatusReport.Partition()
            part.id = running.destination.partitionIDs[index]
            part.lastAcknowledged = partition.acknowledged > 0 ? partition.acknowledged - 1 : nil
            part.acknowledgedRecords = partition.acknowledgedRecords
            part.isSlow = partition.passedOver != nil
            part.passedOver = partition.passedOver ?? 0
            part.trouble = partition.trouble ?? running.destination.trouble(index)?.error
            return part
        }
        return report
    }
}

extension Outlet {
    /// An output that goes this way.
    func output(
        _ name: String, key: RoutingKey, partitionCheck: Duration, spool: Spool, ledger: Ledger,
        deadLetters: DeadLetterArea, account: InputAccount?, past: PastDrains?, keptFrom: UInt64, logger: Logger,
        release: @escaping @Sendable (UInt64) -> Void
    ) -> any RunningOutput {
        OutputRunner(
            name, key: key, partitionCheck: partitionCheck, outlet: self, spool: spool, ledger: ledger,
            deadLetters: deadLetters, account: account, past: past, keptFrom: keptFrom,
            logger: logger, release: release)
    }
}

/// Every wait of an output.
enum OutputLimits {
    /// Between attempts to reach the service for the first time: doubled from the first to the second, with jitter.
    static let pauses = (first: Duration.milliseconds(500), longest: Duration.seconds(30))
    /// At a stop, what is in flight gets this long to be acknowledged.
    static let stop = Duration.seconds(5)
    /// And then the connections to end.
    static let close = TimeAmount.seconds(2)
    /// And then the ledger to reach the disk.
    static let ledgerMilliseconds = 5000
}

extension EventLoopFuture where Value: Sendable {
    /// The result, or nil when `stop` came before it.
    fileprivate func value(unless stop: EventLoopFuture<Void>) async throws -> Value? {
        let promise = eventLoop.makePromise(of: Value?.self)
        // The later of the two finds the promise kept, which is fine.
        map(Optional.some).cascade(to: promise)
        stop.whenComplete { _ in promise.succeed(nil) }
        return try await promise.futureResult.get()
    }
}
