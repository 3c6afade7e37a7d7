internal import Logging
internal import NIOCore

extension PulsarClient {
    /// Makes a producer, and waits until the brokers have taken it.
    ///
    /// - Parameter topic: `t`, `tenant/namespace/t`, or the whole: `persistent://tenant/namespace/t`.
    /// - Throws: `PulsarError`: `invalidTopicName`, `invalidConfiguration`, `notSupported` when the library of the compression
    ///   is not installed; `encryptionFailed` when the keys cannot be had; what a broker said, or `timeout` or `producerBusy` when it was not done within the operation
    ///   timeout: see `PulsarProducerOptions.openingPatience`. `CancellationError`.
    public func makeProducer(
        topic: String, options: PulsarProducerOptions = PulsarProducerOptions()
    ) async throws -> PulsarProducer {
        try options.check()
        let name = try TopicName(topic)
        let compressor = try Compressor(options.compression)
        var encryption: PayloadEncryption?
        if let keys = options.encryption {
            encryption = try await PayloadEncryption(
                keys, timeout: TimeAmount(self.options.operationTimeout), eventLoop: eventLoopGroup.any(),
                logger: logger)
        }
        let partitions = try await partitions(of: name, patience: options.openingPatience)
        let core = ProducerCore(
            name, options, client: self, compressor: compressor, encryption: encryption, partitions: partitions)
        let producer = PulsarProducer(core)
        try register(core.id) { [weak core] in try? await core?.close(flush: false, until: nil) }
        try await core.open()
        return producer
    }

    /// 0: the topic has none.
    private func partitions(
        of topic: TopicName, patience: PulsarProducerOptions.OpeningPatience
    ) async throws -> Int {
        var failures = 0
        var random = SystemRandomNumberGenerator()
        while true {
            do {
                return try await source.partitions(of: topic).get()
            } catch let error as PulsarError where patience == .unlimited && error.code != .alreadyClosed {
                failures += 1
                logger.info("no answer about partitions", metadata: ["topic": "\(topic)", "error": "\(error)"])
                try await Task.sleep(
                    for: ConnectionSource.retryPolicy(options).delay(
                        afterFailures: failures, suggested: nil, using: &random))
            }
        }
    }

    func makeTopicProducer(
        _ topic: TopicName, _ machine: ProducerMachineOptions, accessMode: PulsarAccessMode = .shared,
        properties: [String: String] = [:], isEncrypted: Bool = false, schema: Schema? = nil
    ) -> TopicProducer {
        TopicProducer(
            TopicProducer.Settings(
                topic: topic, producerID: makeProducerID(), machine: machine, accessMode: accessMode,
                properties: properties, isEncrypted: isEncrypted, schema: schema,
                operationTimeout: options.operationTimeout),
            source: source, environment: options.environment, eventLoop: eventLoopGroup.any(), logger: logger)
    }
}
