package import EventHubs
internal import NIOCore
package import Producing
import Synchronization
internal import TailraceDelivery

/// An event hub as the drain sees it.
package final class EventHubsDestination: Destination {
    package typealias Batch = EncodedBatch

    package let name: String
    package let partitionIDs: [String]
    package var partitionCount: Int { partitionIDs.count }
    package let guarantee =
        "at least once: no producer state in this namespace; duplicates only among batches in flight"

    private let connection: EventHubConnection
    private let maximumSize: Int
    private let health: OutputHealth
    private let account: (any DeliveryAccount)?
    /// Only `makeEncoder` and the encoders use it, all on the drain's thread.
    private nonisolated(unsafe) let storage = EncoderStorage()

    /// - Parameters:
    ///   - partitionIDs: all partitions of the hub in force for this output, in the service's order.
    ///   - maximumSize: bytes of a message.
    package init(
        name: String, connection: EventHubConnection, partitionIDs: [String], maximumSize: Int, health: OutputHealth,
        account: (any DeliveryAccount)?
    ) {
        self.name = name
        self.connection = connection
        self.partitionIDs = partitionIDs
        self.maximumSize = maximumSize
        self.health = health
        self.account = account
    }

    package func makeEncoder() -> EventHubsEncoder {
        EventHubsEncoder(maximumSize: maximumSize, storage: storage, account: account)
    }

    package func send(
        _ batch: EncodedBatch, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void
    ) {
        connection.send(payload: batch.payload, partitionID: partitionIDs[partition]) { [health] result in
            completion(health.note(result))
        }
    }
}

/// How the way to an output stands, for the status: told by every attempt.
package final class OutputHealth: Sendable {
    package struct State: Equatable, Sendable {
        package var text = "connecting"
        package var lastError: String?
        /// Milliseconds since 1970.
        package var lastErrorTime: Int64?
    }
    private let state = Mutex(State())

    /// What stands in the way for ever, unless somebody repairs it, is asked for again this often.
    static let repairInterval = Duration.seconds(5)

    package init() {}

    package var current: State { state.withLock { $0 } }

    package func noteConnected() { state.withLock { $0.text = "connected" } }

    package func note(_ error: EventHubsError) {
        let text =
            switch error.code {
            case .unauthorized: "unauthorized; trying again"
            case .notFound: "event hub not found; trying again"
            case .connectFailed, .connectionLost: "not connected; trying again"
            case .serverBusy: "throttled by the service"
            default: "failing; trying again"
            }
        state.withLock {
            $0.text = text
            $0.lastError = "\(error)"
            $0.lastErrorTime = Timestamp.now()
        }
    }

    /// Notes how a send ended, and says what the lane is to do.
    func note(_ result: SendResult) -> SendOutcome {
        switch result {
        case .accepted:
            noteConnected()
            return .accepted
        case .failed(let error, let prospect):
            note(error)
            switch prospect {
            case .retriable(let after): return .retry(reason: "\(error)", after: after > .zero ? after : nil)
            case .unknown: return .unknown(reason: "\(error)")
            case .batchRefused: return .rejected(reason: "\(error)")
            case .blocked: return .retry(reason: "\(error)", after: Self.repairInterval)
            }
        }
    }
}
