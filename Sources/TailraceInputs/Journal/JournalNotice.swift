/// What journald says about entries that it did not keep.
enum JournalNotice {
    /// "Suppressed 12 messages from ssh.service": a service wrote faster than journald's rate limit.
    private static let suppressedID: StaticString = "a596d6fe7bfa4994828e72309e95d61e"
    /// "Missed 12 kernel messages": the kernel's buffer was overwritten before journald read it.
    private static let missedID: StaticString = "e9bf28e6e834481bb6f48f548ad13606"

    /// Messages that are lost according to this entry; nil when it is no such notice. Only journald itself is believed.
    static func lostMessages(_ entry: JournalEntry) -> UInt64? {
        guard let id = entry.value(.messageID), let transport = entry.value(.transport),
            equals(transport, "driver"), equals(id, suppressedID) || equals(id, missedID)
        else { return nil }
        if let number = entry.value(.dropped).flatMap({ DecimalDigits.number($0) }) { return number }
        // Older versions tell it in words only: the first number.
        let body = entry.body
        guard let start = body.firstIndex(where: { isDigit($0) }) else { return nil }
        let end = body[start...].firstIndex { !isDigit($0) } ?? body.count
        return DecimalDigits.number(UnsafeRawBufferPointer(rebasing: body[start..<end]))
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func equals(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        bytes.elementsEqual(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
