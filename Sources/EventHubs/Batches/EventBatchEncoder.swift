import Glibc
package import NIOCore

/// Builds the bytes of a batch message event by event, straight into one buffer and without allocating per event.
package struct EventBatchEncoder: Sendable {
    /// Bytes that the message may have.
    package let maximumSize: Int
    package private(set) var count = 0
    private var buffer: ByteBuffer
    private let start: ByteBuffer

    /// - Parameters:
    ///   - maximumSize: the link's maximum message size.
    ///   - partitionKey: for batches whose events all have this key and that go to the hub rather than to a partition.
    ///   - capacity: bytes to allocate at first.
    package init(maximumSize: Int, partitionKey: String? = nil, capacity: Int = 64 * 1024) {
        self.maximumSize = maximumSize
        var start = ByteBuffer()
        BatchEnvelope.writeStart(partitionKey: partitionKey, into: &start)
        self.start = start
        buffer = ByteBufferAllocator().buffer(capacity: min(capacity, maximumSize))
        buffer.writeImmutableBuffer(start)
    }

    /// Bytes of the message as it stands; exact.
    package var size: Int { buffer.readableBytes }

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
        guard size <= maximumSize - buffer.readableBytes else { return false }
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

    /// The message's bytes; the encoder starts anew, in `storage` when a buffer is given back for reuse.
    package mutating func finish(storage: ByteBuffer? = nil) -> ByteBuffer {
        let message = buffer
        count = 0
        if let storage {
            buffer = storage
            buffer.clear()
        } else {
            // The next batch is likely to be as long as this one.
            buffer = ByteBufferAllocator().buffer(capacity: message.readableBytes)
        }
        buffer.writeImmutableBuffer(start)
        return message
    }
}
