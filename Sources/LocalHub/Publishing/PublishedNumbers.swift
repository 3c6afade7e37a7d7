internal import AMQP
import EventHubs
import Glibc
internal import NIOCore
internal import TailraceSpool

/// Who published a message's events, and under which numbers: read from the annotations that each of them carries.
struct PublishedNumbers: Equatable {
    var producerID: Int64
    var epoch: Int16
    var first: Int32
    var last: Int32

    /// - Throws: what the service says to a message whose events do not follow each other, or are not one producer's.
    init(_ batch: RecordBatch) throws(AMQPError) {
        guard batch.recordCount > 0 else {
            throw AMQPError("com.microsoft:argument-error", "a message of an idempotent producer has no events")
        }
        let (head, layout) = try Self.read(batch.body(0))
        self = head
        var template = layout.map { (batch.body(0), $0) }
        for index in 1..<max(1, batch.recordCount) {
            let event = batch.body(index)
            let number: Int32
            if let (pattern, layout) = template, let same = layout.number(in: event, like: pattern) {
                number = same
            } else {
                let (other, layout) = try Self.read(event)
                guard other.producerID == producerID, other.epoch == epoch else {
                    throw AMQPError(
                        "com.microsoft:argument-error", "a message carries events of more than one producer")
                }
                number = other.first
                template = layout.map { (event, $0) }
            }
            guard number == PublishingNumber.next(last) else {
                throw AMQPError(
                    Self.outOfOrder, "event \(index) has the sequence number \(number) and follows \(last)")
            }
            last = number
        }
    }

    static let outOfOrder = "com.microsoft:out-of-order-sequence"

    init(producerID: Int64, epoch: Int16, first: Int32, last: Int32) {
        self.producerID = producerID
        self.epoch = epoch
        self.first = first
        self.last = last
    }

    private init(producerID: Int64, epoch: Int16, number: Int32) {
        self.producerID = producerID
        self.epoch = epoch
        first = number
        last = number
    }

    /// Where the number lies in an event: most events of a message have the same annotations but for it.
    private struct Layout {
        /// Of the four bytes.
        var number: Int
        var end: Int

        /// Nil: the events differ in more than the number.
        func number(in event: UnsafeRawBufferPointer, like pattern: UnsafeRawBufferPointer) -> Int32? {
            guard event.count >= end, let a = event.baseAddress, let b = pattern.baseAddress,
                memcmp(a, b, number) == 0, memcmp(a + number + 4, b + number + 4, end - number - 4) == 0
            else { return nil }
            let value = Int32(bigEndian: event.loadUnaligned(fromByteOffset: number, as: Int32.self))
            return value >= 0 ? value : nil
        }
    }

    private static func read(_ event: UnsafeRawBufferPointer) throws(AMQPError) -> (PublishedNumbers, Layout?) {
        if let found = EventAnnotations(in: event), let id = found.producerID, let epoch = found.epoch,
            let number = found.number, event[id] == EventAnnotations.longCode,
            event[epoch] == EventAnnotations.shortCode, event[number] == EventAnnotations.intCode
        {
            let numbers = PublishedNumbers(
                producerID: Int64(bigEndian: event.loadUnaligned(fromByteOffset: id + 1, as: Int64.self)),
                epoch: Int16(bigEndian: event.loadUnaligned(fromByteOffset: epoch + 1, as: Int16.self)),
                number: Int32(bigEndian: event.loadUnaligned(fromByteOffset: number + 1, as: Int32.self)))
            if numbers.first >= 0 { return (numbers, Layout(number: number + 1, end: found.end)) }
        }
        // Short encodings, and forms that are allowed but unusual.
        guard let message = try? AMQPMessage(decoding: ByteBuffer(bytes: event)),
            case .long(let id)? = message.messageAnnotations[symbol: EventHubsName.producerID],
            case .short(let epoch)? = message.messageAnnotations[symbol: EventHubsName.producerEpoch],
            case .int(let number)? = message.messageAnnotations[symbol: EventHubsName.producerSequenceNumber],
            number >= 0
        else {
            throw AMQPError(
                "com.microsoft:argument-error",
                "an event of an idempotent producer lacks producer-id (long), producer-epoch (short) or"
                    + " producer-sequence-number (int, not negative)")
        }
        return (PublishedNumbers(producerID: id, epoch: epoch, number: number), nil)
    }
}
