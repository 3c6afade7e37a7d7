import AMQP
import LocalHub
import NIOCore
import TestSupport
import Testing

@testable import EventHubs

/// The public clients with idempotent publishing.
@Suite struct IdempotentClientTests {
    private static let lost = HubFault.storeThenEnd(.detach(AMQPError("amqp:link:detach-forced", "scripted")))

    private func client(
        _ place: PublishingHub, _ change: (inout EventHubsOptions) -> Void = { _ in }
    ) throws -> EventHubProducerClient {
        var options = EventHubsOptions()
        options.isIdempotent = true
        options.retries.delay = .milliseconds(1)
        change(&options)
        return try EventHubProducerClient(
            connectionString: place.hub.connectionString, options: options, logger: PublishingHub.silent)
    }

    @Test func sendsOfManyTasksAreStoredOnceWhateverIsLost() async throws {
        let stored = try await PublishingHub.with({ $0.onDelivery = { $0.number % 4 == 1 ? Self.lost : nil } }) {
            place in
            let client = try client(place)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<20 {
                    group.addTask {
                        try await client.send([EventData("\(index)a"), EventData("\(index)b")], partitionID: "0")
                        try await client.send(EventData("\(index)c"), partitionID: "0")
                    }
                }
                try await group.waitForAll()
            }
            let properties = try await client.partitionPublishingProperties("0")
            #expect(properties.partitionID == "0" && properties.ownerLevel == 0)
            #expect(properties.lastPublishedSequenceNumber == 59)
            await client.close()
        }
        #expect(stored.count == 60)
        #expect(Set(stored) == Set((0..<20).flatMap { ["\($0)a", "\($0)b", "\($0)c"] }))
        for index in 0..<20 {
            let own = stored.filter { $0.hasPrefix("\(index)") && $0.count == "\(index)a".count }
            #expect(own == ["\(index)a", "\(index)b", "\(index)c"])
        }
    }

    @Test func aClientGoesOnAsAnEarlierOne() async throws {
        try await PublishingHub.with { place in
            let first = try client(place)
            try await first.send([EventData("a"), EventData("b")], partitionID: "0")
            let known = try await first.partitionPublishingProperties("0")
            await first.close()
            let second = try client(place) {
                $0.partitionPublishing["0"] = PartitionPublishingOptions(
                    producerGroupID: known.producerGroupID, ownerLevel: known.ownerLevel + 1)
            }
            #expect(try await second.partitionPublishingProperties("0").lastPublishedSequenceNumber == 1)
            try await second.send(EventData("c"), partitionID: "0")
            #expect(try await second.partitionPublishingProperties("0").lastPublishedSequenceNumber == 2)
            await second.close()
        }
    }

    @Test func whatCannotBeNumberedIsToldWithTheRemedy() async throws {
        try await PublishingHub.with({ $0.supportsIdempotentPublishing = false }) { place in
            let client = try client(place)
            await #expect {
                try await client.send(EventData("x"), partitionKey: "k")
            } throws: {
                ($0 as? EventHubsError)?.message.contains("partitionID") == true
            }
            await #expect {
                try await client.send(EventData("x"), partitionID: "0")
            } throws: {
                ($0 as? EventHubsError)?.code == .notSupported
            }
            await #expect {
                _ = try await client.partitionPublishingProperties("0")
            } throws: {
                ($0 as? EventHubsError)?.code == .notSupported
            }
            let plain = try self.client(place) { $0.isIdempotent = false }
            await #expect {
                _ = try await plain.partitionPublishingProperties("0")
            } throws: {
                ($0 as? EventHubsError)?.code == .invalidArgument
            }
            await client.close()
            await plain.close()
        }
    }

    @Test func aBufferedClientKeepsManyNumberedBatchesInFlight() async throws {
        let stored = try await PublishingHub.with({ $0.onDelivery = { $0.number % 5 == 2 ? Self.lost : nil } }) {
            place in
            var options = EventHubsOptions()
            options.retries.delay = .milliseconds(1)
            options.retries.maximumRetries = nil
            options.partitionPublishing["0"] = PartitionPublishingOptions(producerGroupID: 7, ownerLevel: 2)
            var buffering = BufferingOptions()
            buffering.isIdempotent = true
            buffering.maximumConcurrentSendsPerPartition = 4
            let client = try EventHubBufferedProducerClient(
                connectionString: place.hub.connectionString, buffering: buffering, options: options,
                logger: PublishingHub.silent)
            #expect(client.partitionPublishingProperties("0") == nil)
            for index in 0..<40 {
                var batch = try await client.createBatch(partitionID: "0")
                #expect(try batch.tryAdd(EventData("\(index)")))
                try await client.enqueue(batch)
            }
            try await client.flush()
            let properties = client.partitionPublishingProperties("0")
            #expect(properties?.producerGroupID == 7 && properties?.ownerLevel == 2)
            #expect(properties?.lastPublishedSequenceNumber == 39)
            try await client.close()
        }
        #expect(stored == (0..<40).map { "\($0)" })
    }
}
