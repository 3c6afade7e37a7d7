internal import EventHubs
internal import Logging
internal import NIOCore
internal import TailraceDelivery
internal import TailraceSpool

/// Opens an idempotent producer for every partition of a hub: those of the ledger where it has some, with the next
/// owner level, so that no earlier run of this agent can publish any more.
struct Producers {
    typealias Opened = (publisher: PartitionPublisher, state: PublishingState)

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

    private typealias Attempt = (publisher: PartitionPublisher, state: EventLoopFuture<PublishingState?>)

    private func begin(_ id: String, _ producer: LedgerState.Producer?) -> Attempt {
        var options = PublishingOptions()
        if let producer {
            options.producerGroupID = producer.groupID
            options.ownerLevel = producer.ownerLevel == .max ? .max : producer.ownerLevel + 1
        }
        let publisher = PartitionPublisher(connection, partitionID: id, options: options)
        return (publisher, publisher.open())
    }

    private func finish(_ attempt: Attempt, _ id: String, _ producer: LedgerState.Producer?) async throws -> Opened? {
        do {
            guard let state = try await attempt.state.get() else { return nil }
            return (attempt.publisher, state)
        } catch let error as EventHubsError where error.code == .producerDisconnected && producer != nil {
            // Somebody has gone on with it meanwhile. Its numbers tell nothing about this agent's records: another
            // producer, and a duplicate rather than a loss.
            logger.warning(
                "another agent has used this one's producer, as if the state directory was copied; a new one begins",
                metadata: ["partition": "\(id)", "reason": "\(error)"])
            return try await open(id, nil)
        }
    }

    /// For the status.
    static func describe(_ opened: [Opened]) -> String {
        let names = opened.prefix(4).map { "\($0.state.producerGroupID)/\($0.state.ownerLevel)" }
        let more = opened.count > names.count ? " and \(opened.count - names.count) more" : ""
        let noun = opened.count == 1 ? "producer" : "producers"
        return "exactly once: idempotent \(noun) \(names.joined(separator: ", "))\(more)"
    }
}
