extension SyslogParser {
    /// Everything behind the priority: `TIME HOST APP[PID]: TEXT`, each of which may be missing. A host's name counts only
    /// behind a time: elsewhere the first word is anything.
    func readRFC3164(_ cursor: inout SyslogCursor, _ message: inout SyslogMessage, _ received: Int64) {
        cursor.skipSpaces()
        let hadTime = readTime(&cursor, &message, received) || readCiscoPrefix(&cursor, &message, received)
        if hadTime, cursor.byte(0) == .colon {
            // Cisco: the host, if any, has come before; the mnemonic follows.
            cursor.at += 1
            cursor.skipSpaces()
        } else if hadTime {
            cursor.skipSpaces()
            readHost(&cursor, &message)
        }
        readTag(&cursor, &message, received)
        message.text = .init(min(cursor.at, cursor.end), cursor.end)
    }

    private func readTime(_ cursor: inout SyslogCursor, _ message: inout SyslogMessage, _ received: Int64) -> Bool {
        var reader = cursor
        // Cisco marks clocks that are not set, or not synchronised.
        while reader.byte(0) == UInt8(ascii: "*") || reader.byte(0) == UInt8(ascii: ".") || reader.byte(0) == .colon {
            reader.at += 1
        }
        if let time = reader.readBSDTime(zone, received) {
            if time == nil { message.note(.time) }
            message.time = message.time ?? time
        } else if let time = reader.readISOTime(zone, received) {
            message.time = message.time ?? time
        } else {
            return false
        }
        guard reader.isAtEnd || reader.byte(0) == .space || reader.byte(0) == .colon else {
            message.time = nil
            return false
        }
        cursor = reader
        return true
    }

    /// `123: `, `host: `, `123: host: ` before a time, and the time.
    private func readCiscoPrefix(
        _ cursor: inout SyslogCursor, _ message: inout SyslogMessage, _ received: Int64
    ) -> Bool {
        var reader = cursor
        var host = SyslogMessage.Part()
        for _ in 0..<2 {
            let end = reader.tokenEnd()
            guard end > reader.at + 1, end - reader.at <= HostName.maximumLength, reader.bytes[end - 1] == .colon else {
                return false
            }
            var digits = 0
            while reader.digit(digits) != nil { digits += 1 }
            let isNumber = reader.at + digits == end - 1
            if !isNumber {
                guard HostName.isLegal(reader.bytes, reader.at..<(end - 1)) else { return false }
                host = .init(reader.at, end - 1)
            }
            reader.at = end
            reader.skipSpaces()
            var probe = reader
            var timed = message
            guard readTime(&probe, &timed, received) else { continue }
            // Of a time with a colon, else the prefix was a program's name.
            guard isNumber || probe.byte(0) == .colon else { return false }
            cursor = probe
            message = timed
            message.hostname = host
            return true
        }
        return false
    }

    private func readHost(_ cursor: inout SyslogCursor, _ message: inout SyslogMessage) {
        if cursor.starts(with: "last message repeated ") { return }
        if cursor.starts(with: "Message forwarded from ") {
            // AIX, of a message that it relays: the host's name ends in a colon.
            cursor.at += 23
            let end = cursor.tokenEnd()
            let name = end > cursor.at && cursor.bytes[end - 1] == .colon ? end - 1 : end
            if HostName.isLegal(cursor.bytes, cursor.at..<name) { message.hostname = .init(cursor.at, name) }
            cursor.at = end
            return cursor.skipSpaces()
        }
        let end = cursor.tokenEnd()
        // The last word of a message is no host, and a word with a colon behind it is a program.
        guard end < cursor.end else { return }
        if HostName.isLegal(cursor.bytes, cursor.at..<end), cursor.bytes[end - 1] != .colon {
            message.hostname = .init(cursor.at, end)
            let length = end - cursor.at
            let previous = cursor.at
            cursor.at = end
            cursor.skipSpaces()
            // Some relays put the name in twice.
            let next = cursor.tokenEnd()
            if next - cursor.at == length, next < cursor.end,
                (0..<length).allSatisfy({ cursor.bytes[previous + $0] == cursor.bytes[cursor.at + $0] })
            {
                cursor.at = next
                cursor.skipSpaces()
            }
        } else if isDecoration(cursor, end) {
            cursor.at = end
            cursor.skipSpaces()
        }
        // Cisco ASA: "HOST : %ASA-…".
        if cursor.byte(0) == .colon, cursor.byte(1) == .space {
            cursor.at += 1
            cursor.skipSpaces()
        }
    }

    /// A word such as UniFi's `U7PG2,788a20aabbcc,v4.0.80` or `("U7PG2,788a20aabbcc,v4.0.80")`: neither host nor program.
    private func isDecoration(_ cursor: SyslogCursor, _ end: Int) -> Bool {
        guard end > cursor.at, end - cursor.at <= HostName.maximumLength else { return false }
        var commas = 0
        for index in cursor.at..<end {
            let byte = cursor.bytes[index]
            if byte == UInt8(ascii: ",") { commas += 1 }
            if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "=") || byte == UInt8(ascii: "/") { return false }
        }
        return commas == 2
    }

    /// `APP[PID]: ` or `APP: `: up to 64 printable bytes, and a colon, or a number in brackets.
    private func readTag(_ cursor: inout SyslogCursor, _ message: inout SyslogMessage, _ received: Int64) {
        let maximum = 64
        let start = cursor.at
        // What has a decoration's form and a colon is passed, once.
        let token = cursor.tokenEnd()
        if token > start, token < cursor.end, cursor.bytes[token - 1] == .colon, isDecoration(cursor, token) {
            cursor.at = token
            cursor.skipSpaces()
        }
        // A relay's header before Cisco's own: "123: Nov 21 20:37:00.123: %SYS-…".
        var digits = 0
        while digits < 12, cursor.digit(digits) != nil { digits += 1 }
        if digits > 0, cursor.byte(digits) == .colon, cursor.byte(digits + 1) == .space {
            cursor.at += digits + 1
            cursor.skipSpaces()
        }
        var probe = cursor
        if cursor.at > start, readTime(&probe, &message, received), probe.byte(0) == .colon {
            cursor.at = probe.at + 1
            cursor.skipSpaces()
        }
        var index = cursor.at
        let limit = min(cursor.end, cursor.at + maximum)
        while index < limit, cursor.bytes[index] > .space, cursor.bytes[index] < 0x7F, cursor.bytes[index] != .colon,
            cursor.bytes[index] != UInt8(ascii: "[")
        { index += 1 }
        guard index > cursor.at, index < cursor.end else { return }
        let app = SyslogMessage.Part(cursor.at, index)
        if cursor.bytes[index] == .colon {
            guard index + 1 == cursor.end || cursor.bytes[index + 1] == .space else { return }
            message.app = app
            cursor.at = index + 1
            return cursor.skipSpaces()
        }
        guard cursor.bytes[index] == UInt8(ascii: "[") else { return }
        var close = index + 1
        while close < min(cursor.end, index + 34), cursor.bytes[close] > .space, cursor.bytes[close] < 0x7F,
            cursor.bytes[close] != UInt8(ascii: "]")
        { close += 1 }
        guard close > index + 1, close < cursor.end, cursor.bytes[close] == UInt8(ascii: "]") else { return }
        message.app = app
        message.pid = .init(index + 1, close)
        cursor.at = close + 1
        if cursor.byte(0) == .colon { cursor.at += 1 }
        cursor.skipSpaces()
    }
}
