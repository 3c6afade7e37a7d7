extension SyslogCursor {
    /// `2026-11-21T20:37:00.123+01:00`, with T or a space, any fraction, `Z`, an offset, or no zone. Milliseconds since
    /// 1970; nil, without having moved, when there is no such time here.
    mutating func readISOTime(_ zone: LocalZone, _ received: Int64) -> Int64? {
        guard let year = number(0, digits: 4), byte(4) == UInt8(ascii: "-"), let month = number(5, digits: 2),
            byte(7) == UInt8(ascii: "-"), let day = number(8, digits: 2),
            byte(10) == UInt8(ascii: "T") || byte(10) == .space, let clock = clock(11)
        else { return nil }
        var civil = CivilTime(year: year, month: month, day: day)
        (civil.hour, civil.minute, civil.second) = clock
        var index = 19
        civil.millisecond = fraction(&index)
        guard civil.isValid else { return nil }
        let sign = byte(index)
        if sign == UInt8(ascii: "Z") {
            index += 1
        } else if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"), let hours = number(index + 1, digits: 2) {
            let separator = byte(index + 3) == .colon ? 1 : 0
            guard let minutes = number(index + 3 + separator, digits: 2), minutes < 60, hours < 24 else { return nil }
            at += index + 5 + separator
            let offset = Int64(hours * 3600 + minutes * 60) * (sign == UInt8(ascii: "-") ? -1 : 1)
            return (civil.seconds - offset) * 1000 + Int64(civil.millisecond)
        } else {
            at += index
            return civil.time(in: zone, near: received)
        }
        at += index
        return civil.seconds * 1000 + Int64(civil.millisecond)
    }

    /// `1763757420.123456789`, followed by a space: ten digits are the years 2001 to 2286.
    mutating func readEpochTime() -> Int64? {
        guard let seconds = number(0, digits: 10), byte(10) == UInt8(ascii: "."), digit(11) != nil else { return nil }
        var index = 10
        let millisecond = fraction(&index)
        guard byte(index) == .space else { return nil }
        at += index
        return Int64(seconds) * 1000 + Int64(millisecond)
    }

    /// `Nov 21 20:37:00`, with a year behind the day or behind the time, a fraction, or a zone's letters. Nil, without
    /// having moved, when there is none here; a time that cannot be is told by `.some(nil)`.
    mutating func readBSDTime(_ zone: LocalZone, _ received: Int64) -> Int64?? {
        guard let month = month, byte(3) == .space else { return nil }
        var index = 4
        if byte(index) == .space { index += 1 }
        guard let first = digit(index) else { return nil }
        var civil = CivilTime(year: 0, month: month, day: first)
        index += 1
        if let second = digit(index) {
            civil.day = first * 10 + second
            index += 1
        }
        guard byte(index) == .space else { return nil }
        index += 1
        if let year = number(index, digits: 4), byte(index + 4) == .space {
            civil.year = year
            index += 5
        }
        guard let clock = clock(index) else { return nil }
        (civil.hour, civil.minute, civil.second) = clock
        index += 8
        civil.millisecond = fraction(&index)
        if civil.year == 0, byte(index) == .space, let year = number(index + 1, digits: 4),
            (1970...2199).contains(year),
            byte(index + 5) == .space || (byte(index + 5) == .colon && byte(index + 6) == .space)
        {
            civil.year = year
            index += 5
        }
        let isUniversal = readZoneLetters(&index)
        at += index
        let zone = isUniversal ? .utc : zone
        if civil.year == 0 { return .some(civil.timeInNearestYear(in: zone, near: received)) }
        return .some(civil.isValid ? civil.time(in: zone, near: received) : nil)
    }

    /// Passes " UTC" and other letters of a zone, which only Cisco's colon behind them tells from a host's name. Whether
    /// they are those of universal time.
    private func readZoneLetters(_ index: inout Int) -> Bool {
        guard byte(index) == .space else { return false }
        var end = index + 1
        while end < index + 7, byte(end) >= UInt8(ascii: "A"), byte(end) <= UInt8(ascii: "Z") { end += 1 }
        guard end >= index + 2, byte(end) == .colon else { return false }
        let name = UInt32(byte(index + 1)) << 16 | UInt32(byte(index + 2)) << 8 | UInt32(byte(index + 3))
        let isUniversal = end == index + 4 && (name == 0x555443 || name == 0x474D54)
        index = end
        return isUniversal
    }

    private func clock(_ offset: Int) -> (Int, Int, Int)? {
        guard let hour = number(offset, digits: 2), byte(offset + 2) == .colon,
            let minute = number(offset + 3, digits: 2), byte(offset + 5) == .colon,
            let second = number(offset + 6, digits: 2), digit(offset + 8) == nil
        else { return nil }
        return (hour, minute, second)
    }

    /// Milliseconds of `.123456` at `index`, which passes it.
    private func fraction(_ index: inout Int) -> Int {
        guard byte(index) == UInt8(ascii: ".") || byte(index) == UInt8(ascii: ","), digit(index + 1) != nil else {
            return 0
        }
        index += 1
        var value = 0
        var scale = 100
        while let digit = digit(index) {
            value += digit * scale
            scale /= 10
            index += 1
        }
        return value
    }

    private var month: Int? {
        // Three letters as one number: "Jan" is 4A 61 6E.
        let name = UInt32(byte(0)) << 16 | UInt32(byte(1)) << 8 | UInt32(byte(2))
        return switch name {
        case 0x4A616E: 1
        case 0x466562: 2
        case 0x4D6172: 3
        case 0x417072: 4
        case 0x4D6179: 5
        case 0x4A756E: 6
        case 0x4A756C: 7
        case 0x417567: 8
        case 0x536570: 9
        case 0x4F6374: 10
        case 0x4E6F76: 11
        case 0x446563: 12
        default: nil
        }
    }
}
