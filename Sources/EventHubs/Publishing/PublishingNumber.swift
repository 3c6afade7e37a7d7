/// Arithmetic of idempotent publishing's sequence numbers: a ring of 0 to 2147483647, and -1 before the first.
package enum PublishingNumber {
    /// Before the first number: nothing was published.
    package static let none: Int32 = -1
    /// Numbers in the ring.
    private static let size: Int64 = 1 << 31

    /// The number after `number`; 0 after -1 and after 2147483647.
    package static func next(_ number: Int32) -> Int32 { advanced(number, by: 1) }

    /// The number `count` steps after `number`. `count` is not negative.
    package static func advanced(_ number: Int32, by count: Int) -> Int32 {
        guard count > 0 else { return number }
        return Int32(truncatingIfNeeded: (Int64(number) + Int64(count)) % size)
    }

    /// Steps from `from` forwards to `to`: 0 when they are the same.
    package static func distance(from: Int32, to: Int32) -> Int {
        let steps = (Int64(to) - Int64(from)) % size
        return Int(steps < 0 ? steps + size : steps)
    }

    /// Whether `number` is `last` or came before it: at most half of the ring lies between. Nothing comes before -1.
    package static func isAtOrBefore(_ number: Int32, _ last: Int32) -> Bool {
        guard last >= 0 else { return number == last }
        return distance(from: number, to: last) < Int(size / 2)
    }
}
