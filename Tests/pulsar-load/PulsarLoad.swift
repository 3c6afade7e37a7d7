// One process that sends many messages to a Pulsar topic, for benchmarks and memory tests.
//
//     pulsar-load batch|single --service-url URL --messages N --size BYTES [--topic NAME] [--batch-messages N]
//         [--batch-bytes N] [--pending N] [--compression none|zlib|lz4|zstd|snappy]
//
// Prints "events=N seconds=S processor=S peak=KIB" for the time from the first message to the last receipt, without the
// connecting. Every message has a receipt that is counted.
import Glibc
import LoadSupport
import NIOCore
import Pulsar
import Synchronization

@main
struct PulsarLoad {
    static func main() async {
        guard let arguments = Arguments(CommandLine.arguments), ["batch", "single"].contains(arguments.mode),
            let serviceURL = arguments.text("service-url")
        else {
            complain("usage: pulsar-load batch|single --service-url URL --messages N --size BYTES")
            exit(2)
        }
        do {
            try await send(arguments, serviceURL)
        } catch {
            complain("pulsar-load: \(error)")
            exit(1)
        }
    }

    private static func send(_ arguments: Arguments, _ serviceURL: String) async throws {
        var options = PulsarProducerOptions()
        options.isBatchingEnabled = arguments.mode == "batch"
        options.batchingMaximumMessages = arguments.number("batch-messages", 5000)
        options.batchingMaximumBytes = arguments.number("batch-bytes", 256 << 10)
        options.blocksIfQueueFull = true
        options.maximumPendingMessages = arguments.number("pending", 100_000)
        options.maximumPendingMessagesAcrossPartitions = 0
        if let name = arguments.text("compression") {
            guard let compression = PulsarCompression(rawValue: name) else {
                throw Failure("\(name): none, zlib, lz4, zstd or snappy")
            }
            options.compression = compression
        }
        let messages = arguments.number("messages", 1_000_000)
        let body = ByteBuffer(bytes: (0..<arguments.number("size", 200)).map { UInt8(ascii: "a") + UInt8($0 % 26) })
        let client = try PulsarClient(serviceURL: serviceURL)
        let producer = try await client.makeProducer(topic: arguments.text("topic") ?? "load", options: options)
        // Connects.
        try await producer.send(PulsarMessage(body))

        let receipts = Receipts()
        let completion: PulsarProducer.Completion = { receipts.add($0) }
        let clock = Stopwatch()
        for _ in 0..<messages { try await producer.send(PulsarMessage(body), completion: completion) }
        try await producer.flush()
        clock.report(receipts.count, of: messages)
        try await producer.close()
        await client.close()
    }
}

/// Messages that the broker has, counted on any thread.
private final class Receipts: Sendable {
    private let messages = Atomic(0)

    func add(_ result: Result<PulsarMessageID, PulsarError>) {
        switch result {
        case .success: messages.add(1, ordering: .relaxed)
        case .failure(let error): complain("pulsar-load: \(error)")
        }
    }

    var count: Int { messages.load(ordering: .relaxed) }
}
