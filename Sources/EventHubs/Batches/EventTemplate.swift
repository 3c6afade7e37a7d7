internal import AMQP
internal import NIOCore

/// The part of an event's message that all records of one source share, encoded once: partition key, the properties
/// that do not change, and room for the two that do (`offset` as a long, `timestamp` in milliseconds).
package struct EventTemplate: Sendable {
    /// One form of the bytes, with the places that are patched per event.
    struct Form: Sendable {
        var bytes: [UInt8]
        /// Of the eight bytes; negative: the events have neither offset nor timestamp.
        var offsetIndex: Int
        var timestampIndex: Int
        /// Of the four bytes of the property map's size; its count follows. Unused in the narrow form.
        var sizeIndex: Int
        /// Of the values of idempotent publishing; nil: there is no room for them.
        var numbers: StampPlaces?
    }

    /// With a one-byte map header, for events without properties of their own; nil when the map is too long for that.
    let narrow: Form?
    /// With a four-byte map header that is patched when an event adds properties.
    let wide: Form
    /// Items in the map: two per property.
    let itemCount: Int

    /// For events that are nothing but their body: `offset` and `timestamp` are left out.
    ///
    /// - Parameters:
    ///   - partitionKey: annotated on every event when given.
    ///   - reservesNumbers: leaves room for the annotations of idempotent publishing; see `PublishableBatch`.
    package init(partitionKey: String?, reservesNumbers: Bool = false) {
        let head = Self.start(partitionKey, reservesNumbers)
        wide = Form(
            bytes: Array(head.readableBytesView), offsetIndex: -1, timestampIndex: -1, sizeIndex: -1,
            numbers: head.withUnsafeReadableBytes { StampPlaces(in: $0) })
        narrow = wide
        itemCount = 0
    }

    /// What comes before the properties.
    private static func start(_ partitionKey: String?, _ reservesNumbers: Bool) -> ByteBuffer {
        var head = ByteBuffer()
        guard reservesNumbers else {
            BatchEnvelope.writeStart(partitionKey: partitionKey, into: &head)
            return head
        }
        var message = AMQPMessage()
        if let partitionKey { message.messageAnnotations[symbol: EventHubsName.partitionKey] = .string(partitionKey) }
        NumberPlaceholders.put(into: &message.messageAnnotations)
        message.encode(into: &head)
        return head
    }

    /// - Parameters:
    ///   - partitionKey: annotated on every event when given.
    ///   - properties: in the order in which a consumer sees them.
    ///   - offsetKey: the property that carries the position of the record in its source.
    ///   - timestampKey: the property that carries the record's time.
    ///   - reservesNumbers: leaves room for the annotations of idempotent publishing; see `PublishableBatch`.
    package init(
        partitionKey: String?, properties: [(key: String, value: String)], offsetKey: String = "offset",
        timestampKey: String = "timestamp", reservesNumbers: Bool = false
    ) {
        var head = Self.start(partitionKey, reservesNumbers)
        head.writeAMQP(descriptor: 0x74)
        var entries = ByteBuffer()
        for (key, value) in properties {
            entries.writeAMQP(string: key)
            entries.writeAMQP(string: value)
        }
        entries.writeAMQP(string: offsetKey)
        entries.writeInteger(0x81 as UInt8)
        let offset = entries.writerIndex
        entries.writeInteger(0 as Int64)
        entries.writeAMQP(string: timestampKey)
        entries.writeInteger(0x83 as UInt8)
        let timestamp = entries.writerIndex
        entries.writeInteger(0 as Int64)
        itemCount = (properties.count + 2) * 2

        func form(_ header: (inout ByteBuffer) -> Void) -> Form {
            var bytes = head
            header(&bytes)
            let start = bytes.writerIndex
            bytes.writeImmutableBuffer(entries)
            return Form(
                bytes: Array(bytes.readableBytesView), offsetIndex: start + offset, timestampIndex: start + timestamp,
                sizeIndex: start - 8, numbers: bytes.withUnsafeReadableBytes { StampPlaces(in: $0) })
        }
        let size = entries.readableBytes
        let count = itemCount
        narrow =
            size < 255 && count <= 255
            ? form { $0.writeMultipleIntegers(0xC1 as UInt8, UInt8(size + 1), UInt8(count)) } : nil
        wide = form { $0.writeMultipleIntegers(0xD1 as UInt8, UInt32(size + 4), UInt32(count)) }
    }
}

/// Properties that one record has beyond its template's, encoded one after the other into storage that is reused.
package struct EventProperties: Sendable {
    private(set) var bytes: [UInt8] = []
    private(set) var count = 0

    package init() {}

    /// Keeps the storage.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        count = 0
    }

    /// `value` is UTF-8, or becomes so: invalid bytes are replaced by U+FFFD.
    package mutating func append(_ key: UnsafeRawBufferPointer, string value: UnsafeRawBufferPointer) {
        appendString(key)
        appendString(value)
        count += 1
    }

    package mutating func append(_ key: UnsafeRawBufferPointer, long value: Int64) {
        appendString(key)
        bytes.append(0x81)
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
        count += 1
    }

    private mutating func appendString(_ text: UnsafeRawBufferPointer) {
        if text.contains(where: { $0 >= 0x80 }) {
            var repaired = String(decoding: text, as: UTF8.self)
            repaired.withUTF8 { appendValid(UnsafeRawBufferPointer($0)) }
        } else {
            appendValid(text)
        }
    }

    private mutating func appendValid(_ text: UnsafeRawBufferPointer) {
        if let count = UInt8(exactly: text.count) {
            bytes.append(0xA1)
            bytes.append(count)
        } else {
            bytes.append(0xB1)
            withUnsafeBytes(of: UInt32(text.count).bigEndian) { bytes.append(contentsOf: $0) }
        }
        bytes.append(contentsOf: text)
    }
}
