import AMQP
import LocalHub
import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import EventHubs

/// The client against the package's own hub: TLS, keys that are checked, partitions that count.
@Suite struct LocalHubClientTests {
    private func withHub(
        _ change: (inout LocalHubConfiguration) -> Void = { _ in },
        options: EventHubsOptions = EventHubsOptions(),
        _ body: (LocalHub, EventHubProducerClient) async throws -> Void
    ) async throws {
        var configuration = LocalHubConfiguration()
        configuration.segmentSize = 1 << 20
        configuration.partitionSize = 16 << 20
        change(&configuration)
        let hub = try LocalHub(configuration, logger: Logger(label: "hub"))
        _ = try await hub.start()
        var options = options
        options.tls = EventHubsTLS(authorities: hub.authorityFile ?? "")
        options.retries.delay = .milliseconds(1)
        let client = try EventHubProducerClient(connectionString: hub.connectionString, options: options)
        do {
            try await body(hub, client)
        } catch {
            await client.close()
            await hub.stop()
            throw error
        }
        await client.close()
        await hub.stop()
    }

    @Test func batchesOverTLSAreStoredInTheirPartition() async throws {
        try await withHub { _, client in
            #expect(try await client.partitionIDs() == ["0", "1", "2", "3"])
            var batch = try await client.createBatch(partitionID: "2")
            #expect(batch.maximumSizeInBytes == 1 << 20)
            // As many as fit: a message of the largest size, over many frames.
            let event = EventData(body: ByteBuffer(repeating: 1, count: 100_000))
            while try batch.tryAdd(event) {}
            try await client.send(batch)
            try await client.send([EventData("small")], partitionID: "2")
            let properties = try await client.partitionProperties("2")
            #expect(properties.lastEnqueuedSequenceNumber == Int64(batch.count))
            #expect(!properties.isEmpty)
            #expect(try await client.partitionProperties("1").isEmpty)
        }
    }

    @Test func aClientThatIsDroppedEndsItsConnection() async throws {
        try await withHub { hub, _ in
            var options = EventHubsOptions()
            options.tls = EventHubsTLS(authorities: hub.authorityFile ?? "")
            func sendAndDrop() async throws {
                let client = try EventHubProducerClient(connectionString: hub.connectionString, options: options)
                try await client.send(EventData("x"), partitionID: "1")
                #expect(hub.statistics.connections == 1)
            }
            try await sendAndDrop()
            while hub.statistics.connections > 0 { try await Task.sleep(for: .milliseconds(2)) }
        }
    }

    @Test func batchesWithAKeyLandWhereTheHashSays() async throws {
        try await withHub { _, client in
            var expected = [0, 0, 0, 0]
            for index in 0..<20 {
                let key = "host-\(index)"
                try await client.send([EventData("x")], partitionKey: key)
                expected[PartitionKeyHash.service.index(of: key, partitionCount: 4)] += 1
            }
            for partition in 0..<4 {
                let last = try await client.partitionProperties("\(partition)").lastEnqueuedSequenceNumber
                #expect(Int(last) + 1 == expected[partition], "partition \(partition)")
            }
        }
    }

    @Test func aWrongKeyIsRefusedAndNotShown() async throws {
        try await withHub { hub, _ in
            var options = EventHubsOptions()
            options.tls = EventHubsTLS(authorities: hub.authorityFile ?? "")
            let text = hub.connectionString.replacing("SAS_KEY_VALUE", with: "n0t-the-key")
            let client = try EventHubProducerClient(connectionString: text, options: options)
            do {
                try await client.send([EventData("x")])
                Issue.record("a wrong key was taken")
            } catch let error as EventHubsError {
                #expect(error.code == .unauthorized)
                #expect(!error.description.contains("n0t-the-key"))
            }
            await client.close()
        }
    }

    @Test func aPartitionThatIsNotThereIsToldAtOnce() async throws {
        try await withHub { _, client in
            do {
                try await client.send([EventData("x")], partitionID: "17")
                Issue.record("sent to partition 17 of 4")
            } catch let error as EventHubsError {
                #expect(error.message.contains("17"), "\(error)")
            }
        }
    }

    /// Whatever happens on the way: what was told to be accepted is stored, in order, and what is stored twice was told
    /// to be of unknown fate.
    @Test func faultsLoseNothingAndKeepTheOrder() async throws {
        for generator in [SeededGenerator(seed: 42), .fresh("hub faults")] {
            let faults = FaultScript(seed: generator.seed)
            try await withHub({ $0.onDelivery = { _ in faults.next() } }) { _, client in
                var unknown = 0
                let total = 120
                for index in 0..<total {
                    var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
                    _ = try batch.tryAdd(EventData("\(index)"))
                    let payload = batch.payload
                    attempts: while true {
                        let result = await withCheckedContinuation { continuation in
                            client.connection.send(payload: payload, partitionID: "0") {
                                continuation.resume(returning: $0)
                            }
                        }
                        switch result {
                        case .accepted: break attempts
                        case .failed(_, .unknown): unknown += 1
                        case .failed(_, .retriable): break
                        case .failed(let error, let prospect):
                            Issue.record("\(prospect) after \(error)")
                            break attempts
                        }
                    }
                }
                let stored = try await client.partitionProperties("0").lastEnqueuedSequenceNumber + 1
                #expect(stored >= total && stored <= total + unknown, "\(stored) of \(total), \(unknown) unknown")
            }
        }
    }
}

/// A random fault for one delivery in three.
private final class FaultScript: Sendable {
    private let generator: Mutex<SeededGenerator>

    init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }

    func next() -> HubFault? {
        generator.withLock { generator in
            let error = AMQPError("amqp:link:detach-forced", "scripted")
            let busy = AMQPError("com.microsoft:operation-cancelled", "scripted")
            switch Int.random(in: 0..<27, using: &generator) {
            case 0: return .answer(.released)
            case 1: return .answer(.rejected(busy))
            case 2: return .delay(.milliseconds(2))
            case 3: return .end(.detach(error))
            case 4: return .end(.endSession(error))
            case 5: return .end(.closeConnection(AMQPError("amqp:connection:forced", "scripted")))
            case 6: return .end(.dropTransport)
            case 7: return .storeThenEnd(.detach(error))
            case 8: return .storeThenEnd(.dropTransport)
            default: return nil
            }
        }
    }
}
