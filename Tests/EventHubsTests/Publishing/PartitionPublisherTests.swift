import AMQP
import LocalHub
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import EventHubs

/// Publishing against the package's own hub: what is stored is read from its partition.
@Suite struct PartitionPublisherTests {
    static let forced = AMQPError("amqp:link:detach-forced", "scripted")

    private func batches(_ count: Int, from first: Int = 0) throws -> [PublishableBatch] {
        try (first..<(first + count)).map { try PublishingHub.batch(["\($0)a", "\($0)b"]) }
    }

    private func texts(_ range: Range<Int>) -> [String] { range.flatMap { ["\($0)a", "\($0)b"] } }

    @Test func aPublisherIsGivenAnIdentityAndNumbersItsEvents() async throws {
        let stored = try await PublishingHub.with { place in
            let connection = try place.connect()
            let publisher = PartitionPublisher(connection, partitionID: "0")
            #expect(publisher.state == nil)
            let state = try await publisher.open().get()
            #expect(state?.lastSequenceNumber == -1)
            #expect(try await publisher.maximumMessageSize().get() == 1 << 20)
            let batches = try batches(5)
            #expect(await publisher.publishAll(batches) == Array(repeating: .accepted, count: 5))
            #expect(batches.map(\.firstNumber) == [0, 2, 4, 6, 8])
            #expect(publisher.state?.lastSequenceNumber == 9)
            _ = try await connection.close().get()
        }
        #expect(stored == texts(0..<5))
    }

    /// The first batch of a producer travels alone. When it is refused, what waited behind it would be published before what
    /// takes its place.
    @Test func whatWaitsBehindARefusedFirstBatchLetsItsReplacementsGoFirst() async throws {
        let refusal = HubFault.answer(.rejected(AMQPError("com.microsoft:argument-error", "scripted")))
        let stored = try await PublishingHub.with({ $0.onDelivery = { $0.number == 0 ? refusal : nil } }) { place in
            let connection = try place.connect()
            let publisher = PartitionPublisher(connection, partitionID: "0", replacesRefused: true)
            let batches = try batches(2)
            let results = await publisher.publishAll(batches)
            guard case .failed(_, .batchRefused) = results[0], case .failed(_, .retriable) = results[1] else {
                Issue.record("\(results)")
                return
            }
            #expect(place.hub.statistics.partitions[0].messagesStored == 0)
            let halves = [try PublishingHub.batch(["0a"]), try PublishingHub.batch(["0b"])]
            #expect(await publisher.publishAll(halves + [batches[1]]) == Array(repeating: .accepted, count: 3))
            _ = try await connection.close().get()
        }
        #expect(stored == ["0a", "0b", "1a", "1b"])
    }

    @Test func aNamespaceWithoutSupportIsTold() async throws {
        try await PublishingHub.with({ $0.supportsIdempotentPublishing = false }) { place in
            let connection = try place.connect()
            let publisher = PartitionPublisher(connection, partitionID: "0")
            #expect(try await publisher.open().get() == nil)
            let result = await publisher.publishOne(try PublishingHub.batch(["x"]))
            guard case .failed(let error, .blocked) = result else {
                Issue.record("\(result)")
                return
            }
            #expect(error.code == .notSupported)
            #expect(place.hub.statistics.partitions[0].messagesStored == 0)
            _ = try await connection.close().get()
        }
    }

    // MARK: - Answers that are lost

    enum Loss: String, CaseIterable {
        case detach, session, connection, transport, silence

        var fault: HubFault {
            switch self {
            case .detach: .storeThenEnd(.detach(forced))
            case .session: .storeThenEnd(.endSession(forced))
            case .connection: .storeThenEnd(.closeConnection(AMQPError("amqp:connection:forced", "scripted")))
            case .transport: .storeThenEnd(.dropTransport)
            case .silence: .silence
            }
        }
    }

    @Test(arguments: Loss.allCases, [1, 8]) func anAnswerThatIsLostStoresNothingTwice(loss: Loss, window: Int)
        async throws
    {
        let stored = try await PublishingHub.with({ $0.onDelivery = { $0.number % 7 == 3 ? loss.fault : nil } }) {
            place in
            let connection = try place.connect(sendTimeout: loss == .silence ? .milliseconds(150) : .seconds(30))
            let publisher = PartitionPublisher(connection, partitionID: "0")
            let outcome = await publisher.deliver(try batches(24), window: window)
            #expect(outcome.refused.isEmpty && outcome.blocked == nil)
            #expect(publisher.state?.lastSequenceNumber == 47)
            _ = try await connection.close().get()
        }
        #expect(stored == texts(0..<24))
    }

    /// Whatever happens on the way: every batch is stored once and in order.
    @Test(arguments: [1, 2, 8]) func whateverHappensEveryEventIsStoredOnceAndInOrder(window: Int) async throws {
        for generator in [SeededGenerator(seed: 42), .fresh("publishing faults")] {
            let random = Mutex(SeededGenerator(seed: generator.seed))
            let stored = try await PublishingHub.with({ configuration in
                configuration.onDelivery = { _ in
                    random.withLock { random in
                        let busy = AMQPError("com.microsoft:server-busy", "scripted")
                        switch Int.random(in: 0..<40, using: &random) {
                        case 0: return .answer(.released)
                        case 1: return .answer(.rejected(busy))
                        case 2: return .delay(.milliseconds(2))
                        case 3: return .end(.detach(Self.forced))
                        case 4: return .end(.endSession(Self.forced))
                        case 5: return .end(.closeConnection(AMQPError("amqp:connection:forced", "scripted")))
                        case 6: return .end(.dropTransport)
                        case 7: return .storeThenEnd(.detach(Self.forced))
                        case 8: return .storeThenEnd(.dropTransport)
                        case 9: return .answer(.rejected(AMQPError("com.microsoft:timeout", "scripted")))
                        default: return nil
                        }
                    }
                }
            }) { place in
                let connection = try place.connect()
                let publisher = PartitionPublisher(connection, partitionID: "0")
                let outcome = await publisher.deliver(try batches(150), window: window)
                #expect(outcome.refused.isEmpty && outcome.blocked == nil)
                _ = try await connection.close().get()
            }
            #expect(stored == texts(0..<150), "window \(window), seed \(generator.seed)")
        }
    }

    @Test func aBatchRefusedInTheMiddleGivesItsNumbersToTheRest() async throws {
        let refusal = AMQPError("com.microsoft:argument-error", "scripted")
        let stored = try await PublishingHub.with({
            $0.onDelivery = { $0.number == 3 ? .answer(.rejected(refusal)) : nil }
        }) { place in
            let connection = try place.connect()
            let publisher = PartitionPublisher(connection, partitionID: "0")
            let batches = try batches(8)
            let outcome = await publisher.deliver(batches, window: 8)
            #expect(outcome.refused == [3] && outcome.blocked == nil)
            #expect(batches.map(\.firstNumber) == [0, 2, 4, 6, 6, 8, 10, 12])
            _ = try await connection.close().get()
        }
        #expect(stored == texts(0..<3) + texts(4..<8))
    }

    @Test func numbersGoFromTheLargestToZeroWhileLinksAreLost() async throws {
        let stored = try await PublishingHub.with({
            $0.onDelivery = { $0.number % 3 == 1 ? .storeThenEnd(.detach(Self.forced)) : nil }
        }) { place in
            let connection = try place.connect()
            let publisher = PartitionPublisher(
                connection, partitionID: "0",
                options: PublishingOptions(producerGroupID: 5, startingSequenceNumber: .max - 7))
            let outcome = await publisher.deliver(try batches(10), window: 4)
            #expect(outcome.blocked == nil)
            #expect(publisher.state?.lastSequenceNumber == 12)
            _ = try await connection.close().get()
        }
        #expect(stored == texts(0..<10))
    }

    // MARK: - Identity

    @Test func aCrashIsResumedFromWhatTheServiceHas() async throws {
        let stored = try await PublishingHub.with({
            $0.onDelivery = { $0.number == 2 ? .storeThenEnd(.dropTransport) : nil }
        }) { place in
            let first = try place.connect()
            let publisher = PartitionPublisher(first, partitionID: "0")
            let known = try #require(try await publisher.open().get())
            #expect(await publisher.publishAll(try batches(2)) == [.accepted, .accepted])
            // Stored, and the answer never came: so the client that crashes now does not know.
            guard case .failed(_, .unknown) = await publisher.publishOne(try batches(1, from: 2)[0]) else {
                Issue.record("the third batch has an answer")
                return
            }
            _ = try await first.close().get()
            let second = try place.connect()
            let next = PartitionPublisher(
                second, partitionID: "0",
                options: PublishingOptions(
                    producerGroupID: known.producerGroupID, ownerLevel: known.ownerLevel + 1))
            let state = try #require(try await next.open().get())
            #expect(state.producerGroupID == known.producerGroupID && state.lastSequenceNumber == 5)
            #expect(await next.publishAll(try batches(2, from: 3)) == [.accepted, .accepted])
            _ = try await second.close().get()
        }
        #expect(stored == texts(0..<5))
    }

    @Test func aHigherOwnerLevelFencesTheOtherClient() async throws {
        let stored = try await PublishingHub.with { place in
            let connection = try place.connect()
            let old = PartitionPublisher(
                connection, partitionID: "0", options: PublishingOptions(producerGroupID: 5, ownerLevel: 1))
            #expect(await old.publishAll(try batches(2)) == [.accepted, .accepted])
            let other = try place.connect()
            let new = PartitionPublisher(
                other, partitionID: "0", options: PublishingOptions(producerGroupID: 5, ownerLevel: 2))
            #expect(await new.publishOne(try batches(1, from: 2)[0]) == .accepted)
            // Whether its link is still being detached or attached anew: it is told, and for good.
            var result = await old.publishOne(try PublishingHub.batch(["never"]))
            while case .failed(_, .unknown) = result {
                result = await old.publishOne(try PublishingHub.batch(["never"]))
            }
            guard case .failed(let error, .blocked) = result else {
                Issue.record("\(result)")
                return
            }
            #expect(error.code == .producerDisconnected)
            #expect(error.message.contains("owner level"))
            #expect(await new.publishOne(try batches(1, from: 3)[0]) == .accepted)
            _ = try await connection.close().get()
            _ = try await other.close().get()
        }
        #expect(stored == texts(0..<4))
    }

    @Test func aServiceThatForgotTheProducerIsFollowed() async throws {
        let stored = try await PublishingHub.with({ $0.producerLimit = 1 }) { place in
            let connection = try place.connect()
            let publisher = PartitionPublisher(connection, partitionID: "0")
            #expect(await publisher.publishAll(try batches(2)) == [.accepted, .accepted])
            let known = try #require(publisher.state)
            publisher.close()
            // Its place is taken, so the service knows nothing of it any more.
            let other = try place.connect()
            let usurper = PartitionPublisher(other, partitionID: "0")
            while true {
                do {
                    _ = try await usurper.open().get()
                    break
                } catch let error as EventHubsError {
                    // The link of the first may still be there.
                    #expect(error.code == .quotaExceeded)
                }
            }
            usurper.close()
            while true {
                let result = await publisher.publishOne(try batches(1, from: 2)[0])
                if result == .accepted { break }
                guard case .failed(let error, _) = result, error.code == .quotaExceeded else {
                    Issue.record("\(result)")
                    break
                }
            }
            #expect(publisher.state?.producerGroupID == known.producerGroupID)
            #expect(publisher.state?.lastSequenceNumber == 1)
            _ = try await connection.close().get()
            _ = try await other.close().get()
        }
        #expect(stored == texts(0..<3))
    }

    @Test func anAbandonedBatchNeitherReturnsNorTakesAnotherWithIt() async throws {
        let stored = try await PublishingHub.with({
            $0.onDelivery = { $0.number == 1 ? .end(.dropTransport) : nil }
        }) { place in
            let connection = try place.connect()
            let publisher = PartitionPublisher(connection, partitionID: "0")
            #expect(await publisher.publishOne(try batches(1)[0]) == .accepted)
            let lost = try PublishingHub.batch(["lost"])
            guard case .failed(_, .unknown) = await publisher.publishOne(lost) else {
                Issue.record("the batch has an answer")
                return
            }
            publisher.abandon(lost)
            #expect(await publisher.publishOne(try batches(1, from: 1)[0]) == .accepted)
            #expect(publisher.state?.ownerLevel == 1)
            _ = try await connection.close().get()
        }
        #expect(stored == texts(0..<2))
    }
}
