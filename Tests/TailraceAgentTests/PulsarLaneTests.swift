import Logging
import NIOCore
import NIOPosix
import Producing
import Pulsar
import PulsarBroker
import TailraceDelivery
import TestSupport
import Testing

@testable import TailraceAgent

/// One partition's lane against a broker that deduplicates.
@Suite struct PulsarLaneTests {
    private final class Bench {
        let directory = TemporaryDirectory("lane")
        let broker: PulsarBroker
        let client: PulsarClient
        let topic: TopicName

        init(deduplicates: Bool = true, onSend: (@Sendable (BrokerSend) -> SendFault?)? = nil) async throws {
            var configuration = BrokerConfiguration(storeDirectory: directory("store"))
            configuration.onSend = onSend
            configuration.deduplicates = deduplicates
            broker = try PulsarBroker(configuration)
            try await broker.start()
            topic = try TopicName("logs")
            client = try PulsarClient(serviceURL: try await broker.serviceURL() ?? "")
        }

        func end() async throws {
            await client.close()
            try await broker.stop()
        }

        func makeProducer() throws -> BatchProducer { try client.makeBatchProducer(topic: topic, name: "agent") }

        /// - Parameter lastNumber: what the broker told when the run began; nil: what it tells now.
        func lane(lastNumber: Int64? = nil, _ guarantee: PulsarGuarantee) async throws -> PulsarLane {
            let producer = try makeProducer()
            let opened = try await producer.open()
            return PulsarLane(
                producer, lastNumber: lastNumber ?? opened.lastSequenceID, guarantee: guarantee,
                health: OutputHealth(), eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
                make: { [client, topic] in try client.makeBatchProducer(topic: topic, name: "agent") })
        }

        func stored() throws -> [String] {
            try StoredMessage.all(inStore: directory("store")).flatMap { $0.messages.map(\.text) }
        }
    }

    private func batch(_ numbers: ClosedRange<Int>) -> PulsarBatch {
        let template = MessageTemplate(properties: [("source", "s")], partitionKey: "k")
        var payload = BatchPayload()
        for number in numbers {
            Array("record \(number)".utf8).withUnsafeBytes { payload.append(template, id: nil, body: $0) }
        }
        return PulsarBatch(payload, key: "k")
    }

    private func send(_ lane: PulsarLane, _ numbers: ClosedRange<Int>) async -> SendOutcome {
        await withCheckedContinuation { continuation in
            lane.send(batch(numbers)) { continuation.resume(returning: $0) }
        }
    }

    @Test func aBatchThatHoldsStoredAndNewRecordsGoesAgainInParts() async throws {
        let bench = try await Bench()
        let guarantee = PulsarGuarantee(producerName: "agent", isOn: true)
        let before = try await bench.lane(guarantee)
        #expect(await send(before, 0...4) == .accepted)
        // On its way when the run before ended: stored after this run has heard of 4.
        #expect(await send(before, 5...9) == .accepted)
        await before.close()
        let lane = try await bench.lane(lastNumber: 4, guarantee)
        guard case .rejected = await send(lane, 5...14) else {
            Issue.record("a batch that the broker dropped counted as stored")
            return
        }
        // As the drain divides it.
        #expect(await send(lane, 5...9) == .accepted)
        #expect(await send(lane, 10...14) == .accepted)
        #expect(await send(lane, 15...15) == .accepted)
        #expect(try bench.stored() == (0...15).map { "record \($0)" })
        #expect(!lane.isTakenOver)
        await lane.close()
        try await bench.end()
    }

    /// As one above a limit that the topic has of its own, and that CONNECTED does not tell.
    @Test func whatATopicWillNeverTakeIsRefusedForGoodAndTheRestGoesOn() async throws {
        let bench = try await Bench { send in
            send.messages.contains { $0.text == "record 3" }
                ? .refuse(.notAllowedError, "Exceed maximum message size") : nil
        }
        let lane = try await bench.lane(PulsarGuarantee(producerName: "agent", isOn: true))
        guard case .rejected(let reason) = await send(lane, 0...4) else {
            Issue.record("what is never taken is not to be sent again as it is")
            return
        }
        #expect(reason.contains("Exceed maximum message size"))
        // As the drain divides it.
        #expect(await send(lane, 0...2) == .accepted)
        guard case .rejected = await send(lane, 3...3) else {
            Issue.record("a record that is never taken holds the others up")
            return
        }
        #expect(await send(lane, 4...4) == .accepted)
        #expect(try bench.stored() == [0, 1, 2, 4].map { "record \($0)" })
        await lane.close()
        try await bench.end()
    }

    @Test(arguments: [true, false])
    func whetherTheBrokerDeduplicatesShowsAfterTheFirstBatch(deduplicates: Bool) async throws {
        let bench = try await Bench(deduplicates: deduplicates)
        let guarantee = PulsarGuarantee(producerName: "agent", isOn: false)
        #expect(guarantee.text.contains("so far"))
        let lane = try await bench.lane(guarantee)
        #expect(await send(lane, 0...2) == .accepted)
        // Waits until the producer is open again.
        #expect(await send(lane, 3...3) == .accepted)
        #expect(guarantee.text.hasPrefix(deduplicates ? "exactly once" : "at least once: the brokers do not"))
        #expect(try bench.stored() == (0...3).map { "record \($0)" })
        await lane.close()
        try await bench.end()
    }
}
