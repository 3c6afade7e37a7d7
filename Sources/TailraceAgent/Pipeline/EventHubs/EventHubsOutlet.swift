package import EventHubs
package import Logging
package import NIOCore
package import TailraceDelivery
package import TailraceSpool

/// The way to an event hub.
package final class EventHubsOutlet: Outlet {
    package static let type = "eventhubs"

    package let place: String
    private let settings: EventHubsOutputSettings
    private let client: EventHubProducerClient
    private let logger: Logger

    /// Bytes of a batch message at most, whatever the service would take: more saves nothing and costs memory.
    private static let maximumBatch = 1 << 20

    convenience init(
        _ settings: EventHubsOutputSettings, executor: any TaskExecutor, eventLoop: any EventLoop, logger: Logger
    ) throws(AgentError) {
        let endpoint: EventHubEndpoint
        do throws(EventHubsError) {
            endpoint = try settings.endpoint()
        } catch {
            throw AgentError("output \(settings.name): \(error.message)")
        }
        var options = settings.connecting
        options.executor = executor
        self.init(settings, endpoint, options, eventLoop: eventLoop, logger: logger)
    }

    /// - Parameters:
    ///   - endpoint: whatever the settings say.
    ///   - options: likewise.
    package init(
        _ settings: EventHubsOutputSettings, _ endpoint: EventHubEndpoint, _ options: EventHubsOptions,
        eventLoop: any EventLoop, logger: Logger
    ) {
        self.settings = settings
        self.logger = logger
        executor = options.executor
        place = "hub \(endpoint.hub) at \(endpoint.host):\(endpoint.route.port)"
        client = EventHubProducerClient(endpoint, options, eventLoop, logger)
    }

    package var eventLoop: any EventLoop { client.eventLoop }
    package let executor: (any TaskExecutor)?

    package func partitionCount() -> EventLoopFuture<Int> {
        client.askEventHubProperties().map { $0.partitionIDs.count }
    }

    package func connect(
        _ ledger: Ledger, _ health: OutputHealth, _ account: InputAccount?,
        route: @Sendable (_ partitions: Int) throws -> Routing
    ) async throws -> EventHubsDestination {
        let all = try await client.askEventHubProperties().get().partitionIDs
        let size = try await client.askMaximumMessageSize(partitionID: all[0]).get()
        let routing = try route(all.count)
        let partitionIDs = Array(all.prefix(routing.partitions))
        let producers = try await producers(partitionIDs, routing, ledger)
        return EventHubsDestination(
            name: place, client: client, partitionIDs: partitionIDs, producers: producers,
            guarantee: producers.map { Producers.describe($0) } ?? atLeastOnce,
            maximumSize: min(size, Self.maximumBatch), health: health, account: account)
    }

    /// Nil: events go without numbers.
    private func producers(
        _ partitionIDs: [String], _ routing: Routing, _ ledger: Ledger
    ) async throws -> [Producers.Opened]? {
        guard settings.idempotent != .never else { return nil }
        let stored = ledger.state.producers(routing)
        // An attempt whose note could not be written has left it in memory: the service must not hear of a level that is
        // not on the disk, or the next process would find its own producer taken.
        if stored.contains(where: { $0 != nil }) { try store(ledger.state, ledger) }
        let opened = try await Producers(
            client: client, partitionIDs: partitionIDs, stored: stored, logger: logger,
            note: { try self.note($0, from: $1, ledger) }
        ).open()
        if opened == nil, settings.idempotent == .always {
            throw EventHubsError(
                .notSupported,
                "the namespace does not support idempotent publishing, and idempotent is \"always\": nothing is sent;"
                    + " use another tier, or idempotent = \"auto\"")
        }
        return opened
    }

    /// Tells the ledger of the owner levels that are taken next, and what the service has from those before.
    private func note(_ producers: [LedgerState.Producer?], from numbers: [Int32?], _ ledger: Ledger) throws {
        var state = ledger.state
        for (index, (producer, number)) in zip(producers, numbers).enumerated() {
            if let producer, let number { state.raise(index, to: producer, from: Int64(number)) }
        }
        try store(state, ledger)
    }

    private func store(_ state: LedgerState, _ ledger: Ledger) throws {
        try ledger.update(state)
        guard ledger.flush(timeoutMilliseconds: 5000) else {
            throw AgentError("output \(settings.name): the ledger cannot be written; check the state directory's disk")
        }
    }

    private var atLeastOnce: String {
        let reason =
            settings.idempotent == .never
            ? "idempotent is \"never\"" : "the namespace does not support idempotent publishing"
        return "at least once: \(reason); duplicates only among batches in flight"
    }

    package func trouble(_ error: any Error) -> OutputTrouble {
        OutputTrouble(error as? EventHubsError ?? EventHubsError(.connectFailed, "\(error)"))
    }

    package static func partition(of key: String, count: Int) -> Int {
        PartitionKeyHash.service.index(of: key, partitionCount: count)
    }

    package func close() -> EventLoopFuture<Void> { client.end() }
}
