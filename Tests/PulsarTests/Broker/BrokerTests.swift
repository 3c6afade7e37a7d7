import NIOCore
import TestSupport
import Testing

@testable import Pulsar
@testable import PulsarBroker

/// The broker, frame by frame: what other tests rely on.
@Suite struct BrokerTests {
    private let topic = "persistent://public/default/t"
    private let directory = TemporaryDirectory("pulsar-broker")

    private func withBroker(
        _ change: (inout BrokerConfiguration) -> Void = { _ in }, _ body: (PulsarBroker) async throws -> Void
    ) async throws {
        var configuration = BrokerConfiguration(storeDirectory: directory("store"))
        change(&configuration)
        let broker = try PulsarBroker(configuration)
        try await broker.start()
        do {
            try await body(broker)
        } catch {
            try await broker.stop()
            throw error
        }
        try await broker.stop()
    }

    private func client(_ broker: PulsarBroker) async throws -> WireClient {
        try await .connected(try await broker.serviceURL())
    }

    private func success(_ command: Command) throws -> ProducerSuccessCommand {
        guard case .producerSuccess(let success) = command else { throw WireClient.Unexpected(command: command) }
        return success
    }

    private func error(_ command: Command) throws -> ServerError {
        switch command {
        case .error(let error): return error.error
        case .sendError(let error): return error.error
        default: throw WireClient.Unexpected(command: command)
        }
    }

    // MARK: - Storing

    @Test func whatIsSentAgainIsStoredOnceAndTheLastIdSurvivesARestart() async throws {
        try await withBroker { broker in
            let client = try await client(broker)
            #expect(try success(await client.produce(topic)).lastSequenceID == -1)
            try await client.post(0)
            #expect(try await client.receipt() == [0, 0])
            try await client.post(1, highest: 3)
            #expect(try await client.receipt() == [1, 1])
            try await client.post(1, highest: 3)
            #expect(try await client.receipt() == [1, -1])
            // Half of it is new, and all of it is dropped.
            try await client.post(3, highest: 5)
            #expect(try await client.receipt() == [3, -1])
        }
        try await withBroker { broker in
            let client = try await client(broker)
            #expect(try success(await client.produce(topic)).lastSequenceID == 3)
            try await client.post(3)
            #expect(try await client.receipt() == [3, -1])
            try await client.post(4)
            #expect(try await client.receipt() == [4, 2])
            let messages = try await broker.messages(of: topic)
            #expect(messages.map(\.text) == ["0", "1", "2", "3", "4"])
            #expect(messages.map(\.sequenceID) == [0, 1, 2, 3, 4])
            #expect(messages.map(\.batchIndex) == [nil, 0, 1, 2, nil])
        }
        #expect(try StoredMessage.all(inStore: directory("store")).map(\.messages.count) == [5])
    }

    @Test func withoutDeduplicationEverythingIsStored() async throws {
        try await withBroker {
            $0.deduplicates = false
        } _: { broker in
            let client = try await client(broker)
            #expect(try success(await client.produce(topic)).lastSequenceID == -1)
            try await client.post(7)
            try await client.post(7)
            #expect(try await client.receipt() == [7, 0])
            #expect(try await client.receipt() == [7, 1])
        }
    }

    @Test func whatTheBrokerCannotTellIsAnError() async throws {
        try await withBroker {
            $0.onSend = { $0.number == 0 ? .stallWrites : nil }
        } _: { broker in
            let client = try await client(broker)
            _ = try await client.produce(topic)
            try await client.post(0)
            try await client.post(1)
            // The second connection resends while the writes of the first are under way.
            try await client.close()
            let again = try await self.client(broker)
            while case .error = try await again.produce(topic) {}
            try await again.post(0)
            #expect(try error(await again.next()) == .persistenceError)
            try await broker.resumeWrites()
            try await again.post(0)
            #expect(try await again.receipt() == [0, -1])
            try await again.post(1)
            #expect(try await again.receipt() == [1, -1])
        }
    }

    @Test func aFailedWriteCanBeSentAgain() async throws {
        try await withBroker {
            $0.onSend = { $0.number == 1 ? .failWrite : nil }
        } _: { broker in
            let client = try await client(broker)
            _ = try await client.produce(topic)
            try await client.post(0)
            #expect(try await client.receipt() == [0, 0])
            try await client.post(1)
            #expect(try error(await client.next()) == .persistenceError)
            guard case .closeProducer = try await client.next() else { throw WireClient.Closed() }
            // Sent before the client knew.
            try await client.post(2)
            #expect(try success(await client.produce(topic, epoch: 1)).lastSequenceID == 0)
            try await client.post(1)
            #expect(try await client.receipt() == [1, 1])
        }
    }

    // MARK: - Scripts

    @Test func sendsFailAsTheScriptSays() async throws {
        try await withBroker {
            $0.onSend = { send in
                switch send.number {
                case 0: .refuse(.notAllowedError, "no")
                case 1: .silence
                case 2: .answerTwice
                case 3: .storeSilently
                case 4: .hold
                case 6: .storeThenDrop
                case 7: .drop
                default: nil
                }
            }
        } _: { broker in
            let client = try await client(broker)
            _ = try await client.produce(topic)
            for id in 0..<6 { try await client.post(UInt64(id)) }
            #expect(try error(await client.next()) == .notAllowedError)
            #expect(try await client.receipt() == [2, 0])
            #expect(try await client.receipt() == [2, 0])
            // 3 is stored without a word, 4 is held, and 5 waits behind it.
            try await client.send(.ping)
            #expect(try await client.next() == .pong)
            try await broker.releaseHeld()
            #expect(try await client.receipt() == [4, 2])
            #expect(try await client.receipt() == [5, 3])
            try await client.post(6)
            #expect(await client.isAtEnd())
            let again = try await self.client(broker)
            #expect(try success(await again.produce(topic)).lastSequenceID == 6)
            try await again.post(7)
            #expect(await again.isAtEnd())
            #expect(try await broker.messages(of: topic).map(\.text) == ["2", "3", "4", "5", "6"])
        }
    }

    @Test func lateAnswersKeepTheirOrder() async throws {
        try await withBroker {
            $0.onSend = { $0.number == 0 ? .answerLate(.milliseconds(50)) : nil }
        } _: { broker in
            let client = try await client(broker)
            _ = try await client.produce(topic)
            try await client.post(0)
            try await client.post(1)
            #expect(try await client.receipt() == [0, 0])
            #expect(try await client.receipt() == [1, 1])
        }
    }

    @Test func requestsFailAsTheScriptSays() async throws {
        try await withBroker {
            $0.onRequest = { request in
                switch request.command {
                case .lookup(let lookup) where request.number == 0:
                    .answer([
                        .lookupResponse(
                            LookupResponseCommand(
                                response: .failed, requestID: lookup.requestID, error: .serviceNotReady, message: "m"))
                    ])
                case .partitionedMetadata where request.number == 0: .silence
                case .partitionedMetadata: .drop
                default: nil
                }
            }
        } _: { broker in
            let client = try await client(broker)
            try await client.send(.lookup(LookupCommand(topic: topic, requestID: 1)))
            guard case .lookupResponse(let first) = try await client.next() else { throw WireClient.Closed() }
            #expect(first.response == .failed)
            try await client.send(.lookup(LookupCommand(topic: topic, requestID: 2)))
            guard case .lookupResponse(let second) = try await client.next() else { throw WireClient.Closed() }
            #expect(second.response == .connect)
            #expect(second.requestID == 2)
            try await client.send(.partitionedMetadata(PartitionedMetadataCommand(topic: topic, requestID: 3)))
            try await client.send(.ping)
            #expect(try await client.next() == .pong)
            try await client.send(.partitionedMetadata(PartitionedMetadataCommand(topic: topic, requestID: 4)))
            #expect(await client.isAtEnd())
        }
    }

    // MARK: - Producers

    @Test func aNameIsBusyWhileItsConnectionCountsAsAlive() async throws {
        try await withBroker {
            $0.disconnectNotice = .milliseconds(20)
        } _: { broker in
            let first = try await client(broker)
            _ = try success(await first.produce(topic))
            let second = try await client(broker)
            #expect(try error(await second.produce(topic)) == .producerBusy)
            // The same producer again, on its own connection.
            #expect(try error(await first.produce(topic)) == .producerBusy)
            _ = try success(await first.produce(topic, epoch: 1))
            try await first.close()
            while case .error(let busy) = try await second.produce(topic) { #expect(busy.error == .producerBusy) }
        }
    }

    @Test func whoWaitsForTheTopicGetsIt() async throws {
        try await withBroker { broker in
            let first = try await client(broker)
            #expect(try success(await first.produce(topic, name: "a", mode: .exclusive)).topicEpoch == 0)
            let second = try await client(broker)
            let waiting = try success(await second.produce(topic, name: "b", mode: .waitForExclusive))
            #expect(waiting.producerReady == false)
            try await first.close()
            let ready = try success(await second.next())
            #expect(ready.producerReady == true)
            #expect(ready.requestID == waiting.requestID)
            #expect(ready.topicEpoch == 1)
            let third = try await client(broker)
            #expect(
                try success(await third.produce(topic, name: "c", mode: .exclusiveWithFencing)).topicEpoch == 2)
            guard case .closeProducer(let closed) = try await second.next() else { throw WireClient.Closed() }
            #expect(closed.producerID == 0)
        }
    }

    @Test func producersAreClosedAndTopicsMoved() async throws {
        try await withBroker {
            $0.brokers = 2
        } _: { broker in
            let client = try await client(broker)
            _ = try success(await client.produce(topic))
            try await broker.closeProducers()
            #expect(
                try await client.next() == .closeProducer(CloseProducerCommand(producerID: 0, requestID: .max)))
            // What was under way is dropped without a word.
            try await client.post(0)
            _ = try success(await client.produce(topic, epoch: 1))
            try await broker.migrate(topic, to: "pulsar://new:6650")
            #expect(
                try await client.next()
                    == .topicMigrated(
                        TopicMigratedCommand(
                            resourceID: 0, resourceType: .producer, brokerServiceURL: "pulsar://new:6650")))
            try await broker.move(topic, to: 1, isTold: true)
            let other = try await broker.serviceURL(broker: 1)
            #expect(
                try await client.next()
                    == .closeProducer(
                        CloseProducerCommand(producerID: 0, requestID: .max, assignedBrokerServiceURL: other)))
            #expect(try error(await client.produce(topic, epoch: 2)) == .serviceNotReady)
            try await client.send(.lookup(LookupCommand(topic: topic, requestID: 1)))
            guard case .lookupResponse(let reply) = try await client.next() else { throw WireClient.Closed() }
            #expect(reply.response == .redirect)
            #expect(reply.brokerServiceURL == other)
            let owner = try await WireClient.connected(other)
            #expect(try success(await owner.produce(topic, epoch: 2)).lastSequenceID == -1)
            try await broker.terminate(topic)
            try await owner.post(0)
            #expect(try error(await owner.next()) == .topicTerminatedError)
        }
    }

    @Test func aWrongChecksumAndAMessageTooLargeAreRefused() async throws {
        try await withBroker {
            $0.maximumMessageSize = 100
        } _: { broker in
            let client = try await client(broker)
            _ = try await client.produce(topic)
            let metadata = MessageMetadata(producerName: "p", sequenceID: 0, publishTime: 1)
            var payload = ByteBuffer(string: "right")
            var frame = SendFrame.head(
                SendCommand(producerID: 0, sequenceID: 0), metadata: metadata, payload: payload)
            payload.setString("wrong", at: 0)
            frame.writeImmutableBuffer(payload)
            try await client.send(bytes: frame)
            #expect(try error(await client.next()) == .checksumError)
            try await client.send(
                .send(SendCommand(producerID: 0, sequenceID: 0)),
                payload: FramePayload(metadata: metadata, payload: ByteBuffer(repeating: 0, count: 100)))
            #expect(try error(await client.next()) == .notAllowedError)
            try await client.send(bytes: ByteBuffer(integer: UInt32(100 + FrameDecoder.padding + 1)))
            #expect(await client.isAtEnd())
        }
    }

    // MARK: - Doors

    @Test func credentialsAreChecked() async throws {
        try await withBroker {
            $0.authentication = .token(["good"])
        } _: { broker in
            let url = try #require(try await broker.serviceURL())
            let refused = try await WireClient(url: url)
            try await refused.send(
                .connect(ConnectCommand(clientVersion: "t", authData: Array("bad".utf8), authMethodName: "token")))
            #expect(try error(await refused.next()) == .authenticationError)
            #expect(await refused.isAtEnd())
            let client = try await WireClient.connected(
                url, ConnectCommand(clientVersion: "t", authData: Array("good".utf8), authMethodName: "token"))
            try await broker.setAuthentication(.token(["better"]))
            try await broker.challenge()
            guard case .authChallenge = try await client.next() else { throw WireClient.Closed() }
            try await client.send(
                .authResponse(
                    AuthResponseCommand(
                        response: AuthData(authMethodName: "token", authData: Array("better".utf8)))))
            try await client.send(.ping)
            #expect(try await client.next() == .pong)
            try await broker.challenge()
            guard case .authChallenge = try await client.next() else { throw WireClient.Closed() }
            try await client.send(
                .authResponse(
                    AuthResponseCommand(response: AuthData(authMethodName: "token", authData: Array("good".utf8)))))
            #expect(try error(await client.next()) == .authenticationError)
            #expect(await client.isAtEnd())
        }
    }

    @Test func aProxyLetsProducersInThatNameTheBroker() async throws {
        try await withBroker {
            $0.hasProxy = true
        } _: { broker in
            let url = try await broker.proxyURL()
            let client = try await WireClient.connected(url)
            try await client.send(.lookup(LookupCommand(topic: topic, requestID: 1)))
            guard case .lookupResponse(let reply) = try await client.next() else { throw WireClient.Closed() }
            #expect(reply.proxyThroughServiceURL == true)
            #expect(try error(await client.produce(topic)) == .serviceNotReady)
            let proxied = try await WireClient.connected(
                url, ConnectCommand(clientVersion: "t", proxyToBrokerURL: PulsarBroker.behindProxy))
            _ = try success(await proxied.produce(topic))
        }
    }

    @Test func partitionsAreTopicsAndTheirNameIsNot() async throws {
        try await withBroker {
            $0.partitions[topic] = 3
        } _: { broker in
            let client = try await client(broker)
            for (name, count) in [(topic, 3), (topic + "-partition-2", 0), ("x", 0)] {
                try await client.send(.partitionedMetadata(PartitionedMetadataCommand(topic: name, requestID: 1)))
                #expect(
                    try await client.next()
                        == .partitionedMetadataResponse(
                            PartitionedMetadataResponseCommand(
                                partitions: UInt32(count), requestID: 1, response: .success)))
            }
            #expect(try error(await client.produce(topic)) == .notAllowedError)
            _ = try success(await client.produce(topic + "-partition-0"))
            try await broker.setPartitions(of: topic, 4)
            _ = try success(await client.produce(topic + "-partition-3", id: 1))
        }
    }

    @Test func aClientThatSaysNothingIsClosed() async throws {
        try await withBroker {
            $0.keepAliveInterval = .milliseconds(10)
        } _: { broker in
            let url = try #require(try await broker.serviceURL())
            let client = try await WireClient(url: url)
            #expect(await client.isAtEnd())
        }
    }

    /// A broker that traps would hide what a client does wrong.
    @Test func noFrameOfAClientEndsTheBroker() async throws {
        let frames = RecordedFrame.all.map(\.bytes)
        try await withBroker { broker in
            for var generator in [SeededGenerator(seed: 5), .fresh("frames for the broker")] {
                for _ in 0..<40 {
                    let client = try await client(broker)
                    _ = try await client.produce(topic, name: nil)
                    for _ in 0..<20 {
                        guard let frame = frames.randomElement(using: &generator) else { continue }
                        let bytes = Bool.random(using: &generator) ? frame : generator.mutate(frame)
                        // It may have closed the connection by now.
                        try? await client.send(bytes: ByteBuffer(bytes: bytes))
                    }
                    try? await client.close()
                }
            }
            let client = try await client(broker)
            try await client.send(.ping)
            #expect(try await client.next() == .pong)
        }
    }

    // MARK: - Consumers

    @Test func whatIsStoredIsReadBackAndWhatIsNotAcknowledgedComesAgain() async throws {
        try await withBroker { broker in
            let client = try await client(broker)
            _ = try await client.produce(topic)
            for id in 0..<3 { try await client.post(UInt64(id)) }
            for _ in 0..<3 { _ = try await client.receipt() }
            func subscribe(_ consumer: UInt64) async throws {
                try await client.send(
                    .subscribe(
                        SubscribeCommand(
                            topic: topic, subscription: "s", subType: .exclusive, consumerID: consumer,
                            requestID: 1, initialPosition: .earliest)))
            }
            try await subscribe(1)
            #expect(try await client.next() == .success(SuccessCommand(requestID: 1)))
            try await subscribe(2)
            #expect(try error(await client.next()) == .consumerBusy)
            func take(_ consumer: UInt64, _ permits: UInt32) async throws -> [String] {
                try await client.send(.flow(FlowCommand(consumerID: consumer, messagePermits: permits)))
                var texts: [String] = []
                for _ in 0..<permits {
                    texts.append(String(buffer: try await client.nextFrame().payload?.payload ?? ByteBuffer()))
                }
                return texts
            }
            #expect(try await take(1, 2) == ["0", "1"])
            try await client.send(
                .ack(
                    AckCommand(consumerID: 1, ackType: .individual, messageID: [MessageIDData(ledgerID: 0, entryID: 0)])
                ))
            try await client.send(.closeConsumer(CloseConsumerCommand(consumerID: 1, requestID: 2)))
            #expect(try await client.next() == .success(SuccessCommand(requestID: 2)))
            try await subscribe(2)
            #expect(try await client.next() == .success(SuccessCommand(requestID: 1)))
            #expect(try await take(2, 2) == ["1", "2"])
        }
    }
}
