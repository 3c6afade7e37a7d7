import Synchronization

/// A producer on one concrete topic for those who build and number their batches themselves, and who never give up: the
/// name is fixed, no batch fails for having waited, and what a broker refuses for a reason that may pass is tried for ever.
///
/// With deduplication, `open` tells the id to go on from: everything up to it is stored. A batch must not hold ids on both
/// sides of it, for a broker drops a batch whose first id it has as a whole.
package final class BatchProducer: Sendable {
    package struct Options: Sendable {
        package var compression: PulsarCompression = .none
        /// What brokers list beside the producer.
        package var properties: [String: String] = [:]
        /// Of batches on their way. One is always allowed.
        package var maximumBytesInFlight = 16 << 20
        /// A broker that answers none of the batches for so long is left, and asked again over another connection.
        package var answerTimeout = Duration.seconds(60)

        package init() {}
    }

    private let producer: TopicProducer
    private let compressor: Compressor
    private let opened = Mutex<SendEncoder?>(nil)

    fileprivate init(_ producer: TopicProducer, _ compressor: Compressor) {
        self.producer = producer
        self.compressor = compressor
    }

    deinit {
        // What has ended leaves the event loop alone: that may have been shut down since.
        if producer.end == nil { _ = producer.close() }
    }

    package var topic: TopicName { producer.topic }
    /// A broker has taken the producer, and the connection to it is there.
    package var isConnected: Bool { producer.isConnected }
    /// The highest id that the broker has confirmed; -1: none.
    package var lastSequenceID: Int64 { producer.lastSequenceID }
    /// Why there is no connection; nil when there is one.
    package var trouble: PulsarError? { producer.trouble }
    /// What ended the producer for good, such as another one that took the topic for itself; nil while it works.
    package var end: PulsarError? { producer.end }

    /// Returns when a broker has taken the producer, however long that takes. A cancelled task closes it.
    ///
    /// - Throws: `PulsarError` where no patience helps: `topicTerminated`, `producerFenced`, `alreadyClosed`,
    ///   `invalidTopicName`, `incompatibleSchema`, `notAllowed`, `notSupported`. `CancellationError`.
    package func open() async throws -> OpenedProducer {
        let result = try await withTaskCancellationHandler {
            try await producer.open().get()
        } onCancel: {
            _ = producer.close()
        }
        try Task.checkCancellation()
        let encoder = SendEncoder(
            producerID: producer.settings.producerID, producer: result, compressor: compressor)
        opened.withLock { $0 = encoder }
        return result
    }

    /// Makes frames of batches, on any thread; nil before `open` has returned.
    package var encoder: SendEncoder? { opened.withLock { $0 } }

    /// Sends a batch in the order of the calls; any number may be on their way.
    ///
    /// - Parameters:
    ///   - batch: sealed by `encoder`.
    ///   - completion: called once, on an event loop. A success when the broker has stored it, or had it already. A failure is
    ///     final: `notAllowed`, `messageTooBig` and `checksum` for this batch, anything else for the producer.
    package func send(
        _ batch: SealedSend, completion: @escaping @Sendable (Result<SendPosition, PulsarError>) -> Void
    ) {
        producer.submit([batch], completion: completion)
    }

    /// Fails what has no answer, and tells the broker; returns when it has answered, or had as long as the operation
    /// timeout. Then another one can be opened under the same name, to hear what the broker has.
    package func close() async { try? await producer.close().get() }
}

extension PulsarClient {
    /// Nothing is sent before `open`.
    ///
    /// - Parameters:
    ///   - topic: without partitions, or one partition.
    ///   - name: the same after each restart, and nobody else's.
    /// - Throws: `PulsarError` with code `notSupported` when the library of the compression is not installed.
    package func makeBatchProducer(
        topic: TopicName, name: String, options: BatchProducer.Options = BatchProducer.Options()
    ) throws(PulsarError) -> BatchProducer {
        precondition(!name.isEmpty)
        let compressor = try Compressor(options.compression)
        let machine = ProducerMachineOptions(
            name: name, sendTimeout: nil, openingTimeout: nil, isPatient: true,
            backoff: ConnectionSource.retryPolicy(self.options), maximumBytesInFlight: options.maximumBytesInFlight,
            answerTimeout: options.answerTimeout)
        return BatchProducer(makeTopicProducer(topic, machine, properties: options.properties), compressor)
    }
}
