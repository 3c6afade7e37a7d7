import Synchronization

/// Which numbers the next events of one partition will probably get, for who encodes them: written while an event's bytes are
/// in the processor's cache they cost next to nothing, written into a message before it is sent a twelfth of what sending it
/// costs. It comes true as long as batches are published once, one after the other; the publisher has the last word, and writes
/// its own numbers over those that do not fit.
package final class PublishingForecast: Sendable {
    /// A stamp, and how many events were encoded before the batch that got it.
    private let known = Mutex<(stamp: PublishingStamp, position: Int)?>(nil)

    package init() {}

    /// For the batch that begins after `position` events; nil: none was published yet.
    package func stamp(at position: Int) -> PublishingStamp? {
        known.withLock { known in
            guard let known, position >= known.position else { return nil }
            var stamp = known.stamp
            stamp.firstNumber = PublishingNumber.advanced(stamp.firstNumber, by: position - known.position)
            return stamp
        }
    }

    func note(_ stamp: PublishingStamp, at position: Int) { known.withLock { $0 = (stamp, position) } }
}
