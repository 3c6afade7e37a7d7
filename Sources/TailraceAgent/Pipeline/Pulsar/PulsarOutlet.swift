package import Logging
package import NIOCore
package import Pulsar
import Synchronization
package import TailraceDelivery
package import TailraceSpool

/// The way to a Pulsar topic.
package final class PulsarOutlet: Outlet {
    package static let type = "pulsar"

    package let place: String
    package let eventLoop: any EventLoop
    package var executor: (any TaskExecutor)? { client.options.environment.executor }
    private let settings: PulsarOutputSettings
    private let client: PulsarClient
    private let topic: TopicName
    /// The newest.
    private let destination = Mutex<PulsarDestination?>(nil)

    /// Producers that are opened at the same time.
    private static let opensAtATime = 64
    /// A producer that has gone further is not gone on with: its numbers could come to their end.
    private static let highestNumber = Int64.max / 2
    /// For all of them, with all attempts; then what stands in the way is told, and it begins anew.
    private static let openingLimit = Duration.seconds(15)

    convenience init(
        _ settings: PulsarOutputSettings, executor: any TaskExecutor, eventLoop: any EventLoop, logger: Logger
    ) throws(AgentError) {
        var options = settings.connecting
        options.environment.executor = executor
        try self.init(settings, options, eventLoop: eventLoop, logger: logger)
    }

    /// - Parameter options: whatever the settings say.
    package init(
        _ settings: PulsarOutputSettings, _ options: PulsarClientOptions, eventLoop: any EventLoop, logger: Logger
    ) throws(AgentError) {
        self.settings = settings
        self.eventLoop = eventLoop
        do throws(PulsarError) {
            topic = try TopicName(settings.topic)
            _ = try Compressor(settings.compression)
            client = try PulsarClient(
                serviceURL: settings.serviceURL, authentication: settings.identity.authentication(),
                options: options, eventLoopGroup: eventLoop, logger: logger)
        } catch {
            throw AgentError("output \(settings.name): \(error.message)")
        }
        place = "topic \(topic) at \(client.serviceURL)"
    }

    /// How many there are, or are being made.
    package var connections: Int { client.source.pool.count }

    package func partitionCount() -> EventLoopFuture<Int> { client.source.partitions(of: topic).map { max(1, $0) } }

    package func connect(
        _ ledger: Ledger, _ health: OutputHealth, _ account: InputAccount?,
        route: @Sendable (_ partitions: Int) throws -> Routing
    ) async throws -> PulsarDestination {
        // 0: the topic has none, and is as good as one.
        let count = try await client.source.partitions(of: topic).get()
        let routing = try route(max(1, count))
        let topics = count == 0 ? [topic] : (0..<routing.partitions).map { topic.partition($0) }
        let producers = try topics.map { try make($0) }
        let opened = try await open(producers)
        if let exhausted = opened.indices.first(where: { opened[$0].lastSequenceID > Self.highestNumber }) {
            for producer in producers { await producer.close() }
            throw PulsarError(
                .invalidConfiguration,
                "\(topics[exhausted]): the broker has the id \(opened[exhausted].lastSequenceID) of the producer"
                    + " \(settings.producerName), and there are too few above it; give this output another producer_name"
            )
        }
        let guarantee = PulsarGuarantee(
            producerName: settings.producerName, isOn: opened.contains { $0.lastSequenceID >= 0 })
        let positions = topics.indices.map { position(of: topics[$0], opened[$0], in: ledger.state, at: $0) }
        let lanes = producers.indices.map { index in
            PulsarLane(
                producers[index], lastNumber: positions[index].base, guarantee: guarantee, health: health,
                eventLoop: eventLoop, environment: client.options.environment, make: { try self.make(topics[index]) })
        }
        let destination = PulsarDestination(
            name: place, producerName: settings.producerName, lanes: lanes, positions: positions,
            guarantee: guarantee, maximumSize: producers.compactMap(\.encoder?.maximumBatchSize).min() ?? 0,
            batchSize: settings.batchSize, batchRecords: settings.batchRecords, account: account)
        self.destination.withLock { $0 = destination }
        return destination
    }

    private func make(_ topic: TopicName) throws -> BatchProducer {
        var options = BatchProducer.Options()
        options.compression = settings.compression
        options.properties = ["agent": "tailrace/\(Version.text)"]
        return try client.makeBatchProducer(topic: topic, name: settings.producerName, options: options)
    }

    /// All of them, a few at a time. When that comes to nothing, those that are open are closed: they would be in the way of
    /// the next attempt.
    private func open(_ producers: [BatchProducer]) async throws -> [OpenedProducer] {
        do {
            return try await withThrowingTaskGroup(of: [OpenedProducer]?.self) { group in
                group.addTask {
                    try await self.eventLoop.sleep(for: Self.openingLimit)
                    return nil
                }
                group.addTask {
                    var opened: [OpenedProducer] = []
                    while opened.count < producers.count {
                        let range = opened.count..<min(opened.count + Self.opensAtATime, producers.count)
                        opened += try await Self.open(producers[range])
                    }
                    return opened
                }
                defer { group.cancelAll() }
                guard let opened = try await group.next() ?? nil else {
                    throw producers.firstResult(of: \.trouble)
                        ?? PulsarError(.timeout, "the producers were not open within \(Self.openingLimit)")
                }
                return opened
            }
        } catch {
            for producer in producers { await producer.close() }
            throw error
        }
    }

    private static func open(_ producers: ArraySlice<BatchProducer>) async throws -> [OpenedProducer] {
        try await withThrowingTaskGroup(of: (Int, OpenedProducer).self) { group in
            for index in producers.indices { group.addTask { (index, try await producers[index].open()) } }
            var opened: [(Int, OpenedProducer)] = []
            for try await one in group { opened.append(one) }
            return opened.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    /// Where the broker and the ledger see our producer. The numbers go on behind the higher of the two: a broker that
    /// deduplicates takes none twice, and one that does not may begin to.
    private func position(
        of topic: TopicName, _ opened: OpenedProducer, in state: LedgerState, at index: Int
    ) -> ServicePosition {
        let producer = LedgerState.Producer(
            groupID: Self.identifier(of: opened.name, topic.description), ownerLevel: 0)
        var base = opened.lastSequenceID
        if index < state.partitions.count, state.partitions[index].producer == producer {
            base = max(base, state.partitions[index].serviceNumber)
        }
        return ServicePosition(producer: producer, lastNumber: opened.lastSequenceID, base: base)
    }

    /// What the ledger knows a producer's numbers by: FNV-1a, 64 bits, of its name, a NUL and the topic.
    static func identifier(of name: String, _ topic: String) -> Int64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in Array(name.utf8) + [0] + Array(topic.utf8) {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        return Int64(bitPattern: hash)
    }

    package func trouble(_ error: any Error) -> OutputTrouble {
        OutputTrouble(error as? PulsarError ?? PulsarError(.connectFailed, "\(error)"))
    }

    /// MurmurHash3 (x86, 32 bits, seed 0) of the key's UTF-8, its lowest 31 bits modulo the number of partitions: as the
    /// other clients with Murmur3_32.
    package static func partition(of key: String, count: Int) -> Int {
        PulsarHashing.murmur3.partition(of: key, count: count)
    }

    package func close() -> EventLoopFuture<Void> {
        // Told to the brokers, so that the next run finds no producer of this one.
        let destination = destination.withLock { $0 }
        return eventLoop.makeFuture(on: executor) {
            await destination?.close()
            await self.client.close()
        }
    }
}
