internal import AMQP
internal import CTailrace
import Glibc
package import NIOCore

/// Events that go to the service as one message, all or none.
public struct EventDataBatch: Sendable {
    /// Bytes that the message may have.
    public let maximumSizeInBytes: Int
    /// The partition that the batch must go to.
    public let partitionID: String?
    /// The key that all its events share; the service picks their partition by it.
    public let partitionKey: String?
    /// The events in it, as they were given.
    public private(set) var events: [EventData] = []
    /// The message's bytes so far.
    package private(set) var payload: ByteBuffer
    /// Its events have room for the annotations of idempotent publishing.
    package let reservesNumbers: Bool

    /// - Parameter storage: an empty buffer.
    package init(
        maximumSizeInBytes: Int, partitionID: String? = nil, partitionKey: String? = nil, reservesNumbers: Bool = false,
        storage: ByteBuffer = ByteBuffer()
    ) {
        self.maximumSizeInBytes = maximumSizeInBytes
        self.partitionID = partitionID
        self.partitionKey = partitionKey
        self.reservesNumbers = reservesNumbers
        payload = storage
        BatchEnvelope.writeStart(partitionKey: partitionKey, into: &payload)
    }

    /// How many events are in it.
    public var count: Int { events.count }

    /// Bytes of the message as it stands; exact, with the envelope's own (protocol notes, section 6.5).
    public var sizeInBytes: Int { payload.readableBytes }

    /// Adds `event` if it fits. With a batch of a partition key, the event goes out with that key.
    ///
    /// - Returns: false when the batch would become larger than `maximumSizeInBytes`; it is then unchanged.
    /// - Throws: `EventHubsError` with code `invalidArgument` when the event carries another partition key.
    public mutating func tryAdd(_ event: EventData) throws(EventHubsError) -> Bool {
        if let partitionKey { try event.checkKey(partitionKey) }
        guard
            BatchEnvelope.append(
                event, to: &payload, limit: maximumSizeInBytes, partitionKey: partitionKey,
                reservesNumbers: reservesNumbers)
        else { return false }
        events.append(event)
        return true
    }
}

extension EventData {
    /// An event goes out under one key: its own must not differ from the one that it is sent with.
    func checkKey(_ partitionKey: String) throws(EventHubsError) {
        if let own = self.partitionKey, own != partitionKey {
            throw EventHubsError(
                .invalidArgument,
                "the event's partition key differs from the one that it is sent with; remove its own, or send it apart")
        }
    }
}

/// The message around the events of a batch.
package enum BatchEnvelope {
    /// Bytes that an event of `size` bytes needs beyond its own: `00 53 75 a0 n` or `00 53 75 b0 nnnn`.
    package static func overhead(of size: Int) -> Int { size < 256 ? 5 : 8 }

    /// What comes before the first event: the partition key as an annotation, if there is one. The durable header that
    /// the Python client adds is not needed.
    package static func writeStart(partitionKey: String?, into buffer: inout ByteBuffer) {
        guard let partitionKey else { return }
        var message = AMQPMessage()
        message.messageAnnotations[symbol: EventHubsName.partitionKey] = .string(partitionKey)
        message.encode(into: &buffer)
    }

    /// Appends `event` as a data section, encoded in place.
    ///
    /// - Returns: false when the message would have more than `limit` bytes; its bytes are then as before.
    package static func append(
        _ event: EventData, to buffer: inout ByteBuffer, limit: Int, partitionKey: String? = nil,
        reservesNumbers: Bool = false
    ) -> Bool {
        if event.isPlain, partitionKey == nil, !reservesNumbers {
            return append(plain: event.data, to: &buffer, limit: limit)
        }
        // The longest part alone does not fit: not worth encoding.
        guard event.data.readableBytes <= limit - buffer.readableBytes else { return false }
        let start = buffer.writerIndex
        // The long form first; an event that turns out to be short moves by three bytes.
        buffer.writeInteger(UInt64(0x0053_75B0_0000_0000))
        event.encode(into: &buffer, partitionKey: partitionKey, reservesNumbers: reservesNumbers)
        let size = buffer.writerIndex - start - 8
        if size < 256 {
            do { try buffer.copyBytes(at: start + 8, to: start + 5, length: size) } catch {
                preconditionFailure("the bytes were written just now: \(error)")
            }
            buffer.setInteger(0xA0 as UInt8, at: start + 3)
            buffer.setInteger(UInt8(size), at: start + 4)
            buffer.moveWriterIndex(to: start + 5 + size)
        } else {
            buffer.setInteger(UInt32(size), at: start + 4)
        }
        guard buffer.readableBytes <= limit else {
            buffer.moveWriterIndex(to: start)
            return false
        }
        return true
    }

    /// The same for an event that is nothing but its body, as most are: its size is known, so it is written in one go.
    private static func append(plain body: ByteBuffer, to buffer: inout ByteBuffer, limit: Int) -> Bool {
        let length = body.readableBytes
        let event = overhead(of: length) + length
        let size = overhead(of: event) + event
        guard size <= limit - buffer.readableBytes else { return false }
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { target in
            let start = target.baseAddress.unsafelyUnwrapped
            let to = writeDataHeader(length, writeDataHeader(event, start))
            body.withUnsafeReadableBytes { bytes in
                if let from = bytes.baseAddress { memcpy(to, from, length) }
            }
            // Where the next event is likely to lie. Batches grow by turns, in memory that no cache holds: the next atomic
            // instruction would wait until that event's bytes have got there.
            if fetchedAhead.contains(size) { tailrace_will_write(start + size, min(size, target.count - size)) }
            return size
        }
        return true
    }

    /// Bytes of events that are worth it: a shorter one is there soon enough, a longer one is more than a processor fetches
    /// at once.
    private static var fetchedAhead: ClosedRange<Int> { 512...4096 }

    /// Descriptor, constructor and length of a data section. Returns the place after them.
    @inline(__always)
    static func writeDataHeader(_ length: Int, _ to: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
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
}
