package import EventHubs
package import Logging
package import NIOCore
internal import ServiceLifecycle
import Synchronization
internal import TailraceDelivery
package import TailraceSpool

/// One output from start to stop: connects until the hub has told its partitions, then drains the spool into it.
///
/// The agent runs without the network: until the hub answers, records wait in the spool.
package final class OutputRunner: Service, CustomStringConvertible {
    /// Between attempts to reach the hub for the first time: doubled from the first to the second, with jitter.
    static let pauses = (first: Duration.milliseconds(500), longest: Duration.seconds(30))
    /// At a stop, what is in flight gets this long to be acknowledged.
    static let stopLimit = Duration.seconds(5)

    private let settings: EventHubsOutputSettings
    private let client: EventHubProducerClient
    /// Of the hub, for people.
    private let place: String
    private let spool: Spool
    private let ledger: Ledger
    private let deadLetterDirectory: String
    private let account: InputAccount?
    private let release: @Sendable (UInt64) -> Void
    private let logger: Logger
    private let health = OutputHealth()
    private let drain = Mutex<(Drain<EventHubsDestination>, [String], guarantee: String)?>(nil)

    /// - Parameters:
    ///   - account: told what is taken out of the spool; of one output only.
    ///   - release: told the id below which this output needs nothing any more.
    package init(
        _ settings: EventHubsOutputSettings, spool: Spool, ledger: Ledger, deadLetterDirectory: String,
        account: InputAccount?, eventLoop: any EventLoop, logger: Logger,
        release: @escaping @Sendable (UInt64) -> Void
    ) throws {
        self.settings = settings
        self.spool = spool
        self.ledger = ledger
        self.deadLetterDirectory = deadLetterDirectory
        self.account = account
        self.release = release
        self.logger = logger
        let endpoint = try Self.endpoint(settings)
        place = "hub \(endpoint.hub) at \(endpoint.host):\(endpoint.route.port)"
        client = EventHubProducerClient(endpoint, settings.connecting, eventLoop, logger)
    }

    /// - Throws: what is wrong with the settings, such as a CA file that is none.
    package static func endpoint(_ settings: EventHubsOutputSettings) throws(AgentError) -> EventHubEndpoint {
        do throws(EventHubsError) {
            return try settings.endpoint()
        } catch {
            throw AgentError("output \(settings.name): \(error.message)")
        }
    }

    package var description: String { "output \(settings.name)" }

    /// Until a graceful shutdown; then stops within `stopLimit`.
    package func run() async throws {
        let stop = client.eventLoop.makePromise(of: Void.self)
        defer { stop.succeed() }
        try await withTaskCancellationOrGracefulShutdownHandler {
            guard let destination = await connect(stop: stop.futureResult) else { return }
            let drain = try start(destination)
            try? await stop.futureResult.get()
            await drain.stop(within: Self.stopLimit)
        } onCancelOrGracefulShutdown: {
            stop.succeed()
        }
        let limit = client.eventLoop.scheduleTask(in: .seconds(2)) {}.futureResult
        _ = try? await Self.race(client.end(), limit)
        ledger.flush(timeoutMilliseconds: 5000)
    }

    private func start(_ destination: EventHubsDestination) throws -> Drain<EventHubsDestination> {
        var configuration = DrainConfiguration(name: settings.name) { key, count in
            PartitionKeyHash.service.index(of: key, partitionCount: count)
        }
        configuration.key = routingKey
        let drain = try Drain(
            configuration, destination: destination, spool: spool, ledger: ledger,
            deadLetterDirectory: deadLetterDirectory, logger: logger, release: release)
        self.drain.withLock { $0 = (drain, destination.partitionIDs, destination.guarantee) }
        drain.start()
        return drain
    }

    /// Nil when `stop` came first.
    private func connect(stop: EventLoopFuture<Void>) async -> EventHubsDestination? {
        var longest = Self.pauses.first
        while true {
            do {
                let found = client.askEventHubProperties().flatMap { properties in
                    self.client.askMaximumMessageSize(partitionID: properties.partitionIDs[0]).map {
                        (properties.partitionIDs, $0)
                    }
                }
                guard let (partitionIDs, size) = try await Self.race(found, stop) else { return nil }
                let opening = client.eventLoop.makeFutureWithTask { try await self.producers(partitionIDs) }
                guard let producers = try await Self.race(opening, stop) else { return nil }
                health.noteConnected()
                let guarantee = producers.map { Producers.describe($0) } ?? atLeastOnce
                logger.info(
                    "connected",
                    metadata: [
                        "output": "\(settings.name)", "hub": "\(place)", "partitions": "\(partitionIDs.count)",
                        "maximum_message": "\(size)", "guarantee": "\(guarantee)",
                    ])
                return EventHubsDestination(
                    name: place, client: client, partitionIDs: partitionIDs, producers: producers,
                    guarantee: guarantee, maximumSize: min(size, Self.maximumBatch), health: health, account: account)
            } catch {
                let failure = error as? EventHubsError ?? EventHubsError(.connectFailed, "\(error)")
                health.note(failure)
                logger.warning(
                    "the hub cannot be reached; records wait in the spool",
                    metadata: ["output": "\(settings.name)", "hub": "\(place)", "reason": "\(failure)"])
            }
            let pause = TimeAmount.milliseconds(
                Int64.random(in: Self.milliseconds(longest) / 2...Self.milliseconds(longest)))
            let timer = client.eventLoop.scheduleTask(in: pause) {}.futureResult
            if (try? await Self.race(timer, stop)) == nil { return nil }
            longest = min(longest * 2, Self.pauses.longest)
        }
    }

    /// Nil: events go without numbers.
    private func producers(_ partitionIDs: [String]) async throws -> [Producers.Opened]? {
        guard settings.idempotent != .never else { return nil }
        let stored = ledger.state.producers(key: routingKey, partitions: partitionIDs.count)
        let opened = try await Producers(
            client: client, partitionIDs: partitionIDs, stored: stored, logger: logger, note: note
        ).open()
        if opened == nil, settings.idempotent == .always {
            throw EventHubsError(
                .notSupported,
                "the namespace does not support idempotent publishing, and idempotent is \"always\": nothing is sent;"
                    + " use another tier, or idempotent = \"auto\"")
        }
        return opened
    }

    /// Tells the ledger of the owner levels that are taken next.
    private func note(_ producers: [LedgerState.Producer?]) throws {
        var state = ledger.state
        for (index, producer) in producers.enumerated() {
            if let producer { state.partitions[index].producer = producer }
        }
        try ledger.update(state)
        guard ledger.flush(timeoutMilliseconds: 5000) else {
            throw AgentError("output \(settings.name): the ledger cannot be written; check the state directory's disk")
        }
    }

    private var routingKey: RoutingKey { settings.key == .host ? .host : .source }

    private var atLeastOnce: String {
        let reason =
            settings.idempotent == .never
            ? "idempotent is \"never\"" : "the namespace does not support idempotent publishing"
        return "at least once: \(reason); duplicates only among batches in flight"
    }

    /// Bytes of a batch message at most, whatever the service would take: more saves nothing and costs memory.
    static let maximumBatch = 1 << 20

    private static func milliseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
    }

    /// The first future's result, or nil when the second one came before it.
    private static func race<T: Sendable>(
        _ future: EventLoopFuture<T>, _ stop: EventLoopFuture<Void>
    ) async throws -> T? {
        let promise = future.eventLoop.makePromise(of: T?.self)
        // The later of the two finds the promise kept, which is fine.
        future.map(Optional.some).cascade(to: promise)
        stop.whenComplete { _ in promise.succeed(nil) }
        return try await promise.futureResult.get()
    }

    // MARK: Status

    package func report() -> StatusReport.Output {
        var report = StatusReport.Output()
        report.name = settings.name
        let running = drain.withLock { $0 }
        let statistics = running?.0.statistics
        // After the drain's: what it has read exists.
        let next = spool.statistics().nextSequence
        let health = health.current
        report.state = health.text
        report.lastError = health.lastError
        report.lastErrorTime = health.lastErrorTime
        report.guarantee = running?.guarantee ?? "at least once"
        report.spooled = next
        guard let running, let statistics else {
            report.acknowledged = ledger.state.floor
            report.waiting = next &- ledger.state.floor
            return report
        }
        report.spooled = next &- statistics.unused
        report.acknowledged = statistics.startedAt &+ statistics.alreadyAcknowledged &+ statistics.acknowledged
        report.inFlight = statistics.inFlight
        report.waiting = (statistics.queued &- statistics.inFlight) &+ (next &- statistics.read)
        report.deadLettered = statistics.deadLettered
        report.dropped = statistics.dropped &+ statistics.damaged
        report.resent = statistics.unknownOutcomes
        report.partitions = zip(running.1, statistics.partitions).map { id, partition in
            var part = StatusReport.Partition()
            part.id = id
            part.lastAcknowledged = partition.acknowledged > 0 ? partition.acknowledged - 1 : nil
            part.trouble = partition.trouble
            return part
        }
        return report
    }
}
