package import NIOCore

/// The payload of one batch while it grows: each message is the length of its metadata, the metadata, and its own payload.
package struct BatchPayload: Sendable {
    package private(set) var bytes: ByteBuffer
    package private(set) var count = 0
    /// The ids of the first message and of the last; for nothing while `count` is 0.
    package private(set) var firstID: UInt64 = 0
    package private(set) var lastID: UInt64 = 0

    /// - Parameter bytes: memory to be used again; what it holds is thrown away.
    package init(reusing bytes: ByteBuffer = ByteBuffer()) {
        self.bytes = bytes
        self.bytes.clear()
    }

    package mutating func reserveCapacity(_ capacity: Int) { bytes.reserveCapacity(capacity) }

    /// - Parameter id: above that of the message before.
    mutating func append(_ message: PulsarMessage, id: UInt64) {
        let size = message.size
        append(id, bound: Self.bound(message)) { sink in
            for (name, value) in message.properties { sink.property(name, value) }
            sink.field(2, message.routingKey)
            sink.field(3, UInt64(size))
            sink.field(5, message.eventTime)
            if let key = message.sharingKey {
                sink.head(7, length: key.utf8.count)
                sink.text(key)
            }
            sink.field(8, id)
            if message.isNull { sink.field(9, true) }
        } payload: { sink in
            switch message.content {
            case .bytes(let bytes): sink.bytes(bytes)
            case .buffer(let buffer): buffer.withUnsafeReadableBytes { sink.raw($0) }
            case .text(let text): sink.text(text)
            case .null: break
            }
        }
    }

    /// Adds a message whose metadata was prepared.
    ///
    /// - Parameters:
    ///   - id: above that of the message before; nil for all of them: `number(from:)` tells when it is known.
    ///   - properties: adds what only this message has, at most `propertyBytes` in the sum of `PropertyWriter.bound`.
    package mutating func append(
        _ template: MessageTemplate, id: UInt64?, eventTime: UInt64? = nil, body: UnsafeRawBufferPointer,
        propertyBytes: Int = 0, properties: (inout PropertyWriter) -> Void = { _ in }
    ) {
        append(id, bound: template.bound(body: body.count, propertyBytes: propertyBytes)) { sink in
            template.fields.withUnsafeBytes { sink.raw($0) }
            var writer = PropertyWriter(sink)
            properties(&writer)
            sink = writer.sink
            sink.field(3, UInt64(body.count))
            sink.field(5, eventTime)
            sink.field(8, id)
        } payload: { sink in
            sink.raw(body)
        }
    }

    private mutating func append(
        _ id: UInt64?, bound: Int, metadata: (inout UnsafeProtobufSink) -> Void,
        payload: (inout UnsafeProtobufSink) -> Void
    ) {
        let id = id ?? (count == 0 ? 0 : lastID + 1)
        precondition(count == 0 || id > lastID)
        bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { memory in
            // There is room: `bound` is never 0.
            guard let start = memory.baseAddress else { return 0 }
            var sink = UnsafeProtobufSink(start + 4)
            metadata(&sink)
            let length = UInt32(sink.cursor - start - 4)
            start.storeBytes(of: length.bigEndian, as: UInt32.self)
            payload(&sink)
            let written = sink.cursor - start
            precondition(written <= bound)
            return written
        }
        if count == 0 { firstID = id }
        lastID = id
        count += 1
    }

    /// Gives consecutive ids to the messages, which were added without. Brokers see those of the batch alone.
    package mutating func number(from first: UInt64) {
        precondition(count > 0)
        (firstID, lastID) = (first, first + UInt64(count) - 1)
    }

    /// More than the length, and the fields of fixed number: four varints and their tags.
    fileprivate static let fixedBound = 64

    /// More than a message takes in a batch.
    static func bound(_ message: PulsarMessage) -> Int {
        var bound = fixedBound + message.size
        if let key = message.partitionKey { bound += key.utf8.count + 12 }
        if let key = message.orderingKey { bound += key.utf8.count + 12 }
        for (name, value) in message.properties { bound += PropertyWriter.bound(name.utf8.count, value.utf8.count) }
        return bound
    }
}

/// What many messages of a batch have in common, encoded once.
package struct MessageTemplate: Sendable {
    fileprivate let fields: [UInt8]

    /// - Parameter partitionKey: empty is as good as nil.
    package init(properties: [(name: String, value: String)], partitionKey: String?) {
        var buffer = ByteBuffer()
        for (name, value) in properties {
            buffer.head(1, length: PropertyWriter.length(name.utf8.count, value.utf8.count))
            buffer.field(1, name)
            buffer.field(2, value)
        }
        if let partitionKey, !partitionKey.isEmpty { buffer.field(2, partitionKey) }
        fields = Array(buffer.readableBytesView)
    }

    /// More than a message with this metadata takes in a batch.
    package func bound(body: Int, propertyBytes: Int) -> Int {
        BatchPayload.fixedBound + fields.count + body + propertyBytes
    }
}

/// Adds the properties of one message while it is written.
package struct PropertyWriter: ~Copyable {
    fileprivate var sink: UnsafeProtobufSink

    fileprivate init(_ sink: UnsafeProtobufSink) { self.sink = sink }

    /// UTF-8 of name and value.
    package mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        sink.head(1, length: Self.length(name.count, value.count))
        sink.head(1, length: name.count)
        sink.raw(name)
        sink.head(2, length: value.count)
        sink.raw(value)
    }

    static func length(_ name: Int, _ value: Int) -> Int {
        2 + ProtobufLength.varint(UInt64(name)) + name + ProtobufLength.varint(UInt64(value)) + value
    }

    /// More than one property takes, with name and value of these many bytes.
    package static func bound(_ name: Int, _ value: Int) -> Int { name + value + 32 }
}

extension UnsafeProtobufSink {
    mutating func property(_ name: String, _ value: String) {
        head(1, length: PropertyWriter.length(name.utf8.count, value.utf8.count))
        field(1, name)
        field(2, value)
    }
}
