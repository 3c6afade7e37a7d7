import NIOCore
import PulsarBroker
import Synchronization
import TestSupport
import Testing

@testable import Pulsar

/// What the agent builds on: batches of one's own under ids of one's own.
@Suite struct BatchProducerTests {
    private func topic() throws -> TopicName { try TopicName(WithBroker.topic) }

    private func batch(_ ids: ClosedRange<UInt64>) -> BatchPayload {
        let template = MessageTemplate(properties: [("host", "h")], partitionKey: "k")
        var payload = BatchPayload()
        for id in ids {
            Array("\(id)".utf8).withUnsafeBytes { payload.append(template, id: id, body: $0) }
        }
        return payload
    }

    private func send(_ ids: ClosedRange<UInt64>, _ producer: BatchProducer) async throws -> SendPosition {
        let encoder = try #require(producer.encoder)
        let sealed = try encoder.seal(batch(ids), partitionKey: "k")
        return try await withCheckedThrowingContinuation { continuation in
            producer.send(sealed) { continuation.resume(with: $0.mapError { $0 }) }
        }
    }

    @Test func theLastIDTellsWhereToGoOn() async throws {
        try await WithBroker.run { world, client in
            let first = try client.makeBatchProducer(topic: topic(), name: "agent")
            #expect(try await first.open().lastSequenceID == -1)
            #expect(first.isConnected)
            #expect(try await send(1...9, first).isDuplicate == false)
            #expect(first.lastSequenceID == 9)
            await first.close()
            #expect(first.end?.code == .alreadyClosed)
            let second = try client.makeBatchProducer(topic: topic(), name: "agent")
            #expect(try await second.open().lastSequenceID == 9)
            // Sent again all the same.
            #expect(try await send(1...9, second).isDuplicate)
            #expect(try await send(10...12, second).isDuplicate == false)
            let stored = try await world.broker.messages(of: WithBroker.topic)
            #expect(stored.map(\.sequenceID) == Array(1...12))
            #expect(stored.allSatisfy { $0.key == "k" && $0.text == "\($0.sequenceID)" })
            await second.close()
        }
    }

    @Test func batchesSurviveWhateverTheBrokerDoes() async throws {
        for seed in [1, 2, UInt64.random(in: 0 ... .max)] {
            print("batch producer: seed \(seed)")
            let faults = RandomFaults(every: 5, seed: seed)
            try await WithBroker.run {
                $0.onSend = { faults.fault($0) }
            } _: { world, client in
                let producer = try client.makeBatchProducer(topic: topic(), name: "agent")
                _ = try await producer.open()
                let encoder = try #require(producer.encoder)
                let failures = Mutex(0)
                let done = (0..<200).map { index -> EventLoopFuture<Void> in
                    let promise = client.eventLoopGroup.any().makePromise(of: Void.self)
                    let first = UInt64(index * 3)
                    do {
                        producer.send(try encoder.seal(batch(first...(first + 2)))) { result in
                            if case .failure = result { failures.withLock { $0 += 1 } }
                            promise.succeed()
                        }
                    } catch {
                        promise.fail(error)
                    }
                    return promise.futureResult
                }
                for future in done { try await future.get() }
                #expect(failures.withLock { $0 } == 0)
                let ids = try await world.broker.messages(of: WithBroker.topic).map(\.sequenceID)
                #expect(ids == Array(0..<600), "seed \(seed)")
                #expect(producer.lastSequenceID == 599)
                await producer.close()
            }
        }
    }

    @Test func aBrokerThatCannotTellIsAskedAgain() async throws {
        try await WithBroker.run {
            $0.onSend = { $0.number == 0 ? .failWrite : nil }
        } _: { world, client in
            let producer = try client.makeBatchProducer(topic: topic(), name: "agent")
            _ = try await producer.open()
            #expect(try await send(0...4, producer).isDuplicate == false)
            #expect(try await world.broker.messages(of: WithBroker.topic).map(\.sequenceID) == Array(0...4))
            await producer.close()
        }
    }

    /// It has stored the batch, answers PINGs, and says nothing.
    @Test func aBrokerThatKeepsItsAnswersIsLeft() async throws {
        try await WithBroker.run {
            $0.onSend = { $0.number == 0 ? .storeSilently : nil }
        } _: { world, client in
            var options = BatchProducer.Options()
            options.answerTimeout = .milliseconds(500)
            let producer = try client.makeBatchProducer(topic: topic(), name: "agent", options: options)
            _ = try await producer.open()
            #expect(try await send(0...4, producer).isDuplicate)
            #expect(try await send(5...9, producer).isDuplicate == false)
            #expect(try await world.broker.messages(of: WithBroker.topic).map(\.sequenceID) == Array(0...9))
            await producer.close()
        }
    }

    @Test func openingWaitsForTheBrokerAndShowsWhy() async throws {
        let isRefusing = Mutex(true)
        try await WithBroker.run {
            $0.onRequest = { request in
                guard case .producer(let command) = request.command, isRefusing.withLock({ $0 }) else { return nil }
                return .answer([
                    .error(ErrorCommand(requestID: command.requestID, error: .authorizationError, message: "no"))
                ])
            }
        } _: { world, client in
            let producer = try client.makeBatchProducer(topic: topic(), name: "agent")
            let opening = Task { try await producer.open() }
            while producer.trouble == nil { await Task.yield() }
            #expect(producer.trouble?.code == .authorizationFailed)
            #expect(producer.encoder == nil)
            isRefusing.withLock { $0 = false }
            #expect(try await opening.value.name == "agent")
            #expect(producer.trouble == nil)
            await producer.close()
        }
    }

    @Test func aCancelledOpeningCloses() async throws {
        try await WithBroker.run {
            $0.onRequest = { request in
                if case .producer = request.command { return .silence }
                return nil
            }
        } _: { world, client in
            let producer = try client.makeBatchProducer(topic: topic(), name: "agent")
            let opening = Task { try await producer.open() }
            opening.cancel()
            await #expect(throws: (any Error).self) { try await opening.value }
            #expect(producer.end?.code == .alreadyClosed)
        }
    }
}
