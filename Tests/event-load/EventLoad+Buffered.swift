import EventHubs
import LoadSupport
import NIOCore
import Synchronization

extension EventLoad {
    /// Every event by itself into the buffer; the client makes the batches. To one partition, or to all in turn.
    func buffered() async throws {
        let results = Results()
        var buffering = BufferingOptions()
        // A few full batches per partition: what is behind them would only wait, in memory that no cache holds.
        buffering.maximumBufferLength = arguments.number("buffer", max(1500, (4 << 20) / max(1, body.readableBytes)))
        buffering.onSuccess = { results.add($0.events.count) }
        buffering.onFailure = { complain("event-load: \($0.error.map { "\($0)" } ?? "failed")") }
        let client = try EventHubBufferedProducerClient(
            connectionString: connectionString, buffering: buffering, options: options)
        try await client.connect()
        let partition = arguments.text("partition")
        let clock = Stopwatch()
        for _ in 0..<events { try await client.enqueue(EventData(body: body), partitionID: partition) }
        try await client.flush()
        clock.report(results.count, of: events)
        try await client.close()
    }
}

/// Events that the service has, counted on any thread.
private final class Results: Sendable {
    private let events = Atomic(0)
    func add(_ count: Int) { events.add(count, ordering: .relaxed) }
    var count: Int { events.load(ordering: .relaxed) }
}
