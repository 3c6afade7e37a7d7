import AMQP
import EventHubs
import NIOCore
import TestSupport
import Testing

@testable import LocalHub

/// The service's side of idempotent publishing.
@Suite struct HubPublishingTests {
    static let stolen = "com.microsoft:producer-epoch-stolen"
    static let outOfOrder = "com.microsoft:out-of-order-sequence"

    @Test func aProducerWithoutIdentityGetsOne() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let first = try await client.attachNumbered()
            let second = try await client.attachNumbered()
            #expect(first.answer.offeredCapabilities == [EventHubsName.idempotentProducer])
            #expect(first.epoch == 0 && first.last == -1)
            #expect(first.id != nil && second.id != nil && first.id != second.id)
            #expect(first.answer.maxMessageSize == 1 << 20)
            client.connection.close()
        }
    }

    @Test func eventsInOrderAreStoredAndDuplicatesOnlyAccepted() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachNumbered()
            #expect(try await sender.send(0, 3).get() == .settled(.accepted))
            #expect(try await sender.send(0, 3).get() == .settled(.accepted))
            #expect(try await sender.send(3, 1).get() == .settled(.accepted))
            // Any part of what is there is there.
            #expect(try await sender.send(1, 2).get() == .settled(.accepted))
            #expect(try await client.texts() == ["0", "1", "2", "3"])
            #expect(hub.statistics.partitions[0].duplicateMessages == 2)
            client.connection.close()
        }
    }

    @Test func gapsAndStraddlesAreRefusedAndStoreNothing() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachNumbered()
            #expect(try await sender.send(1, 1).get().rejection == Self.outOfOrder)
            #expect(try await sender.send(0, 2).get() == .settled(.accepted))
            #expect(try await sender.send(3, 1).get().rejection == Self.outOfOrder)
            #expect(try await sender.send(1, 2).get().rejection == Self.outOfOrder)
            let holes = try NumberedSender.batch([2, 4], id: sender.id ?? 0, epoch: 0)
            let result = try await sender.link.send(payload: holes, messageFormat: EventHubsName.batchFormat).get()
            #expect(result.rejection == Self.outOfOrder)
            #expect(try await client.texts() == ["0", "1"])
            client.connection.close()
        }
    }

    @Test func numbersGoFromTheLargestToZero() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachNumbered(last: .max - 2)
            #expect(sender.last == Int32.max - 2)
            #expect(try await sender.send(.max - 1, 4).get() == .settled(.accepted))
            #expect(try await sender.send(.max - 1, 4).get() == .settled(.accepted))
            #expect(try await sender.send(2, 1).get() == .settled(.accepted))
            #expect(try await client.texts() == ["\(Int32.max - 1)", "\(Int32.max)", "0", "1", "2"])
            client.connection.close()
        }
    }

    @Test func aProducerThatWasToldItsNumberMayBeginWithIt() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachNumbered(id: 5, last: 7)
            #expect(try await sender.send(7, 2).get() == .settled(.accepted))
            #expect(try await sender.send(7, 2).get() == .settled(.accepted))
            #expect(try await sender.send(9, 1).get() == .settled(.accepted))
            #expect(try await client.texts() == ["7", "8", "9"])
            client.connection.close()
        }
    }

    @Test func eventsOfAnotherProducerOrWithoutNumbersAreRefused() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachNumbered(id: 7)
            #expect(try await sender.send(0, 1, id: 8).get().rejection == "com.microsoft:argument-error")
            #expect(try await sender.send(0, 1, epoch: 1).get().rejection == "com.microsoft:argument-error")
            let plain = try HubClient.batch(["x"])
            let result = try await sender.link.send(payload: plain, messageFormat: EventHubsName.batchFormat).get()
            #expect(result.rejection == "com.microsoft:argument-error")
            // A message that is one event carries the numbers itself.
            var event = EventData("single")
            event.annotations = NumberedSender.annotations(0, id: 7, epoch: 0)
            #expect(try await sender.link.send(payload: event.message.encoded()).get() == .settled(.accepted))
            #expect(try await client.texts() == ["single"])
            client.connection.close()
        }
    }

    @Test func numbersMayFollowEachOtherInFlight() async throws {
        try await withHub({ $0.linkCredit = 64 }) { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachNumbered()
            let results = try (0..<200).map { try sender.send(Int32($0 * 2), 2) }
            for result in results { #expect(try await result.get() == .settled(.accepted)) }
            #expect(try await client.texts() == (0..<400).map { "\($0)" })
            client.connection.close()
        }
    }

    @Test func whatFollowsARefusedMessageIsOutOfOrder() async throws {
        let busy = AMQPError("com.microsoft:server-busy", "scripted")
        try await withHub({ $0.onDelivery = { $0.number == 1 ? .answer(.rejected(busy)) : nil } }) { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachNumbered()
            let results = try (0..<4).map { try sender.send(Int32($0), 1) }
            var conditions: [String?] = []
            for result in results { conditions.append(try await result.get().rejection) }
            #expect(conditions == [nil, busy.condition, Self.outOfOrder, Self.outOfOrder])
            for number in 1..<4 { #expect(try await sender.send(Int32(number), 1).get() == .settled(.accepted)) }
            #expect(try await client.texts() == ["0", "1", "2", "3"])
            client.connection.close()
        }
    }

    // MARK: - Attaching

    @Test func aHigherEpochTakesTheProducerAway() async throws {
        try await withHub { hub in
            let old = try await HubClient.authorized(hub)
            let new = try await HubClient.authorized(hub)
            let first = try await old.attachNumbered(id: 5, epoch: 1)
            #expect(try await first.send(0, 2).get() == .settled(.accepted))
            let second = try await new.attachNumbered(id: 5, epoch: 2)
            #expect(second.last == 1)
            #expect(try await first.link.closeFuture.get().error?.condition == Self.stolen)
            #expect(try await second.send(2, 1).get() == .settled(.accepted))
            await #expect {
                _ = try await old.attachNumbered(id: 5, epoch: 1)
            } throws: {
                ($0 as? AMQPTermination)?.error?.condition == Self.stolen
            }
            // Without an epoch of its own a link joins the one in force.
            #expect(try await old.attachNumbered(id: 5).epoch == 2)
            #expect(try await new.texts() == ["0", "1", "2"])
            old.connection.close()
            new.connection.close()
        }
    }

    @Test func twoLinksOfOneEpochBothPublish() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let first = try await client.attachNumbered(id: 5, epoch: 1)
            let second = try await client.attachNumbered(id: 5, epoch: 1)
            #expect(try await first.send(0, 1).get() == .settled(.accepted))
            #expect(try await second.send(1, 1).get() == .settled(.accepted))
            #expect(try await first.send(2, 1).get() == .settled(.accepted))
            client.connection.close()
        }
    }

    @Test func aStaleNumberOfAKnownProducerIsCorrected() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let first = try await client.attachNumbered(id: 5, epoch: 1)
            #expect(try await first.send(0, 3).get() == .settled(.accepted))
            // Its answer was lost, so the producer believes to stand at 0.
            #expect(try await client.attachNumbered(id: 5, epoch: 1, last: 0).last == 2)
            #expect(try await client.attachNumbered(id: 5, epoch: 2, last: 9).last == 9)
            client.connection.close()
        }
    }

    @Test func attachesThatMakeNoSenseAreRefused() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            func condition(_ properties: AMQPMap, at address: String = "logs/Partitions/0") async -> String? {
                do {
                    _ = try await client.attachNumbered(address, properties)
                    return nil
                } catch {
                    return (error as? AMQPTermination)?.error?.condition
                }
            }
            #expect(await condition(AMQPMap(), at: "logs") == AMQPCondition.notAllowed)
            var map = AMQPMap()
            map[symbol: EventHubsName.producerID] = .long(1)
            map[symbol: EventHubsName.producerEpoch] = .short(1)
            #expect(await condition(map) == AMQPCondition.invalidField)
            map[symbol: EventHubsName.producerSequenceNumber] = .long(1)
            #expect(await condition(map) == AMQPCondition.invalidField)
            map[symbol: EventHubsName.producerSequenceNumber] = .int(-2)
            #expect(await condition(map) == AMQPCondition.invalidField)
            map[symbol: EventHubsName.producerSequenceNumber] = .null
            map[symbol: EventHubsName.producerEpoch] = .short(-1)
            #expect(await condition(map) == AMQPCondition.invalidField)
            map[symbol: EventHubsName.producerEpoch] = .null
            #expect(await condition(map) == nil)
            client.connection.close()
        }
    }

    @Test func aHubWithoutSupportIgnoresTheWish() async throws {
        try await withHub({ $0.supportsIdempotentPublishing = false }) { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachNumbered(id: 5, epoch: 1)
            #expect(sender.answer.offeredCapabilities.isEmpty && sender.id == nil)
            for _ in 0..<2 { #expect(try await sender.send(0, 1, epoch: 1, id: 5).get() == .settled(.accepted)) }
            #expect(try await client.texts() == ["0", "0"])
            client.connection.close()
        }
    }

    @Test func producersBeyondTheLimitTakeThePlaceOfIdleOnes() async throws {
        try await withHub({ $0.producerLimit = 2 }) { hub in
            let client = try await HubClient.authorized(hub)
            let one = try await client.attachNumbered(id: 1)
            #expect(try await one.send(0, 1).get() == .settled(.accepted))
            let two = try await client.attachNumbered(id: 2)
            await #expect {
                _ = try await client.attachNumbered(id: 3)
            } throws: {
                ($0 as? AMQPTermination)?.error?.condition == AMQPCondition.resourceLimitExceeded
            }
            _ = try await two.link.detach().get()
            let three = try await client.attachNumbered(id: 3)
            #expect(try await three.send(0, 1).get() == .settled(.accepted))
            #expect(Set(hub.partitions[0].producers.keys) == [1, 3])
            client.connection.close()
        }
    }

    // MARK: - Restarts

    @Test func aRestartedHubKnowsWhatItStored() async throws {
        let directory = TemporaryDirectory()
        var known: [Int64: ProducerTable.Producer] = [:]
        try await withHub({ $0.storeDirectory = directory("store") }) { hub in
            let client = try await HubClient.authorized(hub)
            let one = try await client.attachNumbered(id: 1, epoch: 3)
            let two = try await client.attachNumbered(id: 2)
            #expect(try await one.send(0, 5).get() == .settled(.accepted))
            #expect(try await two.send(0, 2).get() == .settled(.accepted))
            // Fences the first, and never publishes.
            #expect(try await client.attachNumbered(id: 1, epoch: 4).last == 4)
            known = hub.partitions[0].producers
            client.connection.close()
        }
        #expect(known.count == 2)
        try await withHub({ $0.storeDirectory = directory("store") }) { hub in
            #expect(hub.partitions[0].producers == known)
            let client = try await HubClient.authorized(hub)
            await #expect(throws: AMQPTermination.self) { _ = try await client.attachNumbered(id: 1, epoch: 3) }
            let one = try await client.attachNumbered(id: 1, epoch: 4)
            #expect(one.last == 4)
            #expect(try await one.send(3, 2).get() == .settled(.accepted))
            #expect(try await one.send(5, 1).get() == .settled(.accepted))
            #expect(try await client.texts() == ["0", "1", "2", "3", "4", "0", "1", "5"])
            client.connection.close()
        }
    }

    @Test func whatIsKnownOfProducersOutlivesTheirEvents() async throws {
        let directory = TemporaryDirectory()
        let configure = { (configuration: inout LocalHubConfiguration) in
            configuration.storeDirectory = directory("store")
            configuration.partitionSize = LocalHubConfiguration.minimumPartitionSize
        }
        try await withHub(configure) { hub in
            let client = try await HubClient.authorized(hub)
            let idle = try await client.attachNumbered(id: 1, last: 41)
            #expect(try await idle.send(42, 1).get() == .settled(.accepted))
            let sender = try await client.attachSender("logs/Partitions/0")
            var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
            #expect(try batch.tryAdd(EventData(body: ByteBuffer(repeating: 1, count: 1_000_000))))
            while hub.statistics.partitions[0].firstSequenceNumber == 0 {
                let result = try await sender.send(
                    payload: batch.payload, messageFormat: EventHubsName.batchFormat
                ).get()
                #expect(result == .settled(.accepted))
            }
            client.connection.close()
        }
        try await withHub(configure) { hub in
            let client = try await HubClient.authorized(hub)
            #expect(try await client.attachNumbered(id: 1).last == 42)
            client.connection.close()
        }
    }
}
