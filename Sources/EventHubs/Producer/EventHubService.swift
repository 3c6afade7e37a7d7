package import Logging
package import NIOCore
package import Producing

/// The partitions of an event hub as a numbered service for the buffering engine: batches are encoded messages of format
/// 0x80013700 (see `EventBatchEncoder`), partitions count in the order in which the service names them.
package final class EventHubService: Service {
    package typealias Batch = ByteBuffer

    package let endpoint: EventHubEndpoint
    /// In the service's order.
    package let partitionIDs: [String]
    /// Bytes of the largest batch.
    package let maximumMessageSize: Int
    private let connections: [EventHubConnection]

    private init(_ connections: [EventHubConnection], _ partitionIDs: [String], _ maximumMessageSize: Int) {
        self.connections = connections
        endpoint = connections[0].endpoint
        self.partitionIDs = partitionIDs
        self.maximumMessageSize = maximumMessageSize
    }

    /// Connects, and asks for the partitions and for the largest message. One attempt: the caller tries again.
    ///
    /// - Parameters:
    ///   - connectionCount: connections to spread the partitions over; each runs on an event loop of the group.
    /// - Throws: `EventHubsError`.
    package static func connect(
        _ endpoint: EventHubEndpoint, options: EventHubsOptions = EventHubsOptions(), connectionCount: Int = 1,
        eventLoopGroup: any EventLoopGroup, logger: Logger
    ) async throws -> EventHubService {
        precondition(connectionCount > 0, "a service needs a connection")
        let connections = (0..<connectionCount).map { _ in
            EventHubConnection(endpoint, options: options, eventLoop: eventLoopGroup.next(), logger: logger)
        }
        do {
            let properties = try await connections[0].eventHubProperties().get()
            let size = try await connections[0].maximumMessageSize(partitionID: properties.partitionIDs.first).get()
            return EventHubService(connections, properties.partitionIDs, size)
        } catch {
            for connection in connections { _ = try? await connection.close().get() }
            throw error
        }
    }

    /// What the service tells about a partition now; fails with `EventHubsError`.
    package func properties(ofPartition partition: Int) -> EventLoopFuture<PartitionProperties> {
        connections[partition % connections.count].partitionProperties(partitionIDs[partition])
    }

    package func send(
        _ batch: ByteBuffer, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void
    ) {
        let connection = connections[partition % connections.count]
        connection.send(payload: batch, partitionID: partitionIDs[partition]) { completion(SendOutcome($0)) }
    }

    /// Ends the connections. Batches still on their way end as unknown.
    package func close() async {
        for connection in connections { _ = try? await connection.close().get() }
    }
}

extension SendOutcome {
    /// What concerns more than this batch (a wrong key, a missing hub) is tried again for ever: nothing is given up while
    /// somebody may still repair it.
    package init(_ result: SendResult) {
        switch result {
        case .accepted: self = .accepted
        case .failed(let error, .retriable(let after)):
            self = .retry(reason: error.description, after: after > .zero ? after : nil)
        case .failed(let error, .unknown): self = .unknown(reason: error.description)
        case .failed(let error, .batchRefused): self = .rejected(reason: error.description)
        case .failed(let error, .blocked): self = .retry(reason: error.description)
        }
    }
}
