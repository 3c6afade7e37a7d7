extension SyslogParser {
    /// Everything behind the priority: `1 TIME HOST APP PROCID MSGID SD MSG`. False, with nothing changed, when it is
    /// something else that begins with "1 ".
    func readRFC5424(_ cursor: inout SyslogCursor, _ message: inout SyslogMessage, _ received: Int64) -> Bool {
        var reader = cursor
        reader.at += 2
        var hasTime = false
        if reader.byte(0) == UInt8(ascii: "-"), reader.byte(1) == .space || reader.at + 1 == reader.end {
            reader.at += 1
            hasTime = true
        } else if let time = reader.readISOTime(zone, received) {
            message.time = time
            hasTime = reader.isAtEnd || reader.byte(0) == .space
        } else if let time = reader.readEpochTime() {
            // Some devices put seconds since 1970 here, and no more of the header than a name.
            message.time = time
            cursor.at = reader.at
            readNameAndText(&cursor, &message)
            return true
        }
        if !hasTime {
            guard looksLikeTime(reader) else { return false }
            message.time = nil
            message.note(.time)
            reader.at = reader.tokenEnd()
        }
        message.isRFC5424 = true
        message.hostname = readField(&reader, &message)
        message.app = readField(&reader, &message)
        message.pid = readField(&reader, &message)
        message.messageID = readField(&reader, &message)
        readStructuredData(&reader, &message)
        if reader.byte(0) == .space { reader.at += 1 }
        if reader.byte(0) == 0xEF, reader.byte(1) == 0xBB, reader.byte(2) == 0xBF { reader.at += 3 }
        message.text = .init(min(reader.at, reader.end), reader.end)
        cursor = reader
        return true
    }

    /// Four digits and a hyphen: a date that went wrong further on.
    private func looksLikeTime(_ cursor: SyslogCursor) -> Bool {
        cursor.number(0, digits: 4) != nil && cursor.byte(4) == UInt8(ascii: "-")
    }

    /// The space before a field and the field; empty for "-".
    private func readField(_ cursor: inout SyslogCursor, _ message: inout SyslogMessage) -> SyslogMessage.Part {
        guard cursor.byte(0) == .space else {
            message.note(.header)
            return .init()
        }
        cursor.at += 1
        let end = cursor.tokenEnd()
        defer { cursor.at = end }
        if end == cursor.at { message.note(.header) }
        if end == cursor.at + 1, cursor.byte(0) == UInt8(ascii: "-") { return .init() }
        return .init(cursor.at, end)
    }

    private func readStructuredData(_ cursor: inout SyslogCursor, _ message: inout SyslogMessage) {
        guard cursor.byte(0) == .space else { return message.note(.header) }
        cursor.at += 1
        if cursor.byte(0) == UInt8(ascii: "-"), cursor.byte(1) == .space || cursor.at + 1 == cursor.end {
            cursor.at += 1
            return
        }
        let end = StructuredData.end(in: cursor.bytes, from: cursor.at)
        guard let end, end == cursor.end || cursor.bytes[end] == .space else {
            // Whatever it is, it belongs to the text.
            cursor.at -= 1
            return message.note(.structuredData)
        }
        message.structuredData = .init(cursor.at, end)
        cursor.at = end
    }

    private func readNameAndText(_ cursor: inout SyslogCursor, _ message: inout SyslogMessage) {
        cursor.skipSpaces()
        let end = cursor.tokenEnd()
        if end < cursor.end, HostName.isLegal(cursor.bytes, cursor.at..<end) {
            message.hostname = .init(cursor.at, end)
            cursor.at = end + 1
        }
        message.text = .init(cursor.at, cursor.end)
    }
}
