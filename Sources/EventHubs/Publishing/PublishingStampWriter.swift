internal import AMQP
import Glibc

/// Writes the numbers of idempotent publishing over the placeholders in a message's events.
enum PublishingStampWriter {
    /// Returns how many events were numbered; nil, and some of them may be numbered, when one has no room for it.
    static func write(_ stamp: PublishingStamp, format: UInt32, into message: UnsafeMutableRawBufferPointer) -> Int? {
        guard format == EventHubsName.batchFormat else {
            guard let layout = Layout(of: UnsafeRawBufferPointer(message)) else { return nil }
            if let start = message.baseAddress { layout.places.write(stamp, into: start) }
            return 1
        }
        var layout: Layout?
        var pattern = 0..<0
        var stamp = stamp
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
                if let start = event.baseAddress { layout?.places.write(stamp, into: start) }
                stamp.firstNumber = PublishingNumber.next(stamp.firstNumber)
                count += 1
            case .section: continue
            }
        }
    }

    /// Where an event's three values lie: the events of a batch mostly have the same annotations but for them.
    private struct Layout {
        let places: StampPlaces
        /// What is the same in every event of this layout: before, between and behind the values.
        var same: (Range<Int>, Range<Int>, Range<Int>, Range<Int>)
        var end: Int

        /// Nil: no room, or not in encodings of fixed width.
        init?(of event: UnsafeRawBufferPointer) {
            guard let found = EventAnnotations(in: event), let places = StampPlaces(found, in: event) else {
                return nil
            }
            self.places = places
            end = found.end
            var first = places.producerID..<(places.producerID + 8)
            var second = places.epoch..<(places.epoch + 2)
            var third = places.number..<(places.number + 4)
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
    }
}
