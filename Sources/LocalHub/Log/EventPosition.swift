/// Where a receiver begins: the selector filter of its source, as the official clients write it.
enum EventPosition: Equatable {
    case latest
    case offset(Int64, inclusive: Bool)
    case sequenceNumber(Int64, inclusive: Bool)
    /// Milliseconds since 1970.
    case enqueuedTime(Int64, inclusive: Bool)

    /// Before the first event.
    static let earliest = EventPosition.offset(-1, inclusive: false)

    /// `amqp.annotation.<name> > '<value>'` or `>=`. Nil: something else.
    init?(selector: String) {
        let prefix = "amqp.annotation."
        let text = selector.filter { $0 != " " }
        guard text.hasPrefix(prefix), let arrow = text.firstIndex(of: ">") else { return nil }
        let name = text[text.index(text.startIndex, offsetBy: prefix.count)..<arrow]
        var value = text[text.index(after: arrow)...]
        let inclusive = value.first == "="
        if inclusive { value.removeFirst() }
        if value.first == "'" {
            guard value.count >= 2, value.last == "'" else { return nil }
            value = value.dropFirst().dropLast()
        }
        if name == "x-opt-offset", value == "@latest" {
            self = .latest
            return
        }
        guard let number = Int64(value) else { return nil }
        switch name {
        case "x-opt-offset": self = .offset(number, inclusive: inclusive)
        case "x-opt-sequence-number": self = .sequenceNumber(number, inclusive: inclusive)
        case "x-opt-enqueued-time", "x-opt-enqueuedtimeutc": self = .enqueuedTime(number, inclusive: inclusive)
        default: return nil
        }
    }
}

/// Offsets are sequence numbers in other words: eight apart, so that nobody takes one for the other unnoticed.
enum EventOffset {
    static let step: Int64 = 8

    static func of(_ sequence: UInt64) -> Int64 {
        Int64(clamping: sequence).multipliedReportingOverflow(by: step).partialValue
    }

    /// The first sequence number at or behind (or only behind) an offset that a client names.
    static func sequence(from offset: Int64, inclusive: Bool) -> Int64 {
        guard offset >= 0 else { return 0 }
        if inclusive { return offset / step + (offset % step == 0 ? 0 : 1) }
        return offset / step + 1
    }
}
