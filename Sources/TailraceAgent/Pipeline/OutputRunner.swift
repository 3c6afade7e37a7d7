internal import Logging
internal import NIOCore
internal import ServiceLifecycle
import Synchronization
internal import TailraceDelivery
internal import TailraceSpool

/// One output from start to stop, as the agent sees it.
protocol RunningOutput: Service {
    func report() -> StatusReport.Output
}

/// Connects until the service has told its partitions, then drains the spool into it.
///
/// The agent runs without the network: until the service answers, records wait in the spool.
final class OutputRunner<Way: Outlet>: RunningOutput, CustomStringConvertible {
    private let name: String
    private let key: RoutingKey
    private let outlet: Way
    private let spool: Spool
    private let ledger: Ledger
    private let deadLetterDirectory: String
    private let account: InputAccount?
    private let release: @Sendable (UInt64) -> Void
    private let logger: Logger
    private let health = OutputHealth()
    private let running = Mutex<(drain: Drain<Way.Target>, destination: Way.Target)?>(nil)

    /// - Parameters:
    ///   - account: told what is taken out of the spool; of one output only.
    ///   - release: told the id below which this output needs nothing any more.
    init(
        _ name: String, key: RoutingKey, outlet: Way, spool: Spool, ledger: Ledger, deadLetterDirectory: String,
        account: InputAccount?, logger: Logger, release: @escaping @Sendable (UInt64) -> Void
    ) {
        self.name = name
        self.key = key
        self.outlet = outlet
        self.spool = spool
        self.ledger = ledger
        self.deadLetterDirectory = deadLetterDirectory
        self.account = account
        self.release = release
        self.logger = logger
    }

    var description: String { "output \(name)" }

    /// Until a graceful shutdown; then stops within `OutputLimits.stop`.
    func run() async throws {
        let stop = outlet.eventLoop.makePromise(of: Void.self)
        defer { stop.succeed() }
        try await withTaskCancellationOrGracefulShutdownHandler {
            guard let destination = await connect(stop: stop.futureResult) else { return }
            let drain = try start(destination)
            try? await stop.futureResult.get()
            await drain.stop(within: OutputLimits.stop)
        } onCancelOrGracefulShutdown: {
            stop.succeed()
        }
        let limit = outlet.eventLoop.scheduleTask(in: OutputLimits.close) {}.futureResult
        _ = try? await outlet.close().value(unless: limit)
        ledger.flush(timeoutMilliseconds: 5000)
    }

    private func start(_ destination: Way.Target) throws -> Drain<Way.Target> {
        var configuration = DrainConfiguration(name: name) { Way.partition(of: $0, count: $1) }
        configuration.key = key
        configuration.window = Way.Target.window
        configuration.maximumBatchRecords = destination.maximumBatchRecords
        let drain = try Drain(
            configuration, destination: destination, spool: spool, ledger: ledger,
            deadLetterDirectory: deadLetterDirectory, logger: logger, release: release)
        running.withLock { $0 = (drain, destination) }
        drain.start()
        return drain
    }

    /// Nil when `stop` came first.
    private func connect(stop: EventLoopFuture<Void>) async -> Way.Target? {
        var longest = OutputLimits.pauses.first
        while true {
            do {
                let opening = outlet.eventLoop.makeFutureWithTask { [self] in
                    try await outlet.connect(ledger, health, account)
                }
                guard let destination = try await opening.value(unless: stop) else { return nil }
                health.noteConnected()
                var facts: Logger.Metadata = [
                    "output": "\(name)", "to": "\(outlet.place)", "partitions": "\(destination.partitionCount)",
                    "guarantee": "\(destination.guarantee)",
                ]
                for fact in destination.facts { facts[fact.name] = "\(fact.value)" }
                logger.info("connected", metadata: facts)
                return destination
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
            let trouble = (0..<destination.partitionCount).lazy.compactMap({ destination.trouble($0) }).first
        {
            report.state = trouble.state
            report.lastError = trouble.error
            report.lastErrorTime = Timestamp.now()
        }
        report.guarantee = running?.destination.guarantee ?? "at least once"
        report.spooled = next
        guard let running, let statistics else {
            report.acknowledged = ledger.state.floor
            report.waiting = next &- ledger.state.floor
            return report
        }
        report.spooled = next &- statistics.unused
        report.acknowledged = statistics.startedAt &+ statistics.alreadyAcknowledged &+ statistics.acknowledged
        report.inFlight = statistics.inFlight
        report.waiting =
            (statistics.queued &- statistics.inFlight) &+ statistics.passedOver &+ (next &- statistics.read)
        report.deadLettered = statistics.deadLettered
        report.dropped = statistics.dropped &+ statistics.damaged
        report.resent = statistics.unknownOutcomes
        report.partitions = statistics.partitions.enumerated().map { index, partition in
            var part = StatusReport.Partition()
            part.id = running.destination.partitionIDs[index]
            part.lastAcknowledged = partition.acknowledged > 0 ? partition.acknowledged - 1 : nil
            part.trouble = partition.trouble ?? running.destination.trouble(index)?.error
            return part
        }
        return report
    }
}

extension Outlet {
    /// An output that goes this way.
    func output(
        _ name: String, key: RoutingKey, spool: Spool, ledger: Ledger, deadLetterDirectory: String,
        account: InputAccount?, logger: Logger, release: @escaping @Sendable (UInt64) -> Void
    ) -> any RunningOutput {
        OutputRunner(
            name, key: key, outlet: self, spool: spool, ledger: ledger, deadLetterDirectory: deadLetterDirectory,
            account: account, logger: logger, release: release)
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
