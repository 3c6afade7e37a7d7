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
    private var numbers = Numbers()

    /// What stands in the events where idempotent publishing has its numbers.
    private struct Numbers {
        /// Of the first event.
        var first: PublishingStamp?
        /// Of the next; nil: placeholders.
        var next: PublishingStamp?

        /// Into the event that begins at `event`. One without room makes the batch one without numbers.
        @inline(__always)
        mutating func write(_ places: StampPlaces?, _ event: UnsafeMutableRawPointer) {
            guard let stamp = next else { return }
            guard let places else { return next = nil }
            places.write(stamp, into: event)
            next?.firstNumber = PublishingNumber.next(stamp.firstNumber)
        }
    }

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

    /// Has the events of the next batch numbered, from those of `stamp` on; nil: not. For an empty encoder.
    package mutating func number(from stamp: PublishingStamp?) {
        precondition(count == 0)
        numbers = Numbers(first: stamp, next: stamp)
    }

    /// What all events of the batch are numbered by; nil: not all of them are.
    package var stamp: PublishingStamp? { numbers.next == nil ? nil : numbers.first }

    /// Bytes of the message as it stands; exact. Without events: those of the envelope alone.
    package var size: Int { count == 0 ? start.readableBytes : buffer.readableBytes }

    /// The longest body that an event of this template can have in a batch of its own; negative: not even an empty one.
    package func largestBody(_ template: EventTemplate, properties: borrowing EventProperties) -> Int {
        let head = template.wide.bytes.count + properties.bytes.count
        let room = maximumSize - start.readableBytes - head
        // Both lengths in their long form; a batch so small that the short one would do is of no interest.
        return room - 16
    }

    /// An event as it goes into a batch.
    package struct Event {
        /// The record's bytes, unchanged.
        package var body: UnsafeRawBufferPointer
        /// The record's position in its source.
        package var offset: Int64
        /// Milliseconds since 1970.
        package var timestamp: Int64

        @inlinable
        package init(body: UnsafeRawBufferPointer, offset: Int64, timestamp: Int64) {
            self.body = body
            self.offset = offset
            self.timestamp = timestamp
        }
    }

    /// Adds one event; false, and nothing changed, when it would not fit.
    package mutating func append(
        _ template: EventTemplate, body: UnsafeRawBufferPointer, offset: Int64, timestamp: Int64
    ) -> Bool {
        withUnsafePointer(to: Event(body: body, offset: offset, timestamp: timestamp)) {
            append(template, UnsafeBufferPointer(start: $0, count: 1)) == 1
        }
    }

    /// Adds events of one template until one does not fit, and returns how many.
    ///
    /// - Parameter event: the event with this index, asked for in order. It becomes a part of the caller's code, as all of
    ///   this: calls from module to module are made for a row of events, not for each.
    @inlinable
    package mutating func append(_ template: EventTemplate, upTo limit: Int, _ event: (_ index: Int) -> Event) -> Int {
        withUnsafeTemporaryAllocation(of: Event.self, capacity: Self.row) { row in
            var done = 0
            while done < limit {
                let length = min(limit - done, Self.row)
                for index in 0..<length { row.initializeElement(at: index, to: event(done + index)) }
                let taken = append(template, UnsafeBufferPointer(rebasing: row[..<length]))
                done += taken
                if taken < length { break }
            }
            return done
        }
    }

    /// Events that are laid out before they are written.
    @inlinable
    package static var row: Int { 64 }

    /// The same for a row of them. What is done once per call and not per event: finding the template's form, and making sure
    /// that the buffer is nobody else's.
    package mutating func append(_ template: EventTemplate, _ events: UnsafeBufferPointer<Event>) -> Int {
        let form = template.narrow ?? template.wide
        return form.bytes.withUnsafeBytes { head in
            var done = 0
            while done < events.count {
                let needed = Self.size(head.count, events[done].body.count)
                guard needed <= maximumSize - size else { break }
                if count == 0 { begin(needed) }
                let room = maximumSize - size
                let before = done
                var numbers = self.numbers
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: needed) { target in
                    let start = target.baseAddress.unsafelyUnwrapped
                    var to = start
                    var left = min(room, target.count)
                    while done < events.count {
                        let event = events[done]
                        let size = Self.size(head.count, event.body.count)
                        guard size <= left else { break }
                        to = Self.write(event, head, form, Self.nothing, 0, &numbers, to)
                        left -= size
                        done += 1
                    }
                    return to - start
                }
                self.numbers = numbers
                count += done - before
            }
            return done
        }
    }

    private static var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    /// `properties`: what this record has beyond its source's template.
    package mutating func append(
        _ template: EventTemplate, body: UnsafeRawBufferPointer, offset: Int64, timestamp: Int64,
        properties: borrowing EventProperties
    ) -> Bool {
        precondition(template.itemCount > 0, "a template without properties takes no more of them")
        let itemCount = template.itemCount + properties.count * 2
        let event = Event(body: body, offset: offset, timestamp: timestamp)
        let form = template.wide
        return properties.bytes.withUnsafeBytes { extra in
            form.bytes.withUnsafeBytes { head in
                let needed = Self.size(head.count + extra.count, body.count)
                guard needed <= maximumSize - size else { return false }
                if count == 0 { begin(needed) }
                var numbers = self.numbers
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: needed) { target in
                    let start = target.baseAddress.unsafelyUnwrapped
                    _ = Self.write(event, head, form, extra, itemCount, &numbers, start)
                    return needed
                }
                self.numbers = numbers
                count += 1
                return true
            }
        }
    }

    /// Bytes of an event in a batch: two data sections around `head` bytes of sections and the body.
    @inline(__always)
    private static func size(_ head: Int, _ body: Int) -> Int {
        let event = head + BatchEnvelope.overhead(of: body) + body
        return event + BatchEnvelope.overhead(of: event)
    }

    /// Writes `size` bytes, which the caller has made room for, and returns the place after them.
    ///
    /// `itemCount`: of the property map when `extra` lengthens it; 0: the map stays as the template has it.
    @inline(__always)
    private static func write(
        _ event: Event, _ head: UnsafeRawBufferPointer, _ form: EventTemplate.Form, _ extra: UnsafeRawBufferPointer,
        _ itemCount: Int, _ numbers: inout Numbers, _ start: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        let body = event.body
        let length = head.count + extra.count + BatchEnvelope.overhead(of: body.count) + body.count
        var to = BatchEnvelope.writeDataHeader(length, start)
        if let from = head.baseAddress { memcpy(to, from, head.count) }
        numbers.write(form.numbers, to)
        if form.offsetIndex >= 0 {
            to.storeBytes(of: event.offset.bigEndian, toByteOffset: form.offsetIndex, as: Int64.self)
            to.storeBytes(of: event.timestamp.bigEndian, toByteOffset: form.timestampIndex, as: Int64.self)
        }
        if itemCount > 0 {
            let mapSize = UInt32(head.count + extra.count - form.sizeIndex - 4)
            to.storeBytes(of: mapSize.bigEndian, toByteOffset: form.sizeIndex, as: UInt32.self)
            to.storeBytes(of: UInt32(itemCount).bigEndian, toByteOffset: form.sizeIndex + 4, as: UInt32.self)
        }
        to += head.count
        if let from = extra.baseAddress {
            memcpy(to, from, extra.count)
            to += extra.count
        }
        to = BatchEnvelope.writeDataHeader(body.count, to)
        if let from = body.baseAddress { memcpy(to, from, body.count) }
        return to + body.count
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
        numbers = Numbers()
        return message
    }

    /// Forgets the events since the last `finish`.
    package mutating func removeAll() {
        if count > 0 { spare = buffer }
        buffer = ByteBuffer()
        count = 0
        numbers = Numbers()
    }

    /// Takes the storage of a message that nobody needs any more, for the next batch.
    package mutating func reuse(_ message: ByteBuffer) {
        if spare == nil { spare = message }
    }
}
