package import Logging
package import NIOCore
package import Pulsar

/// What `tailrace send` is to do with a Pulsar topic.
package struct PulsarSendSettings: Sendable {
    package var serviceURL: String
    package var topic: String
    package var identity = PulsarIdentity.nobody
    package var client = PulsarClientOptions()
    package var producer = PulsarProducerOptions()
    /// Put on every line: they go to its partition, in order. Nil: to all partitions in turn.
    package var key: String?
    /// How long a batch is tried, and how long the cluster may take to answer at first.
    package var timeout = Duration.seconds(60)

    /// Batches as large as they are of use, and the agent's way of placing keys.
    package init(serviceURL: String, topic: String) {
        self.serviceURL = serviceURL
        self.topic = topic
        producer.isBatchingEnabled = true
        producer.batchingMaximumBytes = 1 << 20
        producer.batchingMaximumMessages = 10_000
        producer.maximumPendingMessages = 10_000
        producer.blocksIfQueueFull = true
        producer.hashing = .murmur3
    }
}

/// Sends lines from a descriptor to a Pulsar topic.
package final class PulsarLineSender: Sendable {
    private let settings: PulsarSendSettings
    private let client: PulsarClient

    package init(
        _ settings: PulsarSendSettings, group: any EventLoopGroup, logger: Logger
    ) throws(PulsarError) {
        self.settings = settings
        var options = settings.client
        options.operationTimeout = min(options.operationTimeout, settings.timeout)
        client = try PulsarClient(
            serviceURL: settings.serviceURL, authentication: settings.identity.authentication(), options: options,
            eventLoopGroup: group, logger: logger)
    }

    /// As `LineSender.run`.
    package func run(
        descriptor: CInt, stop: StopPipe, watch: (@Sendable (SendProgress) -> Void)?,
        tell: @escaping @Sendable (String) -> Void
    ) async throws -> LineSender.Result {
        let tally = SendTally(stop)
        var options = settings.producer
        options.sendTimeout = settings.timeout
        let producer: PulsarProducer
        do {
            producer = try await client.makeProducer(topic: settings.topic, options: options)
        } catch {
            await client.close()
            throw error
        }
        let taker = TopicLineTaker(producer: producer, client: client, key: settings.key, tally: tally)
        return await LineHandover(taker, tally).run(
            descriptor: descriptor, stop: stop, patience: settings.timeout, watch: watch, tell: tell)
    }
}

extension PulsarError {
    /// Nobody will repair it while we wait.
    fileprivate var isForEver: Bool {
        switch code {
        case .authenticationFailed, .authorizationFailed, .credentialsUnavailable, .topicTerminated, .producerFenced,
            .topicNotFound, .alreadyClosed, .notAllowed, .incompatibleSchema:
            true
        default: false
        }
    }
}

/// A producer as a feed of lines sees it.
private struct TopicLineTaker: LineTaker {
    /// At the end, what is on its way gets this long.
    private static let closeLimit = Duration.seconds(5)

    let producer: PulsarProducer
    let client: PulsarClient
    let key: String?
    let tally: SendTally

    /// What brokers take as they come, with room for the metadata.
    let maximumLine = 5_177_344

    var buffered: Int { producer.pendingMessageCount }

    func tryTake(_ line: ByteBuffer) throws -> Bool {
        try producer.trySend(message(line), completion: completion(line.readableBytes))
    }

    func take(_ line: ByteBuffer) async throws {
        try await producer.send(message(line), completion: completion(line.readableBytes))
    }

    private func message(_ line: ByteBuffer) -> PulsarMessage {
        var message = PulsarMessage(line)
        message.partitionKey = key
        return message
    }

    private func completion(_ bytes: Int) -> PulsarProducer.Completion {
        { [tally] result in
            switch result {
            case .success: tally.accept(events: 1, bytes: bytes)
            case .failure(let error): tally.refuse(error.message, events: 1, isForEver: error.isForEver)
            }
        }
    }

    func flush(timeout: Duration) async throws { try await producer.flush(timeout: timeout) }

    func close() async {
        try? await producer.close(flush: false, timeout: Self.closeLimit)
        await client.close()
    }
}
