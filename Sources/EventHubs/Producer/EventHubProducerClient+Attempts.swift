package import NIOCore

/// For senders that encode events themselves, and keep order, retries and threads of their own: one attempt each, told by
/// a future or a callback on `eventLoop`, within the deadlines of the options.
extension EventHubProducerClient {
    package var eventLoop: any EventLoop { connection.eventLoop }

    /// One question for the hub's properties; fails with `EventHubsError`.
    package func askEventHubProperties() -> EventLoopFuture<EventHubProperties> { connection.eventHubProperties() }

    /// Bytes that a message to this partition (or to the hub) may have; attaches the link if there is none. Fails with
    /// `EventHubsError`.
    package func askMaximumMessageSize(partitionID: String?) -> EventLoopFuture<Int> {
        connection.maximumMessageSize(partitionID: partitionID)
    }

    /// Sends one encoded batch to a partition, or to the hub. Batches for one partition reach the service in the order of
    /// the calls; `completion` is called once.
    package func attempt(
        _ payload: ByteBuffer, partitionID: String?, completion: @escaping @Sendable (SendResult) -> Void
    ) {
        connection.send(payload: payload, partitionID: partitionID, completion: completion)
    }

    /// An idempotent producer of a partition, over the client's connection; it ends with the client. Parameters: see
    /// `PartitionPublisher`.
    package func makePublisher(
        partitionID: String, options: PublishingOptions = PublishingOptions(), replacesRefused: Bool = false
    ) -> PartitionPublisher {
        PartitionPublisher(
            connection, partitionID: partitionID, options: options, replacesRefused: replacesRefused)
    }

    /// As `close`, without waiting.
    @discardableResult
    package func end() -> EventLoopFuture<Void> { connection.close() }
}
