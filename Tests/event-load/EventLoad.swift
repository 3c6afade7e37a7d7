// One process that sends many events, for benchmarks and memory tests.
//
//     event-load batch|buffered --connection-string TEXT --ca FILE --events N --size BYTES [--partition ID] [--tasks N] [--buffer N]
//     event-load count --connection-string TEXT --ca FILE
//     event-load follow --connection-string TEXT --ca FILE --events N [--partitions N]
//
// Prints "events=N seconds=S processor=S peak=KIB" for the time from the first event to the last answer, without the
// connecting; `count` prints how many events the hub has ever stored, `follow` how long events were on their way.
import EventHubs
import Glibc
import LoadSupport
import NIOCore

@main
struct EventLoad {
    let arguments: Arguments
    let connectionString: String
    let options: EventHubsOptions
    let events: Int
    let body: ByteBuffer

    static func main() async {
        guard let arguments = Arguments(CommandLine.arguments), let string = arguments.text("connection-string"),
            ["batch", "buffered", "count", "follow"].contains(arguments.mode)
        else {
            complain(
                "usage: event-load batch|buffered|count|follow --connection-string TEXT --ca FILE --events N --size BYTES"
            )
            exit(2)
        }
        var options = EventHubsOptions()
        if let authority = arguments.text("ca") { options.tls.trust = .file(authority) }
        let size = arguments.number("size", 200)
        let load = EventLoad(
            arguments: arguments, connectionString: string, options: options,
            events: arguments.number("events", 1_000_000),
            body: ByteBuffer(bytes: (0..<size).map { UInt8(ascii: "a") + UInt8($0 % 26) }))
        do {
            switch arguments.mode {
            case "batch": try await load.batches()
            case "buffered": try await load.buffered()
            case "follow": try await load.follow()
            default: try await load.count()
            }
        } catch {
            complain("event-load: \(error)")
            exit(1)
        }
    }

    /// A few tasks share the client; each fills a batch, sends it, awaits the answer, and begins the next.
    func batches() async throws {
        let client = try EventHubProducerClient(connectionString: connectionString, options: options)
        _ = try await client.createBatch()  // connects
        let tasks = arguments.number("tasks", 8)
        let clock = Stopwatch()
        let sent = try await withThrowingTaskGroup(of: Int.self) { group in
            for task in 0..<tasks {
                let own = events / tasks + (task < events % tasks ? 1 : 0)
                group.addTask { try await batches(of: own, client) }
            }
            return try await group.reduce(0, +)
        }
        clock.report(sent, of: events)
        await client.close()
    }

    private func batches(of events: Int, _ client: EventHubProducerClient) async throws -> Int {
        let partition = arguments.text("partition")
        var batch = try await client.createBatch(partitionID: partition)
        var sent = 0
        for _ in 0..<events {
            let event = EventData(body: body)
            if try batch.tryAdd(event) { continue }
            try await client.send(batch)
            sent += batch.count
            batch = try await client.createBatch(partitionID: partition)
            guard try batch.tryAdd(event) else { throw Failure("an event does not fit into a batch") }
        }
        try await client.send(batch)
        return sent + batch.count
    }

    /// What the hub's partitions have stored since they were made.
    func count() async throws {
        let client = try EventHubProducerClient(connectionString: connectionString, options: options)
        var sum: Int64 = 0
        for partition in try await client.partitionIDs() {
            sum += try await client.partitionProperties(partition).lastEnqueuedSequenceNumber + 1
        }
        print(sum)
        await client.close()
    }
}
