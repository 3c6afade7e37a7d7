internal import EventHubs
internal import Logging
internal import NIOCore
internal import TailraceDelivery
internal import TailraceSpool

/// Opens an idempotent producer for every partition of a hub: those of the ledger where it has some, with the next
/// owner level, so that no earlier run of this agent can publish any more.
///
/// That takes two attaches. The service tells where a producer stands only at the owner level that it stood at: at a
/// higher one it may count anew (the live tests of the reference's beta 5.4.0b1 show that it does). In between the
/// ledger is told how many records the service has beyond it, for nobody will tell that again, and of the next level: an agent that ends before it has attached would otherwise find its own producer
/// taken, and could not tell itself from a copy of its state directory.
struct Producers {
    struct Opened {
        let publisher: PartitionPublisher
        /// As granted: this run's numbers follow its number.
        let state: PublishingState
        /// The last number of the run before; that of `state` where there was none.
        var lastNumber: Int32
    }

    /// Links that are attached at the same time.
    static let attachesAtATime = 64

    let client: EventHubProducerClient
    let partitionIDs: [String]
    /// As `LedgerState.producers`.
    let stored: [LedgerState.Producer?]
    let logger: Logger
    /// Makes the producers' owner levels durable, by partition, and the last numbers of the levels before; nil where there
    /// is none to go on with.
    let note: ([LedgerState.Producer?], _ numbers: [Int32?]) throws -> Void

    /// Nil: the namespace does not support it.
    func open() async throws -> [Opened]? {
        let numbers = try await forEachPartition { learn($0) }
        let next = zip(stored, numbers).map { producer, number -> LedgerState.Producer? in
            guard var producer, number != nil else { return nil }
            if producer.ownerLevel < .max { producer.ownerLevel += 1 }
            return producer
        }
        if next.contains(where: { $0 != nil }) { try note(next, numbers) }
        let attached = try await forEachPartition { attach($0, next[$0]) }
        var opened: [Opened] = []
        for (one, number) in zip(attached, numbers) {
            guard var one else { return nil }
            if let number { one.lastNumber = Self.last(number, granted: one.lastNumber) }
            opened.append(one)
        }
        return opened
    }

    /// What came between the two attaches counts too, unless the service counts anew.
    private static func last(_ number: Int32, granted: Int32) -> Int32 {
        granted != PublishingNumber.none && PublishingNumber.isAtOrBefore(number, granted) ? granted : number
    }

    /// A few begun together, and awaited one after the other.
    private func forEachPartition<Value: Sendable>(
        _ begin: (_ index: Int) -> EventLoopFuture<Value>
    ) async throws -> [Value] {
        var values: [Value] = []
        while values.count < partitionIDs.count {
            let range = values.count..<min(values.count + Self.attachesAtATime, partitionIDs.count)
            for future in range.map(begin) { values.append(try await future.get()) }
        }
        return values
    }

    /// The last number of the ledger's producer; nil where there is none that can be gone on with.
    private func learn(_ index: Int) -> EventLoopFuture<Int32?> {
        guard let producer = stored[index] else { return client.eventLoop.makeSucceededFuture(nil) }
        let (id, logger) = (partitionIDs[index], logger)
        return attach(index, producer).map { found in
            found?.publisher.close()
            return found?.lastNumber
        }.flatMapErrorThrowing { error in
            guard let error = error as? EventHubsError, Self.isLost(error) else { throw error }
            // Somebody has gone on with it, or the service does not know it any more. Its numbers tell nothing about
            // this agent's records: another producer, and a duplicate rather than a loss.
            logger.warning(
                "this agent's producer cannot be gone on with, as if the state directory was copied; a new one begins",
                metadata: ["partition": "\(id)", "reason": "\(error)"])
            return nil
        }
    }

    private func attach(_ index: Int, _ producer: LedgerState.Producer?) -> EventLoopFuture<Opened?> {
        var options = PublishingOptions()
        options.producerGroupID = producer?.groupID
        options.ownerLevel = producer?.ownerLevel
        let publisher = client.makePublisher(
            partitionID: partitionIDs[index], options: options, replacesRefused: true)
        return publisher.open().map { state in
            state.map { Opened(publisher: publisher, state: $0, lastNumber: $0.lastSequenceNumber) }
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
