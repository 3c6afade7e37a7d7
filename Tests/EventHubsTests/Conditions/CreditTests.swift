import AMQP
import LocalHub
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import EventHubs

/// What a producer may send is the service's to say.
@Suite struct CreditTests {
    private func payload(_ text: String) throws -> ByteBuffer {
        var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
        _ = try batch.tryAdd(EventData(text))
        return batch.payload
    }

    private func start(_ count: Int, _ connection: EventHubConnection) throws -> [EventLoopFuture<SendResult>] {
        try (0..<count).map { index in
            let promise = connection.eventLoop.makePromise(of: SendResult.self)
            connection.send(payload: try payload("\(index)"), partitionID: "0") { promise.succeed($0) }
            return promise.futureResult
        }
    }

    private func until(_ fact: () throws -> Bool) async throws {
        while try !fact() { try await Task.sleep(for: .milliseconds(1)) }
    }

    /// The hub cuts off whoever sends without credit, so an accepted batch shows that there was some.
    @Test func nothingIsSentWithoutCredit() async throws {
        let arrived = Mutex(0)
        let texts = try await PublishingHub.with({ configuration in
            configuration.onAttach = { $0.kind == .producer ? .credit(0) : nil }
            configuration.onDelivery = { _ in
                arrived.withLock { $0 += 1 }
                return nil
            }
        }) { place in
            let connection = try place.connect()
            _ = try await connection.maximumMessageSize(partitionID: "0").get()
            let results = try start(10, connection)
            // A question and its answer have crossed the same connection behind them.
            _ = try await connection.eventHubProperties().get()
            #expect(arrived.withLock { $0 } == 0)
            place.hub.grantCredit(3)
            for result in results.prefix(3) { #expect(try await result.get() == .accepted) }
            _ = try await connection.eventHubProperties().get()
            #expect(arrived.withLock { $0 } == 3)
            place.hub.grantCredit(100)
            for result in results { #expect(try await result.get() == .accepted) }
            _ = try await connection.close().get()
        }
        #expect(texts == (0..<10).map { "\($0)" })
    }

    @Test func batchesThatWaitForCreditMoveToTheNextLink() async throws {
        let isFirst = Mutex(true)
        let texts = try await PublishingHub.with({ configuration in
            configuration.onAttach = { attach in
                guard attach.kind == .producer else { return nil }
                return isFirst.withLock { isFirst in
                    defer { isFirst = false }
                    return isFirst ? .credit(2) : nil
                }
            }
        }) { place in
            let connection = try place.connect()
            let publisher = PartitionPublisher(connection, partitionID: "0")
            let batches = try (0..<10).map { try PublishingHub.batch(["\($0)"]) }
            async let outcome = publisher.deliver(batches, window: 10)
            try await until { place.hub.statistics.partitions[0].messagesStored == 2 }
            place.hub.detachLinks(AMQPError("amqp:link:detach-forced", "scripted"))
            let (refused, blocked) = await outcome
            #expect(refused.isEmpty && blocked == nil)
            _ = try await connection.close().get()
        }
        #expect(texts == (0..<10).map { "\($0)" })
    }

    @Test func manyDeliveriesAreInFlightOnOneLink() async throws {
        try await PublishingHub.with({ configuration in
            configuration.linkCredit = 64
            configuration.onDelivery = { _ in .hold }
        }) { place in
            let connection = try place.connect()
            let accepted = Counter()
            for result in try start(64, connection) {
                result.whenSuccess { if $0 == .accepted { accepted.count() } }
            }
            // All of them are with the service, and none is answered.
            try await until { place.hub.statistics.partitions[0].messagesStored == 64 }
            #expect(accepted.value == 0)
            try await until {
                place.hub.releaseHeld()
                return accepted.value == 64
            }
            _ = try await connection.close().get()
        }
    }
}

private final class Counter: Sendable {
    private let state = Mutex(0)
    func count() { state.withLock { $0 += 1 } }
    var value: Int { state.withLock { $0 } }
}
