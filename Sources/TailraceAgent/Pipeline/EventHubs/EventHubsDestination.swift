package import EventHubs
internal import NIOCore
package import Producing
package import TailraceDelivery

/// An event hub as the drain sees it.
package final class EventHubsDestination: OutletDestination {
    package typealias Batch = PublishableBatch

    package let name: String
    package let partitionIDs: [String]
    package var partitionCount: Int { partitionIDs.count }
    package let guarantee: String
    package let positions: [ServicePosition]?
    package static let window = 4
    package let maximumBatchRecords = 50_000

    private let client: EventHubProducerClient
    private let publishing: [PublishingLane]?
    private let maximumSize: Int
    private let health: OutputHealth
    private let account: (any DeliveryAccount)?
    /// Only `makeEncoder` and the encoders use it, all on the drain's thread.
    private nonisolated(unsafe) let storage = EncoderStorage()

    /// - Parameters:
    ///   - partitionIDs: of the partitions that records are spread over, in the service's order.
    ///   - producers: an idempotent producer for each of them, and where it stands; nil: events go without numbers.
    ///   - maximumSize: bytes of a message.
    init(
        name: String, client: EventHubProducerClient, partitionIDs: [String],
        producers: [Producers.Opened]?, guarantee: String, maximumSize: Int,
        health: OutputHealth, account: (any DeliveryAccount)?
    ) {
        self.name = name
        self.client = client
        self.partitionIDs = partitionIDs
        self.guarantee = guarantee
        publishing = producers?.map { PublishingLane($0.publisher, client.eventLoop) }
        positions = producers?.map { producer in
            ServicePosition(
                producer: .init(groupID: producer.state.producerGroupID, ownerLevel: producer.state.ownerLevel),
                lastNumber: Int64(producer.lastNumber), base: Int64(producer.state.lastSequenceNumber))
        }
        self.maximumSize = maximumSize
        self.health = health
        self.account = account
    }

    package func makeEncoder() -> EventHubsEncoder {
        EventHubsEncoder(
            maximumSize: maximumSize, reservesNumbers: publishing != nil, storage: storage, account: account)
    }

    package func send(
        _ batch: PublishableBatch, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void
    ) {
        if let publishing {
            publishing[partition].send(batch) { [health] in completion(health.note($0)) }
        } else {
            client.attempt(batch.payload, partitionID: partitionIDs[partition]) { [health] result in
                completion(health.note(result))
            }
        }
    }

    package var facts: [(name: String, value: String)] { [("maximum_message", "\(maximumSize)")] }

    /// Every send tells how it ended.
    package func trouble(_ partition: Int) -> OutputTrouble? { nil }

    package func noteRefusal(_ partition: Int) { publishing?[partition].noteRefusal() }

    package func hasLostProducer(_ partition: Int) -> Bool { publishing?[partition].isTakenOver ?? false }

    package func close() async { publishing?.forEach { $0.close() } }
}
