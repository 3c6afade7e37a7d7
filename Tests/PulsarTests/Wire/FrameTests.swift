import NIOCore
import TestSupport
import Testing

@testable import Pulsar

@Suite struct FrameTests {
    private static let sends = RecordedFrame.all.filter { $0.name.hasPrefix("send_") && !$0.name.contains("receipt") }

    private func failure(_ bytes: [UInt8], limit: Int = FrameDecoder.defaultMaximumMessageSize) -> WireError.Kind? {
        var buffer = ByteBuffer(bytes: bytes)
        var decoder = FrameDecoder(maximumMessageSize: limit)
        do throws(WireError) {
            _ = try decoder.decode(buffer: &buffer)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test func allRecordedFramesAreThere() {
        #expect(RecordedFrame.all.count == 62)
        #expect(Self.sends.count == 18)
    }

    @Test(arguments: RecordedFrame.all) func aRecordedFrameIsReadAndWrittenByteForByte(_ recorded: RecordedFrame) throws
    {
        var frame = try #require(try recorded.decoded())
        if case .unknown = frame.command { Issue.record("\(recorded.name) is unknown") }
        if var payload = frame.payload {
            // Through the values, so that no field may be lost.
            let metadata = try payload.metadata()
            payload.encodedMetadata = ByteBuffer()
            metadata.encode(to: &payload.encodedMetadata)
            frame.payload = payload
        }
        var written = ByteBuffer()
        frame.encode(into: &written)
        #expect(Array(written.readableBytesView) == recorded.bytes)
    }

    @Test(arguments: sends) func theChecksumOfASendIsThatOfTheOfficialClient(_ recorded: RecordedFrame) throws {
        let frame = try #require(try recorded.decoded())
        #expect(frame.payload?.checksum == .valid)
        // Any byte behind the checksum is covered by it.
        let commandSize = Int(recorded.bytes[7])
        for index in (8 + commandSize + 6)..<recorded.bytes.count {
            var bytes = recorded.bytes
            bytes[index] ^= 1
            // A wrong length of the metadata may leave no frame at all.
            let changed = try? RecordedFrame(name: "", bytes: bytes).decoded()
            #expect(changed == nil || changed?.payload?.checksum == .mismatch)
        }
    }

    @Test(arguments: sends) func aHeadAroundAPayloadIsTheWholeFrame(_ recorded: RecordedFrame) throws {
        let frame = try #require(try recorded.decoded())
        let payload = try #require(frame.payload)
        guard case .send(let command) = frame.command else { throw WireError(.malformedFrame, "no SEND") }
        var whole = SendFrame.head(command, metadata: try payload.metadata(), payload: payload.payload)
        whole.writeImmutableBuffer(payload.payload)
        #expect(Array(whole.readableBytesView) == recorded.bytes)

        var plain = SendFrame.head(
            command, metadata: try payload.metadata(), payload: payload.payload, checksum: false)
        plain.writeImmutableBuffer(payload.payload)
        var decoder = FrameDecoder()
        var expected = frame
        expected.payload?.checksum = .absent
        #expect(try decoder.decode(buffer: &plain) == expected)
    }

    @Test func theFieldsHaveTheirNames() throws {
        func command(_ name: String) throws -> Command {
            try #require(try RecordedFrame.named(name)?.decoded()).command
        }
        let topic = "persistent://public/default/frames"
        #expect(
            try command("producer_named")
                == .producer(
                    ProducerCommand(
                        topic: topic, producerID: 0, requestID: 0, producerName: "frames-prod", encrypted: false,
                        metadata: [Property(key: "app", value: "logship")], epoch: 0, userProvidedProducerName: true,
                        producerAccessMode: .shared)))
        #expect(
            try command("producer_success_batching")
                == .producerSuccess(
                    ProducerSuccessCommand(
                        requestID: 2, producerName: "frames-batch", lastSequenceID: -1, schemaVersion: [],
                        producerReady: true)))
        #expect(
            try command("send_receipt_batch_of_3")
                == .sendReceipt(
                    SendReceiptCommand(
                        producerID: 1, sequenceID: 0,
                        messageID: MessageIDData(ledgerID: 0, entryID: 5, partition: -1))))
        #expect(
            try command("connect_through_proxy")
                == .connect(
                    ConnectCommand(
                        clientVersion: "Pulsar-CPP-v4.2.0", protocolVersion: 20, authMethodName: "none",
                        proxyToBrokerURL: "broker-1.example.com:6650",
                        featureFlags: FeatureFlags(supportsAuthRefresh: true, supportsBrokerEntryMetadata: true))))
        #expect(
            try command("auth_response_token")
                == .authResponse(
                    AuthResponseCommand(
                        clientVersion: "Pulsar-CPP-v4.2.0",
                        response: AuthData(authMethodName: "token", authData: Array("my-token".utf8)))))
        #expect(try command("ping") == .ping)
        guard case .lookupResponse(let lookup) = try command("lookup_response") else {
            throw WireError(.malformedFrame, "no reply")
        }
        #expect(lookup.brokerServiceURL == "pulsar://127.0.0.1:6711")
        #expect(lookup.response == .connect)

        let single = try #require(try RecordedFrame.named("send_single_all_fields")?.decoded()?.payload)
        #expect(
            try single.metadata()
                == MessageMetadata(
                    producerName: "frames-prod", sequenceID: 7, publishTime: 1_795_252_272_227,
                    properties: [Property(key: "k1", value: "v1"), Property(key: "k2", value: "v2")],
                    partitionKey: "pk-1", eventTime: 1_700_000_000_123, orderingKey: Array("ok-1".utf8)))
        #expect(String(buffer: single.payload) == "hello-pulsar")
        let chunk = try #require(try RecordedFrame.named("send_chunk_1")?.decoded()?.payload?.metadata())
        #expect(chunk.uuid == "chunker-0")
        #expect(chunk.chunkID == 1)
        #expect(chunk.numChunksFromMsg == 2)
        #expect(chunk.totalChunkMsgSize == 130)
    }

    @Test(arguments: RecordedFrame.all) func aFrameIsTheSameWhereverItIsCut(_ recorded: RecordedFrame) throws {
        let frame = try #require(try recorded.decoded())
        for cut in 0..<recorded.bytes.count {
            var decoder = FrameDecoder()
            var received = ByteBuffer(bytes: recorded.bytes[..<cut])
            #expect(try decoder.decode(buffer: &received) == nil)
            received.writeBytes(recorded.bytes[cut...])
            #expect(try decoder.decode(buffer: &received) == frame)
            #expect(received.readableBytes == 0)
        }
    }

    @Test func aStreamThatComesByteByByteIsTheSame() throws {
        var decoder = FrameDecoder()
        var received = ByteBuffer()
        var frames: [Frame?] = []
        for byte in RecordedFrame.all.flatMap(\.bytes) {
            received.writeInteger(byte)
            while let frame = try decoder.decode(buffer: &received) { frames.append(frame) }
        }
        #expect(try frames == RecordedFrame.all.map { try $0.decoded() })
    }

    @Test func aFrameBeyondTheLimitIsRefusedBeforeItsBytesCome() {
        let limit = 1000
        func size(_ size: UInt32) -> [UInt8] { withUnsafeBytes(of: size.bigEndian) { Array($0) } }
        #expect(failure(size(UInt32(limit + FrameDecoder.padding)), limit: limit) == nil)
        #expect(failure(size(UInt32(limit + FrameDecoder.padding + 1)), limit: limit) == .limitExceeded)
        #expect(failure(size(.max), limit: .max) == .limitExceeded)
        #expect(failure(size(.max), limit: .min) == .limitExceeded)
        #expect(failure(size(3)) == .malformedFrame)
        #expect(failure(size(0)) == .malformedFrame)
    }

    @Test func sizesThatContradictEachOtherAreErrors() {
        #expect(failure([0, 0, 0, 9, 0, 0, 0, 6, 8, 0x12, 0x92, 1, 0]) == .malformedFrame)
        #expect(failure([0, 0, 0, 9, 0xFF, 0xFF, 0xFF, 0xFF, 8, 0x12, 0x92, 1, 0]) == .malformedFrame)
        #expect(failure([0, 0, 0, 4, 0, 0, 0, 0]) == .missingField)
        // A SEND with nothing behind it; with half a checksum; with half a size; with metadata that are too long.
        let send: [UInt8] = [0, 0, 0, 8, 8, 6, 0x32, 4, 8, 0, 0x10, 0]
        #expect(failure([0, 0, 0, 12] + send) == .malformedFrame)
        #expect(failure([0, 0, 0, 15] + send + [0x0E, 1, 0]) == .truncated)
        #expect(failure([0, 0, 0, 15] + send + [0, 0, 0]) == .truncated)
        #expect(failure([0, 0, 0, 17] + send + [0, 0, 0, 2, 8]) == .truncated)
        #expect(failure([0, 0, 0, 15] + send + [0x0E, 2, 0]) == .truncated)
    }

    @Test func metadataOfTheBrokerGoBeforeTheChecksum() throws {
        let metadata = MessageMetadata(producerName: "p", sequenceID: 1, publishTime: 2)
        let frame = Frame(
            .message(MessageCommand(consumerID: 1, messageID: MessageIDData(ledgerID: 1, entryID: -1))),
            payload: FramePayload(
                metadata: metadata, payload: ByteBuffer(string: "x"),
                brokerEntry: BrokerEntryMetadata(brokerTimestamp: 5, index: 6)))
        var buffer = ByteBuffer()
        frame.encode(into: &buffer)
        var decoder = FrameDecoder()
        #expect(try decoder.decode(buffer: &buffer) == frame)
    }

    /// Whatever a peer writes: a frame, an error, or more bytes wanted; and what was taken for a frame can be read
    /// through to its last message.
    @Test func mutatedFramesNeverTrap() throws {
        for var generator in [SeededGenerator(seed: 1), SeededGenerator(seed: 2), .fresh("Pulsar frames")] {
            for recorded in RecordedFrame.all {
                for _ in 0..<50 {
                    var bytes = generator.mutate(recorded.bytes)
                    // Most edits should get past the sizes in front.
                    if Bool.random(using: &generator), bytes.count > 8 {
                        bytes.replaceSubrange(
                            0..<4, with: withUnsafeBytes(of: UInt32(bytes.count - 4).bigEndian) { Array($0) })
                    }
                    readAll(bytes)
                }
            }
        }
    }

    private func readAll(_ bytes: [UInt8]) {
        var decoder = FrameDecoder()
        var buffer = ByteBuffer(bytes: bytes)
        while let frame = try? decoder.decode(buffer: &buffer) {
            _ = "\(frame.command)"
            guard let payload = frame.payload else { continue }
            _ = try? payload.metadata()
            var batch = BatchReader(payload.payload)
            while (try? batch.next()) != nil {}
        }
    }
}
