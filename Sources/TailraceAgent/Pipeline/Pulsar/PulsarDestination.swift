internal import NIOCore
package import Producing
package import TailraceDelivery

/// A Pulsar topic as the drain sees it: each of its partitions is a lane with a producer of its own.
package final class PulsarDestination: OutletDestination {
    package typealias Batch = PulsarBatch

    /// A broker stores whatever rises: behind a batch that was refused, a later one would take its place.
    package static let window = 1

    package let name: String
    package let partitionIDs: [String]
    package let positions: [ServicePosition]?
    package let numbering = ServiceNumbering.rising
    private let lanes: [PulsarLane]
    private let knownGuarantee: PulsarGuarantee
    private let producerName: String
    private let maximumSize: Int
    private let batchSize: Int
    package let maximumBatchRecords: Int
    private let account: (any DeliveryAccount)?
    /// Only `makeEncoder` and the encoders use it, all on the drain's thread.
    private nonisolated(unsafe) let storage = EncoderStorage()

    /// - Parameters:
    ///   - lanes: of all partitions, in their order.
    ///   - maximumSize: bytes of a batch that all brokers take.
    ///   - batchSize, batchRecords: bytes of a batch with more than one record, and records of one.
    init(
        name: String, producerName: String, lanes: [PulsarLane], positions: [ServicePosition],
        guarantee: PulsarGuarantee, maximumSize: Int, batchSize: Int, batchRecords: Int, account: (any DeliveryAccount)?
    ) {
        self.name = name
        self.producerName = producerName
        self.lanes = lanes
        self.positions = positions
        self.maximumSize = maximumSize
        self.batchSize = batchSize
        maximumBatchRecords = batchRecords
        self.account = account
        knownGuarantee = guarantee
        partitionIDs = lanes.enumerated().map { "\($0.element.topic.partitionIndex ?? $0.offset)" }
    }

    package var partitionCount: Int { lanes.count }
    package var guarantee: String { knownGuarantee.text }
    package var knowsWhatItHas: Bool { knownGuarantee.isOn }
    package var facts: [(name: String, value: String)] {
        [("maximum_message", "\(maximumSize)"), ("producer", producerName)]
    }

    package func makeEncoder() -> PulsarEncoder {
        PulsarEncoder(maximumSize: maximumSize, batchSize: batchSize, storage: storage, account: account)
    }

    package func send(_ batch: PulsarBatch, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void) {
        lanes[partition].send(batch, completion: completion)
    }

    package func hasLostProducer(_ partition: Int) -> Bool { lanes[partition].isTakenOver }

    package func close() async {
        await withTaskGroup(of: Void.self) { group in
            for lane in lanes { group.addTask { await lane.close() } }
        }
    }

    package func trouble(_ partition: Int) -> OutputTrouble? { lanes[partition].trouble.map { OutputTrouble($0) } }
}
