/// Cuts a stream into messages: by a count before each (`57 <34>1 …`) or by a newline behind each, which may change from
/// one message to the next: a digit begins a count, anything else a message that ends in a newline or NUL.
///
/// A value without IO: bytes in, messages out.
struct StreamFramer {
    enum Problem: Equatable {
        /// A count above `maximumCount`.
        case count
    }

    /// One message, whole or cut.
    struct Message {
        var bytes: UnsafeRawBufferPointer
        /// Bytes that it had, at least.
        var originalLength: Int
        var isUnterminated = false
    }

    /// No count is larger: it is nonsense then.
    static let maximumCount = 16 << 20
    private static let maximumDigits = 8

    private enum State: Equatable {
        case between
        case count(value: Int, digits: Int)
        /// Bytes still to come.
        case counted(left: Int, total: Int)
        case line(total: Int)
    }

    /// Bytes of a message that are kept.
    private let limit: Int
    private var state = State.between
    /// The beginning of a message whose end has not come.
    private var held: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    /// Calls `body` for each message that ends in `bytes`, until it says that it has no room for one: that one will come
    /// again. Returns how many bytes are done with, and what makes the stream unreadable.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer, _ body: (Message) -> Bool
    ) -> (used: Int, problem: Problem?) {
        var at = 0
        while at < bytes.count {
            switch state {
            case .between:
                switch bytes[at] {
                // What some senders put behind a counted message.
                case UInt8(ascii: "\n"), UInt8(ascii: "\r"), 0: at += 1
                case UInt8(ascii: "1")...UInt8(ascii: "9"): state = .count(value: 0, digits: 0)
                default: state = .line(total: 0)
                }
            case .count(let value, let digits):
                let byte = bytes[at]
                if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9"), digits <= Self.maximumDigits {
                    held.append(byte)
                    state = .count(value: value * 10 + Int(byte - UInt8(ascii: "0")), digits: digits + 1)
                    at += 1
                } else if byte == .space {
                    guard value <= Self.maximumCount else { return (at, .count) }
                    held.removeAll(keepingCapacity: true)
                    state = .counted(left: value, total: value)
                    at += 1
                } else {
                    guard digits <= Self.maximumDigits else { return (at, .count) }
                    // A line that begins with a number.
                    state = .line(total: digits)
                }
            case .counted(let left, let total):
                let here = min(left, bytes.count - at)
                let part = UnsafeRawBufferPointer(rebasing: bytes[at..<(at + here)])
                guard here == left else {
                    hold(part)
                    state = .counted(left: left - here, total: total)
                    return (bytes.count, nil)
                }
                guard finish(part, total: total, body) else { return (at, nil) }
                at += here
            case .line(let total):
                var end = at
                while end < bytes.count, bytes[end] != UInt8(ascii: "\n"), bytes[end] != 0 { end += 1 }
                let part = UnsafeRawBufferPointer(rebasing: bytes[at..<end])
                guard end < bytes.count else {
                    hold(part)
                    state = .line(total: total + part.count)
                    return (bytes.count, nil)
                }
                guard finish(part, total: total + part.count, body) else { return (at, nil) }
                at = end + 1
            }
        }
        return (at, nil)
    }

    /// The stream has ended: what has been held is a message without its end. False when `body` has no room for it.
    mutating func finish(_ body: (Message) -> Bool) -> Bool {
        let total: Int
        switch state {
        case .between: return true
        case .count(_, let digits): total = digits
        case .counted(_, let whole): total = whole
        case .line(let length): total = length
        }
        let isTaken =
            held.isEmpty
            || held.withUnsafeBytes { body(Message(bytes: $0, originalLength: total, isUnterminated: true)) }
        if isTaken {
            held.removeAll()
            state = .between
        }
        return isTaken
    }

    private mutating func hold(_ part: UnsafeRawBufferPointer) {
        held.append(contentsOf: part.prefix(limit - min(limit, held.count)))
    }

    private mutating func finish(_ part: UnsafeRawBufferPointer, total: Int, _ body: (Message) -> Bool) -> Bool {
        if held.isEmpty {
            let kept = UnsafeRawBufferPointer(rebasing: part.prefix(limit))
            guard body(Message(bytes: kept, originalLength: total)) else { return false }
        } else {
            let before = held.count
            hold(part)
            guard held.withUnsafeBytes({ body(Message(bytes: $0, originalLength: total)) }) else {
                held.removeLast(held.count - before)
                return false
            }
            held.removeAll(keepingCapacity: true)
        }
        state = .between
        return true
    }
}
