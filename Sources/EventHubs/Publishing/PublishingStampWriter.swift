internal import AMQP
import Glibc

/// Writes the numbers of idempotent publishing over the placeholders in a message's events.
enum PublishingStampWriter {
    /// Returns how many events were numbered; nil, and some of them may be numbered, when one has no room for it.
    static func write(_ stamp: PublishingStamp, format: UInt32, into message: UnsafeMutableRawBufferPointer) -> Int? {
        guard format == EventHubsName.batchFormat else {
            guard let layout = Layout(of: UnsafeRawBufferPointer(message)) else { return nil }
            layout.write(stamp, stamp.firstNumber, into: message)
            return 1
        }
        var layout: Layout?
        var pattern = 0..<0
        var number = stamp.firstNumber
        var count = 0
        var scanner = SectionScanner(UnsafeRawBufferPointer(message))
        while true {
            switch scanner.next() {
            case .end: return count
            case .unusual: return nil
            case .section(.data, _, let range):
                let event = UnsafeMutableRawBufferPointer(rebasing: message[range])
                if layout?.matches(
                    UnsafeRawBufferPointer(event), like: UnsafeRawBufferPointer(rebasing: message[pattern])) != true
                {
                    guard let own = Layout(of: UnsafeRawBufferPointer(event)) else { return nil }
                    layout = own
                    pattern = range
                }
                layout?.write(stamp, number, into: event)
                number = PublishingNumber.next(number)
                count += 1
            case .section: continue
            }
        }
    }

    /// Where an event's three values lie: the events of a batch mostly have the same annotations but for them.
    private struct Layout {
        /// Of the eight, two and four bytes.
        var producerID: Int
        var epoch: Int
        var number: Int
        /// What is the same in every event of this layout: before, between and behind the values.
        var same: (Range<Int>, Range<Int>, Range<Int>, Range<Int>)
        var end: Int

        /// Nil: no room, or not in encodings of fixed width.
        init?(of event: UnsafeRawBufferPointer) {
            guard let found = EventAnnotations(in: event), let id = found.producerID, let epoch = found.epoch,
                let number = found.number, event[id] == EventAnnotations.longCode,
                event[epoch] == EventAnnotations.shortCode, event[number] == EventAnnotations.intCode
            else { return nil }
            producerID = id + 1
            self.epoch = epoch + 1
            self.number = number + 1
            end = found.end
            var first = producerID..<(producerID + 8)
            var second = self.epoch..<(self.epoch + 2)
            var third = self.number..<(self.number + 4)
            if second.lowerBound < first.lowerBound { swap(&first, &second) }
            if third.lowerBound < second.lowerBound { swap(&second, &third) }
            if second.lowerBound < first.lowerBound { swap(&first, &second) }
            same = (
                0..<first.lowerBound, first.upperBound..<second.lowerBound, second.upperBound..<third.lowerBound,
                third.upperBound..<end
            )
        }

        @inline(__always)
        func matches(_ event: UnsafeRawBufferPointer, like pattern: UnsafeRawBufferPointer) -> Bool {
            guard event.count >= end, let a = event.baseAddress, let b = pattern.baseAddress else { return false }
            func isSame(_ range: Range<Int>) -> Bool {
                memcmp(a + range.lowerBound, b + range.lowerBound, range.count) == 0
            }
            return isSame(same.0) && isSame(same.1) && isSame(same.2) && isSame(same.3)
        }

        @inline(__always)
        func write(_ stamp: PublishingStamp, _ value: Int32, into event: UnsafeMutableRawBufferPointer) {
            event.storeBytes(of: stamp.producerGroupID.bigEndian, toByteOffset: producerID, as: Int64.self)
            event.storeBytes(of: stamp.ownerLevel.bigEndian, toByteOffset: epoch, as: Int16.self)
            event.storeBytes(of: value.bigEndian, toByteOffset: number, as: Int32.self)
        }
    }
}
