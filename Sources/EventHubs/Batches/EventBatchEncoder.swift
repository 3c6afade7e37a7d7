import Glibc
package import NIOCore

/// Builds the bytes of a batch message event by event, straight into one buffer and without allocating per event.
package struct EventBatchEncoder: Sendable {
    /// Bytes that the message may have.
    package let maximumSize: Int
    package private(set) var count = 0
    /// Without storage of its own until the first event comes: most lanes are idle at most times.
    private var buffer = ByteBuffer()
    private var spare: ByteBuffer?
    private var capacity: Int
    private let start: ByteBuffer

    /// - Parameters:
    ///   - maximumSize: the link's maximum message size.
    ///   - partitionKey: for batches whose events all have this key and that go to the hub rather than to a partition.
    ///   - capacity: bytes to allocate for the first batch; later ones start with the size of the one before.
    package init(maximumSize: Int, partitionKey: String? = nil, capacity: Int = 64 * 1024) {
        self.maximumSize = maximumSize
        self.capacity = capacity
        var start = ByteBuffer()
        BatchEnvelope.writeStart(partitionKey: partitionKey, into: &start)
        self.start = start
    }

    /// Bytes of the message as it stands; exact. Without events: those of the envelope alone.
    package var size: Int { count == 0 ? start.readableBytes : buffer.readableBytes }

    /// The longest body that an event of this template can have in a batch of its own; negative: not even an empty one.
    package func largestBody(_ template: EventTemplate, properties: borrowing EventProperties) -> Int {
        let head = template.wide.bytes.count + properties.bytes.count
        let room = maximumSize - start.readableBytes - head
        // Both lengths in their long form; a batch so small that the short one would do is of no interest.
        return room - 16
    }

    /// Adds one event; false, and nothing changed, when it would not fit.
    ///
    /// - Parameters:
    ///   - body: the record's bytes, unchanged.
    ///   - offset: the record's position in its source.
    ///   - timestamp: milliseconds since 1970.
    package mutating func append(
        _ template: EventTemplate, body: UnsafeRawBufferPointer, offset: Int64, timestamp: Int64
    ) -> Bool {
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        return append(template.narrow ?? template.wide, body, offset, timestamp, extra: nothing, itemCount: 0)
    }

    /// `properties`: what this record has beyond its source's template.
    package mutating func append(
        _ template: EventTemplate, body: UnsafeRawBufferPointer, offset: Int64, timestamp: Int64,
        properties: borrowing EventProperties
    ) -> Bool {
        let itemCount = template.itemCount + properties.count * 2
        return properties.bytes.withUnsafeBytes {
            append(template.wide, body, offset, timestamp, extra: $0, itemCount: itemCount)
        }
    }

    /// `itemCount`: of the property map when `extra` lengthens it; 0: the map stays as the template has it.
    @inline(__always)
    private mutating func append(
        _ form: EventTemplate.Form, _ body: UnsafeRawBufferPointer, _ offset: Int64, _ timestamp: Int64,
        extra: UnsafeRawBufferPointer, itemCount: Int
    ) -> Bool {
        let head = form.bytes.count + extra.count
        let event = head + BatchEnvelope.overhead(of: body.count) + body.count
        let size = event + BatchEnvelope.overhead(of: event)
        guard size <= maximumSize - self.size else { return false }
        if count == 0 { begin(size) }
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { target in
            // Everything below writes `size` bytes in all, which the buffer has.
            var to = target.baseAddress.unsafelyUnwrapped
            to = Self.writeDataHeader(event, to)
            _ = form.bytes.withUnsafeBytes { memcpy(to, $0.baseAddress.unsafelyUnwrapped, $0.count) }
            to.storeBytes(of: offset.bigEndian, toByteOffset: form.offsetIndex, as: Int64.self)
            to.storeBytes(of: timestamp.bigEndian, toByteOffset: form.timestampIndex, as: Int64.self)
            if itemCount > 0 {
                let mapSize = UInt32(head - form.sizeIndex - 4)
                to.storeBytes(of: mapSize.bigEndian, toByteOffset: form.sizeIndex, as: UInt32.self)
                to.storeBytes(of: UInt32(itemCount).bigEndian, toByteOffset: form.sizeIndex + 4, as: UInt32.self)
            }
            to += form.bytes.count
            if let from = extra.baseAddress {
                memcpy(to, from, extra.count)
                to += extra.count
            }
            to = Self.writeDataHeader(body.count, to)
            if let from = body.baseAddress { memcpy(to, from, body.count) }
            return size
        }
        count += 1
        return true
    }

    /// Descriptor, constructor and length of a data section.
    @inline(__always)
    private static func writeDataHeader(_ length: Int, _ to: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        to.storeBytes(of: UInt32(0x0053_7500).bigEndian, as: UInt32.self)
        if length < 256 {
            to.storeBytes(of: 0xA0, toByteOffset: 3, as: UInt8.self)
            to.storeBytes(of: UInt8(truncatingIfNeeded: length), toByteOffset: 4, as: UInt8.self)
            return to + 5
        }
        to.storeBytes(of: 0xB0, toByteOffset: 3, as: UInt8.self)
        to.storeBytes(of: UInt32(truncatingIfNeeded: length).bigEndian, toByteOffset: 4, as: UInt32.self)
        return to + 8
    }

    private mutating func begin(_ first: Int) {
        if let spare {
            buffer = spare
            self.spare = nil
            buffer.clear()
        }
        buffer.reserveCapacity(min(max(capacity, first + start.readableBytes), maximumSize))
        buffer.writeImmutableBuffer(start)
    }

    /// The message's bytes; the encoder is then empty.
    package mutating func finish() -> ByteBuffer {
        guard count > 0 else { return start }
        let message = buffer
        buffer = ByteBuffer()
        // The next batch is likely to be as long as this one.
        capacity = message.readableBytes
        count = 0
        return message
    }

    /// Forgets the events since the last `finish`.
    package mutating func removeAll() {
        if count > 0 { spare = buffer }
        buffer = ByteBuffer()
        count = 0
    }

    /// Takes the storage of a message that nobody needs any more, for the next batch.
    package mutating func reuse(_ message: ByteBuffer) {
        if spare == nil { spare = message }
    }
}
