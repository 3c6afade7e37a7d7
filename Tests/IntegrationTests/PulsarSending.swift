import NIOCore
import Synchronization
import Testing

@testable import Pulsar

/// Results of messages in the order of sending.
final class PulsarReceipts: Sendable {
    private let results = Mutex<[Int: Result<PulsarMessageID, PulsarError>]>([:])

    var count: Int { results.withLock { $0.count } }

    func completion(of index: Int) -> PulsarProducer.Completion {
        { result in
            let earlier = self.results.withLock { $0.updateValue(result, forKey: index) }
            #expect(earlier == nil, "message \(index) got a second result")
        }
    }

    func ids(_ count: Int) throws -> [PulsarMessageID] {
        try (0..<count).map { index in try #require(results.withLock { $0[index] }).get() }
    }
}

extension PulsarLite {
    /// Sends all, and returns where each is stored.
    func send(
        _ messages: [PulsarMessage], to topic: String, _ options: PulsarProducerOptions
    ) async throws -> [PulsarMessageID] {
        let client = try PulsarClient(serviceURL: serviceURL)
        let producer = try await client.makeProducer(topic: topic, options: options)
        let receipts = PulsarReceipts()
        for (index, message) in messages.enumerated() {
            try await producer.send(message, completion: receipts.completion(of: index))
        }
        try await producer.flush()
        let ids = try receipts.ids(messages.count)
        try await producer.close()
        await client.close()
        return ids
    }
}

extension PulsarProducerOptions {
    static func patient(batching: Bool, _ compression: PulsarCompression = .none) -> PulsarProducerOptions {
        var options = PulsarProducerOptions()
        options.isBatchingEnabled = batching
        options.compression = compression
        options.blocksIfQueueFull = true
        // However slow the machine that tests.
        options.sendTimeout = .zero
        return options
    }
}

extension PulsarMessage {
    /// Every kind of message.
    static var specimens: [PulsarMessage] {
        var all = AwkwardPayloads.all.map { PulsarMessage($0) }
        all += [PulsarMessage("text, ünïcödé 🦆"), PulsarMessage("")]
        var slice = ByteBuffer(string: "cut out of a larger buffer")
        slice.moveReaderIndex(forwardBy: 4)
        all.append(PulsarMessage(slice))
        var full = PulsarMessage("full")
        full.properties = [("first", "1"), ("empty", ""), ("ünïcödé", "🦆 = 'x', \"y\"\\\n")]
        full.partitionKey = "key / ключ"
        full.orderingKey = "ordering"
        full.eventTime = 1_700_000_000_123
        all.append(full)
        var null = PulsarMessage(content: .null)
        null.partitionKey = "deleted"
        all.append(null)
        var ordered = PulsarMessage("ordering key alone")
        ordered.orderingKey = "only"
        all.append(ordered)
        return all
    }
}
