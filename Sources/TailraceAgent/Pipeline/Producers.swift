internal import EventHubs
internal import Logging
internal import NIOCore
internal import TailraceDelivery
internal import TailraceSpool

/// Opens an idempotent producer for every partition of a hub: those of the ledger where it has some, with the next
/// owner level, so that no earlier run of this agent can publish any more.
///
/// That takes two attaches. The service tells where a producer stands only at the owner level that it stood at: at a
/// higher one it may count anew (the live tests of the reference's beta 5.4.0b1 show that it does).
struct Producers {
    struct Opened {
        let publisher: PartitionPublisher
        /// As granted: this run's numbers follow its number.
        let state: PublishingState
        /// The last number of the run before; that of `state` where there was none.
        let lastNumber: Int32
    }

    /// Links that are attached at the same time.
    static let attachesAtATime = 64

    let connection: EventHubConnection
    let partitionIDs: [String]
    /// As `LedgerState.producers`.
    let stored: [LedgerState.Producer?]
    let logger: Logger

    /// Nil: the namespace does not support it.
    func open() async throws -> [Opened]? {
        guard let firstID = partitionIDs.first, let first = try await open(firstID, stored.first ?? nil) else {
            return nil
        }
        var opened = [first]
        while opened.count < partitionIDs.count {
            let range = opened.count..<min(opened.count + Self.attachesAtATime, partitionIDs.count)
            // Begun together, and awaited one after the other.
            let begun = range.map { begin(partitionIDs[$0], stored[$0]) }
            for (index, attempt) in zip(range, begun) {
                guard let one = try await finish(attempt, partitionIDs[index], stored[index]) else { return nil }
                opened.append(one)
            }
        }
        return opened
    }

    private func open(_ id: String, _ producer: LedgerState.Producer?) async throws -> Opened? {
        try await finish(begin(id, producer), id, producer)
    }

    private func begin(_ id: String, _ producer: LedgerState.Producer?) -> EventLoopFuture<Opened?> {
        guard let producer else { return attach(id, PublishingOptions()) }
        func options(_ level: Int16) -> PublishingOptions {
            var options = PublishingOptions()
            options.producerGroupID = producer.groupID
            options.ownerLevel = level
            return options
        }
        let next = options(producer.ownerLevel == .max ? .max : producer.ownerLevel + 1)
        return attach(id, options(producer.ownerLevel)).flatMap { found in
            guard let found else { return connection.eventLoop.makeSucceededFuture(nil) }
            found.publisher.close()
            return attach(id, next).map { granted in
                granted.map { Opened(publisher: $0.publisher, state: $0.state, lastNumber: found.lastNumber) }
            }
        }
    }

    private func attach(_ id: String, _ options: PublishingOptions) -> EventLoopFuture<Opened?> {
        let publisher = PartitionPublisher(connection, partitionID: id, options: options)
        return publisher.open().map { state in
            state.map { Opened(publisher: publisher, state: $0, lastNumber: $0.lastSequenceNumber) }
        }
    }

    private func finish(
        _ attempt: EventLoopFuture<Opened?>, _ id: String, _ producer: LedgerState.Producer?
    ) async throws -> Opened? {
        do {
            return try await attempt.get()
        } catch let error as EventHubsError where producer != nil && Self.isLost(error) {
            // Somebody has gone on with it, or the service does not know it any more. Its numbers tell nothing about
            // this agent's records: another producer, and a duplicate rather than a loss.
            logger.warning(
                "this agent's producer cannot be gone on with, as if the state directory was copied; a new one begins",
                metadata: ["partition": "\(id)", "reason": "\(error)"])
            return try await open(id, nil)
        }
    }

    /// Another agent has the producer, or (`amqp:not-allowed`) the service never gave it out.
    private static func isLost(_ error: EventHubsError) -> Bool {
        error.code == .producerDisconnected || error.condition == "amqp:not-allowed"
    }

    /// For the status.
    static func describe(_ opened: [Opened]) -> String {
        let names = opened.prefix(4).map { "\($0.state.producerGroupID)/\($0.state.ownerLevel)" }
        let more = opened.count > names.count ? " and \(opened.count - names.count) more" : ""
        let noun = opened.count == 1 ? "producer" : "producers"
        return "exactly once: idempotent \(noun) \(names.joined(separator: ", "))\(more)"
    }
}
