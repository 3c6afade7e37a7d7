import NIOCore
import Testing

@testable import Pulsar

@Suite struct MessageBatchBuilderTests {
    private func encoder(
        name: String = "p", producerID: UInt64 = 0, maximumMessageSize: Int = 5_242_880,
        compression: PulsarCompression = .none, schemaVersion: [UInt8] = []
    ) throws -> SendEncoder {
        let producer = OpenedProducer(
            name: name, lastSequenceID: -1, schemaVersion: schemaVersion, maximumMessageSize: maximumMessageSize)
        return SendEncoder(producerID: producerID, producer: producer, compressor: try Compressor(compression))
    }

    private func builder(
        _ encoder: SendEncoder, messages: Int = 1000, bytes: Int = 131_072, isKeyBased: Bool = false,
        isChunked: Bool = false, firstID: UInt64 = 0, time: UInt64 = 0
    ) -> MessageBatchBuilder {
        let limits = MessageBatchBuilder.Limits(
            messages: messages, bytes: bytes, isKeyBased: isKeyBased, isChunked: isChunked)
        return MessageBatchBuilder(encoder, limits, firstID: firstID) { time }
    }

    private func frame(_ send: SealedSend) throws -> Frame {
        var buffer = send.head
        buffer.writeImmutableBuffer(send.payload)
        var decoder = FrameDecoder(maximumMessageSize: 1 << 24)
        return try #require(try decoder.decode(buffer: &buffer))
    }

    private func bytes(_ send: SealedSend) -> [UInt8] {
        Array(send.head.readableBytesView) + Array(send.payload.readableBytesView)
    }

    private func command(_ frame: Frame) throws -> SendCommand {
        guard case .send(let command) = frame.command else { throw WireError(.malformedFrame, "no SEND") }
        return command
    }

    private func messages(_ send: SealedSend) throws -> [BatchReader.Message] {
        let frame = try frame(send)
        let payload = try #require(frame.payload)
        var reader = BatchReader(payload.payload)
        var messages: [BatchReader.Message] = []
        while let message = try reader.next() { messages.append(message) }
        return messages
    }

    private func outgoing(_ message: PulsarMessage) -> OutgoingMessage { OutgoingMessage(message, completion: nil) }

    // MARK: What the official client sends

    /// The frames of the official client, made by this one from the same messages.
    @Test(arguments: [
        "send_single_plain", "send_single_all_fields", "send_null_value", "send_deliver_at_and_replication_clusters",
        "send_disable_replication", "send_batch_of_one", "send_compressed_zlib",
    ])
    func singleMessagesAreTheOfficialClientsByteForByte(_ name: String) throws {
        let recorded = try #require(RecordedFrame.named(name))
        let frame = try #require(try recorded.decoded())
        let payload = try #require(frame.payload)
        let metadata = try payload.metadata()
        let command = try command(frame)
        var message = PulsarMessage(payload.payload)
        message.properties = metadata.properties.map { ($0.key, $0.value) }
        message.partitionKey = metadata.partitionKey
        message.orderingKey = metadata.orderingKey.map { String(decoding: $0, as: UTF8.self) }
        message.eventTime = metadata.eventTime
        message.deliverAt = metadata.deliverAtTime
        message.sequenceID = metadata.sequenceID
        message.disablesReplication = metadata.replicateTo == ["__local__"]
        if !message.disablesReplication { message.replicationClusters = metadata.replicateTo }
        if metadata.nullValue == true { message.content = .null }
        if name == "send_batch_of_one" { message = PulsarMessage("single") }
        if metadata.compression != nil {
            message.content = .bytes(Array(repeating: Array("abc".utf8), count: 10).flatMap { $0 })
        }
        var builder = builder(
            try encoder(
                name: metadata.producerName, producerID: command.producerID,
                compression: metadata.compression == .zlib ? .zlib : .none),
            messages: name == "send_batch_of_one" ? 1000 : 1, time: metadata.publishTime)
        #expect(try builder.add(outgoing(message)))
        let batch = builder.seal()
        #expect(batch.failure == nil)
        #expect(batch.parts.flatMap(\.sends).map(bytes) == [recorded.bytes])
    }

    /// The official client leaves the highest id out, so that a broker that deduplicates remembers the lowest: that is all
    /// that differs.
    @Test func aBatchIsTheOfficialClientsWithTheHighestIDAdded() throws {
        let recorded = try #require(RecordedFrame.named("send_batch_of_3"))
        let theirs = try #require(try recorded.decoded())
        let theirMetadata = try #require(theirs.payload).metadata()
        var payload = BatchPayload()
        var first = PulsarMessage("alpha")
        first.properties = [("n", "1")]
        first.partitionKey = "a"
        first.eventTime = 1_700_000_000_001
        payload.append(first, id: 0)
        var second = PulsarMessage("beta")
        second.partitionKey = "b"
        payload.append(second, id: 10)
        var third = PulsarMessage("")
        third.properties = []
        payload.append(third, id: 11)
        let send = try encoder(name: theirMetadata.producerName, producerID: 1)
            .seal(payload, partitionKey: "a", publishTime: theirMetadata.publishTime)
        let ours = try frame(send)
        var metadata = try #require(ours.payload).metadata()
        var command = try command(ours)
        #expect(metadata.highestSequenceID == 11)
        #expect(command.highestSequenceID == 11)
        #expect(command.sequenceID == 0)
        metadata.highestSequenceID = nil
        command.highestSequenceID = nil
        #expect(metadata == theirMetadata)
        #expect(Command.send(command) == theirs.command)
        // But for the third id, which was 1 there: it had not moved for the second message's own.
        let (a, b) = (try #require(ours.payload).payload, try #require(theirs.payload).payload)
        #expect(a.readableBytes == b.readableBytes)
        #expect(
            a.getSlice(at: a.readerIndex, length: a.readableBytes - 1)
                == b.getSlice(at: b.readerIndex, length: b.readableBytes - 1))
    }

    @Test func theChecksumCoversWhatIsSent() throws {
        var builder = builder(try encoder())
        _ = try builder.add(outgoing(PulsarMessage("x")))
        _ = try builder.add(outgoing(PulsarMessage("y")))
        #expect(try frame(builder.seal().parts[0].sends[0]).payload?.checksum == .valid)
    }

    // MARK: Fields

    @Test func everyFieldOfAMessageIsInItsPlaceInABatch() throws {
        var builder = builder(try encoder(schemaVersion: [1, 2]), firstID: 7)
        var message = PulsarMessage([1, 2, 3])
        message.properties = [("b", "1"), ("a", ""), ("ü", "日本")]
        message.partitionKey = "key"
        message.orderingKey = "order"
        message.eventTime = 0
        _ = try builder.add(outgoing(message))
        var null = PulsarMessage(content: .null)
        null.partitionKey = ""
        _ = try builder.add(outgoing(null))
        let send = builder.seal().parts[0].sends[0]
        #expect(send.firstID == 7)
        #expect(send.lastID == 8)
        let metadata = try #require(try frame(send).payload).metadata()
        #expect(metadata.schemaVersion == [1, 2])
        #expect(metadata.partitionKey == "key")
        #expect(metadata.orderingKey == Array("order".utf8))
        #expect(metadata.numMessagesInBatch == 2)
        let messages = try messages(send)
        #expect(messages[0].metadata.properties.map(\.key) == ["b", "a", "ü"])
        #expect(messages[0].metadata.properties.map(\.value) == ["1", "", "日本"])
        #expect(messages[0].metadata.partitionKey == "key")
        #expect(messages[0].metadata.orderingKey == Array("order".utf8))
        // Zero is a time, and an empty key is none.
        #expect(messages[0].metadata.eventTime == 0)
        #expect(messages[0].metadata.sequenceID == 7)
        #expect(messages[0].payload == ByteBuffer(bytes: [1, 2, 3]))
        #expect(messages[1].metadata.partitionKey == nil)
        #expect(messages[1].metadata.nullValue == true)
        #expect(messages[1].payload.readableBytes == 0)
    }

    @Test func allKindsOfContentAreTheSameBytes() throws {
        for size in [0, 1, 15, 16, 300, 70_000] {
            let text = String(repeating: "x", count: size)
            var payload = BatchPayload()
            payload.append(PulsarMessage(text), id: 0)
            payload.append(PulsarMessage(Array(text.utf8)), id: 1)
            payload.append(PulsarMessage(ByteBuffer(string: text)), id: 2)
            var reader = BatchReader(payload.bytes)
            while let message = try reader.next() { #expect(message.payload == ByteBuffer(string: text)) }
            #expect(payload.count == 3)
        }
    }

    @Test func preparedMetadataIsReadAsTheSameFields() throws {
        let template = MessageTemplate(properties: [("host", "h"), ("source", "s")], partitionKey: "key")
        var payload = BatchPayload()
        let (name, value, body) = (Array("offset".utf8), Array("17".utf8), Array("line".utf8))
        name.withUnsafeBytes { name in
            value.withUnsafeBytes { value in
                body.withUnsafeBytes { body in
                    payload.append(
                        template, id: 5, eventTime: 9, body: body,
                        propertyBytes: PropertyWriter.bound(name.count, value.count)
                    ) { $0.append(name, value) }
                }
            }
        }
        var reader = BatchReader(payload.bytes)
        let message = try #require(try reader.next())
        #expect(message.metadata.properties.map(\.key) == ["host", "source", "offset"])
        #expect(message.metadata.properties.map(\.value) == ["h", "s", "17"])
        #expect(message.metadata.partitionKey == "key")
        #expect(message.metadata.eventTime == 9)
        #expect(message.metadata.sequenceID == 5)
        #expect(message.payload == ByteBuffer(string: "line"))
        #expect(payload.bytes.readableBytes < template.bound(body: 4, propertyBytes: PropertyWriter.bound(6, 2)))
    }

    @Test func deliverAfterCountsFromNowAndGoesBeforeDeliverAt() {
        var message = PulsarMessage("x")
        #expect(message.deliveryTime(now: 1000) == nil)
        message.deliverAt = 0
        #expect(message.deliveryTime(now: 1000) == 0)
        message.deliverAfter = .zero
        #expect(message.deliveryTime(now: 1000) == 1000)
        message.deliverAfter = .milliseconds(1500)
        #expect(message.deliveryTime(now: 1000) == 2500)
        message.deliverAfter = .seconds(Int64.max)
        #expect(message.deliveryTime(now: 1000) == .max)
        message.deliverAfter = .seconds(-2)
        #expect(message.deliveryTime(now: 1000) == -1000)
    }

    // MARK: Ids

    @Test func idsAreDenseFromTheFirstOne() throws {
        var builder = builder(try encoder(), messages: 3, firstID: 42)
        var ranges: [ClosedRange<UInt64>] = []
        for _ in 0..<7 {
            if try builder.add(outgoing(PulsarMessage("x"))) == false {
                let send = builder.seal().parts[0].sends[0]
                ranges.append(send.firstID...send.lastID)
                #expect(try builder.add(outgoing(PulsarMessage("x"))))
            }
        }
        #expect(ranges == [42...44, 45...47])
    }

    @Test func anIDOfZeroIsAnID() throws {
        var builder = builder(try encoder(), firstID: 5)
        var message = PulsarMessage("x")
        message.sequenceID = 0
        _ = try builder.add(outgoing(message))
        #expect(builder.seal().parts[0].sends[0].firstID == 0)
    }

    /// Ids of one's own move the numbering, so that none comes twice; the official client goes on from its own.
    @Test func automaticIDsAreAboveAllThatWereUsed() throws {
        var builder = builder(try encoder())
        for id in [5, nil, 3, nil] as [UInt64?] {
            var message = PulsarMessage("x")
            message.sequenceID = id
            if try builder.add(outgoing(message)) == false {
                #expect(try messages(builder.seal().parts[0].sends[0]).map(\.metadata.sequenceID) == [5, 6])
                #expect(try builder.add(outgoing(message)))
            }
        }
        #expect(try messages(builder.seal().parts[0].sends[0]).map(\.metadata.sequenceID) == [3, 7])
    }

    @Test func anIDThatIsNotAboveTheLastBeginsABatch() throws {
        var builder = builder(try encoder())
        var message = PulsarMessage("x")
        message.sequenceID = 9
        #expect(try builder.add(outgoing(message)))
        #expect(try builder.add(outgoing(message)) == false)
        message.sequenceID = 8
        #expect(try builder.add(outgoing(message)) == false)
        message.sequenceID = 10
        #expect(try builder.add(outgoing(message)))
    }

    @Test func anIDBeyondTheLargestIsRefused() throws {
        var builder = builder(try encoder())
        var message = PulsarMessage("x")
        message.sequenceID = UInt64(Int64.max) + 1
        #expect(throws: PulsarError.self) { try builder.add(outgoing(message)) }
        message.sequenceID = UInt64(Int64.max)
        #expect(try builder.add(outgoing(message)))
    }

    // MARK: Limits

    @Test func aBatchIsFullAtItsNumberOfMessages() throws {
        var builder = builder(try encoder(), messages: 2)
        _ = try builder.add(outgoing(PulsarMessage("x")))
        #expect(!builder.isFull)
        _ = try builder.add(outgoing(PulsarMessage("x")))
        #expect(builder.isFull)
        #expect(try builder.add(outgoing(PulsarMessage("x"))) == false)
    }

    @Test func aBatchIsFullAtItsBytesOfPayload() throws {
        var builder = builder(try encoder(), bytes: 100)
        let message = PulsarMessage([UInt8](repeating: 0, count: 40))
        #expect(try builder.add(outgoing(message)))
        #expect(try builder.add(outgoing(message)))
        #expect(!builder.isFull)
        #expect(try builder.add(outgoing(message)) == false)
        _ = builder.seal()
        // A larger one goes alone.
        #expect(try builder.add(outgoing(PulsarMessage([UInt8](repeating: 0, count: 500)))))
        #expect(builder.isFull)
        #expect(try builder.add(outgoing(PulsarMessage("x"))) == false)
    }

    @Test func metadataCountsWhereTheFrameWouldGetTooLarge() throws {
        var builder = builder(try encoder(maximumMessageSize: 20_000))
        var message = PulsarMessage("x")
        message.properties = [("p", String(repeating: "v", count: 5000))]
        var added = 0
        while try builder.add(outgoing(message)) { added += 1 }
        #expect((1...3).contains(added))
        let batch = builder.seal()
        #expect(batch.failure == nil)
    }

    @Test func aMessageThatFitsNowhereIsRefused() throws {
        var batches = builder(try encoder(maximumMessageSize: 1000))
        let large = PulsarMessage([UInt8](repeating: 0, count: 2000))
        #expect(try batches.add(outgoing(large)) == false)
        #expect(batches.tooLarge(outgoing(large)).code == .messageTooBig)
        var alone = builder(try encoder(maximumMessageSize: 1000), messages: 1)
        #expect(try alone.add(outgoing(large)) == false)
        // With its metadata it is too large by a little.
        #expect(try alone.add(outgoing(PulsarMessage([UInt8](repeating: 0, count: 999)))))
        #expect(alone.seal().failure?.code == .messageTooBig)
    }

    @Test(arguments: [PulsarMessage(""), PulsarMessage(content: .null)])
    func nothingIsNotCompressed(_ message: PulsarMessage) throws {
        var builder = builder(try encoder(compression: .zlib), messages: 1)
        #expect(try builder.add(outgoing(message)))
        let payload = try #require(try frame(builder.seal().parts[0].sends[0]).payload)
        #expect(try payload.metadata().compression == nil && payload.metadata().uncompressedSize == nil)
        #expect(payload.payload.readableBytes == 0)
    }

    @Test func compressionMayMakeALargeMessageFit() throws {
        var builder = builder(try encoder(maximumMessageSize: 1000, compression: .zlib), messages: 1)
        #expect(try builder.add(outgoing(PulsarMessage([UInt8](repeating: 0, count: 100_000)))))
        #expect(builder.seal().failure == nil)
        var random = SystemRandomNumberGenerator()
        let noise = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }
        #expect(try builder.add(outgoing(PulsarMessage(noise))))
        #expect(builder.seal().failure?.code == .messageTooBig)
    }

    // MARK: What goes alone

    @Test func aDelayedMessageIsSentAloneBehindTheOpenBatch() throws {
        var builder = builder(try encoder())
        _ = try builder.add(outgoing(PulsarMessage("first")))
        var delayed = PulsarMessage("later")
        delayed.deliverAt = 0
        #expect(try builder.add(outgoing(delayed)) == false)
        _ = builder.seal()
        #expect(try builder.add(outgoing(delayed)))
        #expect(builder.isFull)
        #expect(try builder.add(outgoing(PulsarMessage("next"))) == false)
        let frame = try frame(builder.seal().parts[0].sends[0])
        let metadata = try #require(frame.payload).metadata()
        #expect(metadata.deliverAtTime == 0)
        #expect(metadata.numMessagesInBatch == nil)
        #expect(metadata.sequenceID == 1)
        #expect(try command(frame).numMessages == nil)
    }

    @Test func messagesForOtherClustersBeginABatch() throws {
        var builder = builder(try encoder())
        var local = PulsarMessage("x")
        local.disablesReplication = true
        _ = try builder.add(outgoing(PulsarMessage("x")))
        #expect(try builder.add(outgoing(local)) == false)
        _ = builder.seal()
        _ = try builder.add(outgoing(local))
        #expect(try builder.add(outgoing(local)))
        var others = PulsarMessage("x")
        others.replicationClusters = ["a", "b"]
        #expect(try builder.add(outgoing(others)) == false)
        #expect(
            try #require(try frame(builder.seal().parts[0].sends[0]).payload).metadata().replicateTo == ["__local__"])
        _ = try builder.add(outgoing(others))
        #expect(try #require(try frame(builder.seal().parts[0].sends[0]).payload).metadata().replicateTo == ["a", "b"])
    }

    // MARK: Keys

    @Test func keyBasedBatchesHoldOneKeyEach() throws {
        var builder = builder(try encoder(), messages: 5, isKeyBased: true)
        for (index, key) in ["a", "b", "a", nil, "b"].enumerated() {
            var message = PulsarMessage("\(index)")
            message.partitionKey = key
            // The ordering key goes before the other.
            if index == 4 { message.orderingKey = "a" }
            #expect(try builder.add(outgoing(message)))
        }
        #expect(builder.isFull)
        let sends = builder.seal().parts.flatMap(\.sends)
        let ids = try sends.map { try messages($0).map(\.metadata.sequenceID) }
        #expect(ids == [[0, 2, 4], [1], [3]])
        #expect(sends.map(\.firstID) == [0, 1, 3])
        #expect(sends.map(\.lastID) == [4, 1, 3])
    }

    @Test func keyBasedBatchesAreTheOfficialClientsButForTheHighestID() throws {
        let recorded = try (0..<2).map { try #require(try RecordedFrame.named("send_keybased_batch_\($0)")?.decoded()) }
        let theirs = try recorded.map { try #require($0.payload).metadata() }
        var builder = builder(
            try encoder(name: theirs[0].producerName), isKeyBased: true, time: theirs[0].publishTime)
        var entries: [(id: UInt64, message: PulsarMessage)] = []
        for frame in recorded {
            var reader = BatchReader(try #require(frame.payload).payload)
            while let entry = try reader.next() {
                var message = PulsarMessage(entry.payload)
                message.partitionKey = entry.metadata.partitionKey
                message.orderingKey = entry.metadata.orderingKey.map { String(decoding: $0, as: UTF8.self) }
                entries.append((try #require(entry.metadata.sequenceID), message))
            }
        }
        for entry in entries.sorted(by: { $0.id < $1.id }) { #expect(try builder.add(outgoing(entry.message))) }
        let ours = try builder.seal().parts.flatMap(\.sends).map(frame)
        #expect(ours.map { $0.payload?.payload } == recorded.map { $0.payload?.payload })
    }

    // MARK: Chunks

    @Test func aLargePayloadGoesInChunks() throws {
        var builder = builder(
            try encoder(name: "chunky", maximumMessageSize: 1000), messages: 1, isChunked: true, firstID: 3)
        let content = (0..<5000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        var message = PulsarMessage(content)
        message.properties = [("p", "v")]
        #expect(try builder.add(outgoing(message)))
        let batch = builder.seal()
        let sends = batch.parts[0].sends
        #expect(sends.count == 6)
        #expect(sends.map(\.isLastChunk) == [false, false, false, false, false, true])
        #expect(Set(sends.map(\.firstID)) == [3])
        var joined: [UInt8] = []
        for (index, send) in sends.enumerated() {
            let frame = try frame(send)
            let metadata = try #require(frame.payload).metadata()
            #expect(try command(frame).isChunk == true)
            #expect(metadata.uuid == "chunky-3")
            #expect(metadata.chunkID == Int32(index))
            #expect(metadata.numChunksFromMsg == 6)
            #expect(metadata.totalChunkMsgSize == 5000)
            #expect(metadata.properties.map(\.key) == ["p"])
            joined += Array(send.payload.readableBytesView)
            #expect(metadata.encodedLength + send.payload.readableBytes <= 1000)
        }
        #expect(joined == content)
    }

    @Test func chunksAreMadeOfTheCompressedPayload() throws {
        var random = SystemRandomNumberGenerator()
        let content = (0..<3000).map { _ in UInt8.random(in: 0...15, using: &random) }
        var builder = builder(
            try encoder(maximumMessageSize: 1000, compression: .zlib), messages: 1, isChunked: true)
        #expect(try builder.add(outgoing(PulsarMessage(content))))
        let sends = builder.seal().parts[0].sends
        #expect(sends.count > 1)
        var joined = ByteBuffer()
        for send in sends { joined.writeImmutableBuffer(send.payload) }
        let metadata = try #require(try frame(sends[0]).payload).metadata()
        #expect(metadata.uncompressedSize == 3000)
        #expect(metadata.totalChunkMsgSize == Int32(joined.readableBytes))
        #expect(try Compressor(.zlib).decompress(joined, size: 3000) == ByteBuffer(bytes: content))
    }

    @Test func aPayloadThatFitsIsNoChunk() throws {
        var builder = builder(try encoder(maximumMessageSize: 1000), messages: 1, isChunked: true)
        #expect(try builder.add(outgoing(PulsarMessage("small"))))
        let sends = builder.seal().parts[0].sends
        #expect(sends.count == 1)
        #expect(try #require(try frame(sends[0]).payload).metadata().chunkID == nil)
    }

    @Test func metadataThatFillsTheFrameLeavesNoRoomForChunks() throws {
        var builder = builder(try encoder(maximumMessageSize: 1000), messages: 1, isChunked: true)
        var message = PulsarMessage("x")
        message.properties = [("p", String(repeating: "v", count: 2000))]
        #expect(try builder.add(outgoing(message)))
        #expect(builder.seal().failure?.code == .messageTooBig)
    }

    // MARK: Results

    @Test func everyMessageOfABatchIsToldItsPlace() throws {
        let told = Told()
        var builder = builder(try encoder())
        for index in 0..<3 {
            // The first has nobody who waits.
            let completion: SendCompletion = { told.append($0) }
            _ = try builder.add(OutgoingMessage(PulsarMessage("x"), completion: index == 0 ? nil : completion))
        }
        let batch = builder.seal()
        batch.note(0, .success(SendPosition(ledgerID: 4, entryID: 9)))
        batch.tell(partition: 2, failure: nil)
        #expect(told.all.map(\.description) == ["(4,9,2,1)", "(4,9,2,2)"])
        #expect(told.all.map(\.batchSize) == [3, 3])
    }

    @Test func aDuplicateHasNoPlaceAtAll() throws {
        let told = Told()
        var builder = builder(try encoder())
        _ = try builder.add(OutgoingMessage(PulsarMessage("x")) { told.append($0) })
        let batch = builder.seal()
        batch.note(0, .success(.duplicate))
        batch.tell(partition: 2, failure: nil)
        #expect(told.all.map(\.description) == ["(-1,-1,-1,-1)"])
        #expect(told.all.map(\.isDuplicate) == [true])
    }
}

/// Results of messages that were stored.
private final class Told: @unchecked Sendable {
    private(set) var all: [PulsarMessageID] = []

    func append(_ result: Result<PulsarMessageID, PulsarError>) {
        if case .success(let id) = result { all.append(id) }
    }
}
