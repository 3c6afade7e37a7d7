import Glibc
package import NIOCore
package import Pulsar

/// One message as a topic holds it.
package struct StoredMessage: Equatable, Sendable {
    /// The number of its entry in the topic.
    package var entry: Int
    /// In its batch; nil: it is no part of one.
    package var batchIndex: Int?
    package var producerName: String
    package var sequenceID: UInt64
    package var key: String?
    package var orderingKey: [UInt8]?
    package var properties: [Property]
    package var eventTime: UInt64?
    package var hasNullValue: Bool
    package var schemaVersion: [UInt8]?
    /// Decompressed; of a message in chunks, one chunk; as it came where it is encrypted, be it a batch.
    package var payload: ByteBuffer

    package var text: String { String(buffer: payload) }

    static func all(in stored: FramePayload, number: Int) throws -> [StoredMessage] {
        let metadata = try stored.metadata()
        let isEncrypted = !metadata.encryptionKeys.isEmpty
        guard metadata.numMessagesInBatch != nil, !isEncrypted else {
            // A chunk is a piece of what was compressed as a whole.
            let isReadable = metadata.chunkID == nil && !isEncrypted
            let payload = isReadable ? try decompressed(stored.payload, metadata) : stored.payload
            return [
                StoredMessage(
                    entry: number, producerName: metadata.producerName, sequenceID: metadata.sequenceID,
                    key: metadata.partitionKey, orderingKey: metadata.orderingKey, properties: metadata.properties,
                    eventTime: metadata.eventTime, hasNullValue: metadata.nullValue == true,
                    schemaVersion: metadata.schemaVersion, payload: payload)
            ]
        }
        var reader = BatchReader(try decompressed(stored.payload, metadata))
        var messages: [StoredMessage] = []
        while let message = try reader.next() {
            let single = message.metadata
            messages.append(
                StoredMessage(
                    entry: number, batchIndex: messages.count, producerName: metadata.producerName,
                    sequenceID: single.sequenceID ?? metadata.sequenceID, key: single.partitionKey,
                    orderingKey: single.orderingKey, properties: single.properties, eventTime: single.eventTime,
                    hasNullValue: single.nullValue == true, schemaVersion: metadata.schemaVersion,
                    payload: message.payload))
        }
        return messages
    }

    private static func decompressed(_ payload: ByteBuffer, _ metadata: MessageMetadata) throws -> ByteBuffer {
        let compression: PulsarCompression
        switch metadata.compression {
        case nil, .some(.none): return payload
        case .some(.lz4): compression = .lz4
        case .some(.zlib): compression = .zlib
        case .some(.zstd): compression = .zstd
        case .some(.snappy): compression = .snappy
        case .some(let other): throw PulsarBroker.Failure(description: "compression \(other.rawValue)")
        }
        return try Compressor(compression).decompress(payload, size: Int(metadata.uncompressedSize ?? 0))
    }

    /// The messages of all topics in a broker's store, whether it runs or not; topics by name.
    package static func all(inStore directory: String) throws -> [(topic: String, messages: [StoredMessage])] {
        guard let folder = opendir(directory) else {
            throw PulsarBroker.Failure(description: "reading \(directory): \(String(cString: strerror(errno)))")
        }
        defer { closedir(folder) }
        var found: [(topic: String, messages: [StoredMessage])] = []
        while let item = readdir(folder) {
            let name = withUnsafeBytes(of: &item.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let topic = TopicFileName.topic(of: name) else { continue }
            var entries: [FramePayload] = []
            _ = try TopicLog(path: "\(directory)/\(name)", isWritable: false) { entries.append($0) }
            found.append(
                (topic, try entries.enumerated().flatMap { try all(in: $0.element, number: $0.offset) }))
        }
        return found.sorted { $0.topic < $1.topic }
    }

    /// One line of JSON. A payload that is no UTF-8 is given as `payload_hex`, in hexadecimal digits.
    package func json(topic: String) -> String {
        var fields = ["\"topic\":\(Self.quoted(topic))", "\"entry\":\(entry)"]
        if let batchIndex { fields.append("\"batch_index\":\(batchIndex)") }
        fields.append("\"producer\":\(Self.quoted(producerName))")
        fields.append("\"sequence_id\":\(sequenceID)")
        if let key { fields.append("\"key\":\(Self.quoted(key))") }
        if let orderingKey {
            fields.append("\"ordering_key\":\(Self.quoted(String(decoding: orderingKey, as: UTF8.self)))")
        }
        if !properties.isEmpty {
            let pairs = properties.map { "\(Self.quoted($0.key)):\(Self.quoted($0.value))" }
            fields.append("\"properties\":{\(pairs.joined(separator: ","))}")
        }
        if let eventTime { fields.append("\"event_time\":\(eventTime)") }
        if hasNullValue {
            fields.append("\"payload\":null")
        } else if let text = String(validating: payload.readableBytesView, as: UTF8.self) {
            fields.append("\"payload\":\(Self.quoted(text))")
        } else {
            let digits = payload.readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
            fields.append("\"payload_hex\":\"\(digits.joined())\"")
        }
        return "{\(fields.joined(separator: ","))}"
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                quoted.unicodeScalars.append("\\")
                quoted.unicodeScalars.append(scalar)
            case "\n": quoted += "\\n"
            case _ where scalar.value < 0x20:
                quoted += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
