/// Takes syslog messages apart: RFC 5424, and RFC 3164 in the shapes that devices really send. Allocates nothing.
///
/// Any bytes give a message: what cannot be read is left out, and the first such thing is noted.
package struct SyslogParser: Sendable {
    /// Of times that do not tell theirs.
    let zone: LocalZone

    package init(zone: LocalZone = .utc) { self.zone = zone }

    /// - Parameter received: milliseconds since 1970; decides the year of times without one.
    package func parse(_ bytes: UnsafeRawBufferPointer, received: Int64) -> SyslogMessage {
        var message = SyslogMessage()
        guard bytes.count > 0 else {
            message.problem = .empty
            return message
        }
        var cursor = SyslogCursor(bytes)
        readPriority(&cursor, &message)
        if cursor.byte(0) == UInt8(ascii: "1"), cursor.byte(1) == .space, readRFC5424(&cursor, &message, received) {
            return message
        }
        readRFC3164(&cursor, &message, received)
        return message
    }

    /// `<0>` to `<191>`. Something else that begins so is left in the text.
    private func readPriority(_ cursor: inout SyslogCursor, _ message: inout SyslogMessage) {
        guard cursor.byte(0) == UInt8(ascii: "<") else { return message.note(.noPriority) }
        var value = 0
        var index = 1
        while index <= 3, let digit = cursor.digit(index) {
            value = value * 10 + digit
            index += 1
        }
        guard index > 1, cursor.byte(index) == UInt8(ascii: ">"), value <= 191 else {
            message.note(.priority)
            // Of a number in brackets the rest can still be read.
            while index < 20, cursor.digit(index) != nil || cursor.byte(index) == UInt8(ascii: "-") { index += 1 }
            if cursor.byte(index) == UInt8(ascii: ">") { cursor.at += index + 1 }
            return
        }
        message.facility = UInt8(value >> 3)
        message.severity = UInt8(value & 7)
        cursor.at += index + 1
    }
}

/// A place in a message. Reading beyond its end gives 0, which no rule of syslog's grammar accepts.
struct SyslogCursor {
    let bytes: UnsafeRawBufferPointer
    var at = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { at >= bytes.count }
    var end: Int { bytes.count }

    func byte(_ offset: Int) -> UInt8 {
        let index = at + offset
        return index < bytes.count ? bytes[index] : 0
    }

    func digit(_ offset: Int) -> Int? {
        let value = byte(offset) &- UInt8(ascii: "0")
        return value < 10 ? Int(value) : nil
    }

    /// The number that `count` digits make.
    func number(_ offset: Int, digits count: Int) -> Int? {
        var value = 0
        for index in offset..<(offset + count) {
            guard let digit = digit(index) else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    mutating func skipSpaces() {
        while at < bytes.count, bytes[at] == .space { at += 1 }
    }

    /// The place of the next space, or the end.
    func tokenEnd() -> Int {
        var index = at
        while index < bytes.count, bytes[index] != .space { index += 1 }
        return index
    }

    func starts(with text: StaticString) -> Bool {
        guard at + text.utf8CodeUnitCount <= bytes.count else { return false }
        for index in 0..<text.utf8CodeUnitCount where bytes[at + index] != text.utf8Start[index] { return false }
        return true
    }
}

extension UInt8 {
    static let space = UInt8(ascii: " ")
    static let colon = UInt8(ascii: ":")
}
