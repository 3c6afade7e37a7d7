import EventHubs
import Glibc
import HubReading
import LoadSupport
import Synchronization

extension EventLoad {
    /// Reads events of a hub on this machine whose bodies begin with the time at which they were written, until it has `events`
    /// that were written later than it began, and prints how long these were on their way to a consumer: "p50=US p99=US max=US".
    func follow() async throws {
        let connection = try EventHubsConnectionString(connectionString)
        let waits = Waits(events)
        let begin = Self.now
        let consumer = try await HubConsumer(
            port: connection.port ?? 5671, authorityFile: arguments.text("ca") ?? "",
            user: connection.sharedAccessKeyName ?? "", password: connection.sharedAccessKey ?? "",
            hub: connection.eventHubName ?? "", partitions: arguments.number("partitions", 4)
        ) { event in
            let now = Self.now
            let digits = event.body.prefix { $0 != UInt8(ascii: " ") }
            guard let written = Int64(String(decoding: digits, as: UTF8.self)), written >= begin else { return }
            waits.add(now - written)
        }
        print("following")
        fflush(nil)
        await waits.end()
        print(waits.description)
        try await consumer.close()
    }

    /// Nanoseconds since 1970.
    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// Nanoseconds.
private final class Waits: Sendable, CustomStringConvertible {
    private let wanted: Int
    private let all = Mutex<[Int64]>([])
    private let (stream, continuation) = AsyncStream<Void>.makeStream()

    init(_ wanted: Int) {
        self.wanted = wanted
        all.withLock { $0.reserveCapacity(wanted) }
    }

    func add(_ wait: Int64) {
        let count = all.withLock { all in
            all.append(wait)
            return all.count
        }
        if count == wanted { continuation.finish() }
    }

    func end() async { for await _ in stream {} }

    var description: String {
        let sorted = all.withLock { $0.sorted() }
        func at(_ share: Double) -> Int64 { sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))] / 1000 }
        return "p50=\(at(0.5)) p99=\(at(0.99)) max=\(at(1))"
    }
}
