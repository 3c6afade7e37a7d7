import NIOCore
import Pulsar
import PulsarBroker
import Synchronization
import TestSupport
import Testing

/// Our producer on two brokers that do all that brokers do wrong, at random and all the time: each message is stored once,
/// and those of a key in their order.
@Suite(.serialized) struct UnrulyClusterTests {
    private static let topic = "persistent://public/default/unruly"
    private static let (partitions, messages, keys) = (3, 900, 17)

    @Test(arguments: [11, 12, nil] as [UInt64?]) func everyMessageIsStoredOnceAndInOrder(_ seed: UInt64?) async throws {
        let seeds = seed.map { SeededGenerator(seed: $0) } ?? .fresh("unruly cluster")
        let world = World(seeds.seed)
        var options = PulsarProducerOptions()
        options.name = "unruly"
        options.sendTimeout = .zero
        options.openingPatience = .unlimited
        options.blocksIfQueueFull = true
        options.maximumPendingMessages = 400
        options.isBatchingEnabled = world.choose(4) > 0
        options.batchingMaximumMessages = 2 + world.choose(10)
        options.batchingMaximumDelay = .milliseconds(1)
        options.compression = [.none, .zlib][world.choose(2)]
        try await WithBroker.run(WithBroker.quick) { configuration in
            configuration.partitions[Self.topic] = Self.partitions
            configuration.brokers = 2
            configuration.disconnectNotice = .milliseconds(2)
            configuration.onSend = { _ in world.sendFault() }
        } _: { cluster, client in
            let producer = try await client.makeProducer(topic: Self.topic, options: options)
            let unrest = Task { try await world.disturb(cluster.broker) }
            let failures = Mutex<[PulsarError]>([])
            let results = Atomic(0)
            for number in 0..<Self.messages {
                var message = PulsarMessage("\(number)")
                message.partitionKey = "key-\(number % Self.keys)"
                try await producer.send(message) { result in
                    if case .failure(let error) = result { failures.withLock { $0.append(error) } }
                    results.add(1, ordering: .relaxed)
                }
            }
            try await producer.flush()
            try await producer.close()
            unrest.cancel()
            try await unrest.value
            #expect(failures.withLock { $0 }.map(\.description) == [])
            #expect(results.load(ordering: .relaxed) == Self.messages)
            var stored: [String: [Int]] = [:]
            for partition in 0..<Self.partitions {
                for message in try await cluster.broker.messages(of: "\(Self.topic)-partition-\(partition)") {
                    stored[message.key ?? "", default: []].append(Int(message.text) ?? -1)
                }
            }
            for key in 0..<Self.keys {
                let wanted = Array(stride(from: key, to: Self.messages, by: Self.keys))
                let found = stored["key-\(key)"] ?? []
                guard found != wanted else { continue }
                let (lost, twice) = (wanted.filter { !found.contains($0) }, found.count - Set(found).count)
                Issue.record(
                    "\(seeds.seed), key \(key): lost \(lost), \(twice) twice, in order \(found == found.sorted())")
            }
            #expect(world.faultsMade > 0)
        }
    }

    /// What goes wrong, by one generator.
    private final class World: Sendable {
        private let state: Mutex<SeededGenerator>
        private let faults = Atomic(0)
        private let sends = Atomic(0)

        init(_ seed: UInt64) { state = Mutex(SeededGenerator(seed: seed)) }

        var faultsMade: Int { faults.load(ordering: .relaxed) }

        func choose(_ count: Int) -> Int { state.withLock { Int.random(in: 0..<count, using: &$0) } }

        func sendFault() -> SendFault? {
            sends.add(1, ordering: .relaxed)
            guard choose(20) == 0 else { return nil }
            faults.add(1, ordering: .relaxed)
            switch choose(9) {
            case 0: return .storeSilently
            case 1: return .drop
            case 2: return .storeThenDrop
            case 3: return .closeProducer(assigned: nil)
            case 4: return .storeThenCloseProducer(assigned: nil)
            case 5: return .answerTwice
            case 6: return .answerLate(.milliseconds(1))
            case 7: return .stallWrites
            default: return .failWrite
            }
        }

        /// Until it is cancelled. Each time some SENDs have come; and when none come any more, as one of them waits for an
        /// answer that the broker keeps to itself.
        func disturb(_ broker: PulsarBroker) async throws {
            var (seen, idle) = (0, 0)
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(1 + choose(10)))
                try await broker.resumeWrites(dropping: choose(2) == 0)
                let now = sends.load(ordering: .relaxed)
                idle = now == seen ? idle + 1 : 0
                guard now - seen > choose(100) || idle > 20 else { continue }
                (seen, idle) = (now, 0)
                let partition = "\(UnrulyClusterTests.topic)-partition-\(choose(UnrulyClusterTests.partitions))"
                switch choose(4) {
                case 0: try await broker.move(partition, to: choose(2), isTold: choose(2) == 0)
                case 1: try await broker.closeProducers(of: partition)
                case 2:
                    try await broker.setSilent(true)
                    try await broker.dropConnections()
                    try await broker.setSilent(false)
                default: try await broker.dropConnections()
                }
            }
            try await broker.resumeWrites()
        }
    }
}
