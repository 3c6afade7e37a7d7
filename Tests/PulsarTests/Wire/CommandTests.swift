import NIOCore
import Testing

@testable import Pulsar

@Suite struct CommandTests {
    private static let position = MessageIDData(
        ledgerID: -1, entryID: -1, partition: -1, batchIndex: 3, ackSet: [-1, 5], batchSize: 9,
        firstChunkMessageID: MessageIDData(ledgerID: 1, entryID: 2))

    /// Each command with every field of it set.
    private static let full: [Command] = [
        .connect(
            ConnectCommand(
                clientVersion: "v", authMethod: 1, authData: [1, 2], protocolVersion: 20, authMethodName: "token",
                proxyToBrokerURL: "h:1", originalPrincipal: "p", originalAuthData: "d", originalAuthMethod: "m",
                featureFlags: FeatureFlags(
                    supportsAuthRefresh: true, supportsBrokerEntryMetadata: false, supportsPartialProducer: true,
                    supportsTopicWatchers: true))),
        .connected(
            ConnectedCommand(
                serverVersion: "s", protocolVersion: 21, maxMessageSize: 1_000_000, featureFlags: FeatureFlags())),
        .subscribe(
            SubscribeCommand(
                topic: "t", subscription: "s", subType: .keyShared, consumerID: 1, requestID: 2, consumerName: "c",
                priorityLevel: 3, durable: false, startMessageID: position,
                metadata: [Property(key: "a", value: "b"), Property(key: "", value: "")], readCompacted: true,
                schema: Schema(
                    name: "", schemaData: [], type: .string, properties: [Property(key: "k", value: "v")]),
                initialPosition: .earliest, replicateSubscriptionState: true, forceTopicCreation: false,
                startMessageRollbackDurationSec: 7, subscriptionProperties: [Property(key: "x", value: "y")],
                consumerEpoch: 4)),
        .producer(
            ProducerCommand(
                topic: "t", producerID: 1, requestID: 2, producerName: "n", encrypted: true,
                metadata: [Property(key: "a", value: "b")], schema: Schema(name: "s", schemaData: [1], type: .json),
                epoch: 3, userProvidedProducerName: false, producerAccessMode: .exclusiveWithFencing, topicEpoch: 4,
                txnEnabled: true, initialSubscriptionName: "i")),
        .send(
            SendCommand(
                producerID: 1, sequenceID: .max, numMessages: 3, txnIDLeastBits: 4, txnIDMostBits: 5,
                highestSequenceID: 6, isChunk: true, marker: false, messageID: position)),
        .sendReceipt(
            SendReceiptCommand(producerID: 1, sequenceID: 2, messageID: position, highestSequenceID: 3)),
        .sendError(SendErrorCommand(producerID: 1, sequenceID: 2, error: .persistenceError, message: "m")),
        .message(
            MessageCommand(
                consumerID: 1, messageID: position, redeliveryCount: 2, ackSet: [1, -2], consumerEpoch: 3)),
        .ack(
            AckCommand(
                consumerID: 1, ackType: .cumulative, messageID: [position, position],
                validationError: .checksumMismatch, txnIDLeastBits: 1, txnIDMostBits: 2, requestID: 3)),
        .flow(FlowCommand(consumerID: 1, messagePermits: .max)),
        .unsubscribe(UnsubscribeCommand(consumerID: 1, requestID: 2)),
        .success(SuccessCommand(requestID: 1, schema: Schema(name: "", schemaData: [9], type: .none))),
        .error(ErrorCommand(requestID: .max, error: .producerBusy, message: "")),
        .closeProducer(
            CloseProducerCommand(
                producerID: 1, requestID: 2, assignedBrokerServiceURL: "a", assignedBrokerServiceURLTLS: "b")),
        .closeConsumer(
            CloseConsumerCommand(
                consumerID: 1, requestID: 2, assignedBrokerServiceURL: "a", assignedBrokerServiceURLTLS: "b")),
        .producerSuccess(
            ProducerSuccessCommand(
                requestID: 1, producerName: "n", lastSequenceID: -1, schemaVersion: [0, 0], topicEpoch: 2,
                producerReady: false)),
        .ping, .pong,
        .redeliver(RedeliverCommand(consumerID: 1, messageIDs: [position], consumerEpoch: 2)),
        .partitionedMetadata(
            PartitionedMetadataCommand(
                topic: "t", requestID: 1, originalPrincipal: "p", originalAuthData: "d", originalAuthMethod: "m")),
        .partitionedMetadataResponse(
            PartitionedMetadataResponseCommand(
                partitions: .max, requestID: 1, response: .failed, error: .topicNotFound, message: "m")),
        .lookup(
            LookupCommand(
                topic: "t", requestID: 1, authoritative: true, originalPrincipal: "p", originalAuthData: "d",
                originalAuthMethod: "m", advertisedListenerName: "")),
        .lookupResponse(
            LookupResponseCommand(
                brokerServiceURL: "a", brokerServiceURLTLS: "b", response: .redirect, requestID: 1,
                authoritative: true, error: .serviceNotReady, message: "m", proxyThroughServiceURL: true)),
        .getLastMessageID(GetLastMessageIDCommand(consumerID: 1, requestID: 2)),
        .getLastMessageIDResponse(
            GetLastMessageIDResponseCommand(
                lastMessageID: position, requestID: 1, consumerMarkDeletePosition: position)),
        .authChallenge(
            AuthChallengeCommand(
                serverVersion: "s", challenge: AuthData(authMethodName: "token", authData: [1]), protocolVersion: 20)),
        .authResponse(
            AuthResponseCommand(
                clientVersion: "c", response: AuthData(authMethodName: "token", authData: []), protocolVersion: 20)),
        .ackResponse(AckResponseCommand(consumerID: 1, error: .unknownError, message: "m", requestID: 2)),
        .topicMigrated(
            TopicMigratedCommand(
                resourceID: 1, resourceType: .consumer, brokerServiceURL: "a", brokerServiceURLTLS: "b")),
    ]

    private static func encoded(_ command: Command) -> [UInt8] {
        var buffer = ByteBuffer()
        command.encode(to: &buffer)
        #expect(buffer.readableBytes == command.encodedLength)
        return Array(buffer.readableBytesView)
    }

    private func decoded(_ bytes: [UInt8]) throws(WireError) -> Command { try Command(ByteBuffer(bytes: bytes)) }

    @Test(arguments: full) func everyFieldComesBack(_ command: Command) throws {
        #expect(try decoded(Self.encoded(command)) == command)
    }

    @Test func theSamplesHaveEveryCommand() {
        #expect(Set(Self.full.map(\.type)).count == 29)
    }

    /// What a later version may add is passed over, at each level.
    @Test(arguments: full) func unknownFieldsArePassedOver(_ command: Command) throws {
        let unknown: [UInt8] = [
            0xF8, 0x3F, 1, 0xF9, 0x3F, 1, 2, 3, 4, 5, 6, 7, 8, 0xFA, 0x3F, 2, 9, 9, 0xFD, 0x3F, 1, 2, 3, 4,
        ]
        let bytes = Self.encoded(command)
        #expect(try decoded(unknown + bytes + unknown) == command)
        // Into the command's own field: behind its last byte, with the length made longer.
        let tag = command.type < 16 ? 1 : 2
        let head = 2 + tag
        var reader = ProtobufReader(ByteBuffer(bytes: bytes))
        _ = try reader.next()
        let body = try #require(try reader.next()?.bytes)
        var grown = ByteBuffer(bytes: bytes[..<head])
        grown.varint(UInt64(body.count + unknown.count))
        #expect(try decoded(Array(grown.readableBytesView) + body + unknown) == command)
    }

    /// The fields of the protocol's file that are `required`, by the number of the command.
    @Test func requiredFieldsAreRequired() throws {
        let required: [UInt64: [Int]] = [
            2: [1], 3: [1], 4: [1, 2, 3, 4, 5], 5: [1, 2, 3], 6: [1, 2], 7: [1, 2], 8: [1, 2, 3, 4], 9: [1, 2],
            10: [1, 2], 11: [1, 2], 12: [1, 2], 13: [1], 14: [1, 2, 3], 15: [1, 2], 16: [1, 2], 17: [1, 2], 20: [1],
            21: [1, 2], 22: [2], 23: [1, 2], 24: [4], 29: [1, 2], 30: [1, 2], 38: [1], 68: [1, 2],
        ]
        for command in Self.full {
            var reader = ProtobufReader(ByteBuffer(bytes: Self.encoded(command)))
            _ = try reader.next()
            let body = try #require(try reader.next()?.buffer)
            for number in 1...20 {
                let rest = try without(number, body)
                guard rest != body else { continue }
                var bytes = ByteBuffer()
                bytes.field(1, command.type)
                bytes.head(Int(command.type), length: rest.readableBytes)
                bytes.writeImmutableBuffer(rest)
                let wanted = required[command.type]?.contains(number) == true
                do throws(WireError) {
                    _ = try decoded(Array(bytes.readableBytesView))
                    #expect(!wanted, "\(command.type).\(number)")
                } catch {
                    #expect(wanted && error.kind == .missingField, "\(command.type).\(number): \(error)")
                }
            }
        }
        #expect(throws: WireError.self) { try self.decoded([]) }
        // A type without its field; a field without a type.
        #expect(throws: WireError.self) { try self.decoded([8, 6]) }
        #expect(throws: WireError.self) { try self.decoded([0x92, 1, 0]) }
    }

    /// `message` without its fields of that number.
    private func without(_ number: Int, _ message: ByteBuffer) throws -> ByteBuffer {
        var reader = ProtobufReader(message)
        var rest = ByteBuffer()
        while let field = try reader.next() {
            guard field.number != number else { continue }
            switch field.content {
            case .varint(let value): rest.field(field.number, value)
            case .bytes(let value):
                rest.head(field.number, length: value.readableBytes)
                rest.writeImmutableBuffer(value)
            case .fixed: Issue.record("no command has such a field")
            }
        }
        return rest
    }

    @Test func unknownCommandsAndNumbersAreKept() throws {
        #expect(try decoded([8, 50, 0x92, 3, 2, 8, 1]) == .unknown(type: 50))
        let error = Command.error(ErrorCommand(requestID: 1, error: ServerError(rawValue: 99), message: "new"))
        #expect(try decoded(Self.encoded(error)) == error)
        #expect("\(ServerError(rawValue: 99)) \(ServerError.producerFenced)" == "error 99 ProducerFenced")
    }

    @Test func theTypeMayComeLast() throws {
        #expect(try decoded([0x6A, 2, 8, 5, 8, 13]) == .success(SuccessCommand(requestID: 5)))
    }

    @Test func messagesInsideEachOtherHaveALimit() throws {
        var position = ByteBuffer(bytes: [8, 1, 16, 1])
        for _ in 0..<10_000 {
            var outer = ByteBuffer(bytes: [8, 1, 16, 1])
            outer.head(7, length: position.readableBytes)
            outer.writeImmutableBuffer(position)
            position = outer
        }
        #expect {
            try MessageIDData(position)
        } throws: {
            ($0 as? WireError)?.kind == .limitExceeded
        }
    }

    @Test func descriptionsLeaveSecretsOut() {
        let secret = "s3cret"
        let commands: [Command] = [
            .connect(
                ConnectCommand(clientVersion: "v", authData: Array(secret.utf8), originalAuthData: secret)),
            .authResponse(AuthResponseCommand(response: AuthData(authData: Array(secret.utf8)))),
            .authChallenge(AuthChallengeCommand(challenge: AuthData(authData: Array(secret.utf8)))),
            .lookup(LookupCommand(topic: "t", requestID: 1, originalAuthData: secret)),
            .partitionedMetadata(PartitionedMetadataCommand(topic: "t", requestID: 1, originalAuthData: secret)),
        ]
        for command in commands {
            var dumped = ""
            dump(Frame(command), to: &dumped)
            for text in ["\(command)", String(reflecting: command), "\(Frame(command))", dumped] {
                #expect(!text.contains(secret))
                #expect(!text.contains("115"), "the first byte of it, as a number")
            }
        }
    }
}
