internal import NIOCore

/// Makes the SEND frames of one producer: compresses, encrypts, writes the metadata, and the checksum over both. For any
/// thread.
package struct SendEncoder: Sendable {
    package let producerID: UInt64
    package let producer: OpenedProducer
    let compressor: Compressor
    /// Nil: payloads go as they are.
    private let encryption: PayloadEncryption?

    /// Of a batch's payload, so that it fits into a frame with its metadata even if it does not shrink.
    package let maximumBatchSize: Int
    /// More than the metadata of a batch takes with keys and clusters of ordinary length.
    private static let metadataReserve = 4096

    init(
        producerID: UInt64, producer: OpenedProducer, compressor: Compressor, encryption: PayloadEncryption? = nil
    ) {
        self.producerID = producerID
        self.producer = producer
        self.compressor = compressor
        self.encryption = encryption
        // Another data key's may be longer by a little: there is the reserve.
        let overhead = encryption?.dataKey?.overhead ?? 0
        maximumBatchSize = max(producer.maximumMessageSize - Self.metadataReserve - overhead, 0)
    }

    /// False: it is too large for a frame of its own, whatever is done to it.
    func mayFit(_ message: PulsarMessage, isChunked: Bool) -> Bool {
        if isChunked || compressor.compression != .none { return message.size <= Compressor.maximumSize }
        return message.size <= producer.maximumMessageSize
    }

    func tooBig(_ size: Int) -> PulsarError {
        PulsarError(
            .messageTooBig,
            "\(size) bytes are more than the broker takes at once (\(producer.maximumMessageSize) with the metadata): make"
                + " the message smaller, compress it, or let the producer send it in chunks")
    }

    /// A batch, compressed as a whole. One of a single message is in batch layout too, as the official C++ client sends it.
    ///
    /// - Parameters:
    ///   - partitionKey, orderingKey: those of its first message: a broker does not look into batches.
    ///   - publishTime: milliseconds since 1970, UTC.
    /// - Throws: `messageTooBig`.
    package func seal(
        _ batch: BatchPayload, partitionKey: String? = nil, orderingKey: String? = nil, replicateTo: [String] = [],
        publishTime: UInt64 = WallClock.milliseconds
    ) throws(PulsarError) -> SealedSend {
        precondition(batch.count > 0)
        var metadata = metadata(batch.firstID, publishTime)
        metadata.partitionKey = partitionKey
        metadata.orderingKey = orderingKey.map { Array($0.utf8) }
        metadata.replicateTo = replicateTo
        metadata.numMessagesInBatch = Int32(clamping: batch.count)
        var command = SendCommand(
            producerID: producerID, sequenceID: batch.firstID, numMessages: Int32(clamping: batch.count))
        if batch.count > 1 {
            // Both: brokers remember the command's number at once, and the metadata's when they read the topic again.
            metadata.highestSequenceID = batch.lastID
            command.highestSequenceID = batch.lastID
        }
        var payload = try compress(batch.bytes, &metadata)
        if let dataKey = encryption?.dataKey {
            dataKey.mark(&metadata)
            payload = try dataKey.seal(payload, &metadata)
        }
        guard metadata.encodedLength + payload.readableBytes <= producer.maximumMessageSize else {
            throw tooBig(metadata.encodedLength + payload.readableBytes)
        }
        return SealedSend(
            firstID: batch.firstID, lastID: batch.lastID,
            head: SendFrame.head(command, metadata: metadata, payload: payload), payload: payload)
    }

    /// A message by itself; several frames when it has to go in chunks.
    func seal(
        _ message: PulsarMessage, id: UInt64, deliverAt: Int64?, publishTime: UInt64, isChunked: Bool
    ) throws(PulsarError) -> [SealedSend] {
        var metadata = metadata(id, publishTime)
        metadata.properties = message.properties.map { Property(key: $0.name, value: $0.value) }
        metadata.partitionKey = message.routingKey
        metadata.orderingKey = message.sharingKey.map { Array($0.utf8) }
        metadata.replicateTo = PulsarMessage.replicateTo(message.replicationClusters, message.disablesReplication)
        metadata.eventTime = message.eventTime
        metadata.deliverAtTime = deliverAt
        if message.isNull { metadata.nullValue = true }
        var payload = try compress(message.payload, &metadata)
        let limit = producer.maximumMessageSize
        let dataKey = encryption?.dataKey
        dataKey?.mark(&metadata)
        let room = limit - metadata.encodedLength - (dataKey == nil ? 0 : DataKey.tagBytes)
        guard payload.readableBytes > room else {
            if let dataKey { payload = try dataKey.seal(payload, &metadata) }
            let command = SendCommand(producerID: producerID, sequenceID: id)
            return [
                SealedSend(
                    firstID: id, lastID: id, head: SendFrame.head(command, metadata: metadata, payload: payload),
                    payload: payload)
            ]
        }
        guard isChunked else { throw tooBig(limit - room + payload.readableBytes) }
        return try chunks(payload, id, metadata, dataKey)
    }

    /// Chunks of one message at most: each is a frame that waits for its own answer.
    private static let maximumChunks = 10_000

    /// The fields that tell of chunks count too: Apache's brokers leave room for them above their limit, others don't.
    /// Each chunk is encrypted by itself.
    private func chunks(
        _ payload: ByteBuffer, _ id: UInt64, _ metadata: MessageMetadata, _ dataKey: DataKey?
    ) throws(PulsarError) -> [SealedSend] {
        var metadata = metadata
        let total = payload.readableBytes
        guard let totalSize = Int32(exactly: total) else { throw tooBig(total) }
        metadata.uuid = "\(producer.name)-\(id)"
        metadata.totalChunkMsgSize = totalSize
        // As long as they get.
        metadata.numChunksFromMsg = Int32(Self.maximumChunks)
        metadata.chunkID = Int32(Self.maximumChunks)
        let size = producer.maximumMessageSize - metadata.encodedLength - (dataKey == nil ? 0 : DataKey.tagBytes)
        guard size > 0, (total - 1) / size < Self.maximumChunks else { throw tooBig(metadata.encodedLength + total) }
        let count = (total + size - 1) / size
        metadata.numChunksFromMsg = Int32(count)
        let command = SendCommand(producerID: producerID, sequenceID: id, isChunk: true)
        var payload = payload
        var sends: [SealedSend] = []
        sends.reserveCapacity(count)
        for index in 0..<count {
            metadata.chunkID = Int32(index)
            // As long as there are chunks there are bytes.
            var chunk = payload.readSlice(length: min(size, payload.readableBytes)) ?? ByteBuffer()
            if let dataKey { chunk = try dataKey.seal(chunk, &metadata) }
            sends.append(
                SealedSend(
                    firstID: id, lastID: id, isLastChunk: index == count - 1,
                    head: SendFrame.head(command, metadata: metadata, payload: chunk), payload: chunk))
        }
        return sends
    }

    private func metadata(_ id: UInt64, _ publishTime: UInt64) -> MessageMetadata {
        var metadata = MessageMetadata(producerName: producer.name, sequenceID: id, publishTime: publishTime)
        if !producer.schemaVersion.isEmpty { metadata.schemaVersion = producer.schemaVersion }
        return metadata
    }

    /// Nothing stays nothing, uncompressed: the official C++ and Python consumers cannot read what zlib makes of it, and
    /// drop the message.
    private func compress(_ bytes: ByteBuffer, _ metadata: inout MessageMetadata) throws(PulsarError) -> ByteBuffer {
        guard bytes.readableBytes > 0, let type = compressor.compression.type else { return bytes }
        metadata.compression = type
        metadata.uncompressedSize = UInt32(clamping: bytes.readableBytes)
        var bytes = bytes
        return try compressor.compress(&bytes)
    }
}

extension PulsarCompression {
    /// Nil for none, which is not written.
    var type: CompressionType? {
        switch self {
        case .none: nil
        case .zlib: .zlib
        case .lz4: .lz4
        case .zstd: .zstd
        case .snappy: .snappy
        }
    }
}
