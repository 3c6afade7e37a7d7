import Glibc

/// Times as RFC 3339 texts in UTC, without a formatter library: `2026-11-21T11:25:00.123Z`.
package enum Timestamp {
    /// Milliseconds since 1970, UTC.
    package static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// `milliseconds` since 1970; times outside the years 0 to 9999 are moved to the nearest that fits.
    package static func text(milliseconds: Int64) -> String {
        let time = min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999)
        let days = floorDivide(time, 86_400_000)
        let rest = Int(time - days * 86_400_000)
        let (year, month, day) = date(days: Int(days))
        var text: [UInt8] = []
        text.reserveCapacity(24)
        append(year, 4, &text)
        text.append(UInt8(ascii: "-"))
        append(month, 2, &text)
        text.append(UInt8(ascii: "-"))
        append(day, 2, &text)
        text.append(UInt8(ascii: "T"))
        append(rest / 3_600_000, 2, &text)
        text.append(UInt8(ascii: ":"))
        append(rest / 60_000 % 60, 2, &text)
        text.append(UInt8(ascii: ":"))
        append(rest / 1000 % 60, 2, &text)
        text.append(UInt8(ascii: "."))
        append(rest % 1000, 3, &text)
        text.append(UInt8(ascii: "Z"))
        return String(decoding: text, as: UTF8.self)
    }

    /// Milliseconds since 1970 of what `text` writes; nil for anything else.
    package static func milliseconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 24 else { return nil }
        for (index, byte) in "0000-00-00T00:00:00.000Z".utf8.enumerated() {
            guard byte == UInt8(ascii: "0") ? (0x30...0x39).contains(bytes[index]) : bytes[index] == byte else {
                return nil
            }
        }
        func number(_ digits: Range<Int>) -> Int64 { bytes[digits].reduce(0) { $0 * 10 + Int64($1 - 0x30) } }
        let (year, month, day) = (Int(number(0..<4)), Int(number(5..<7)), Int(number(8..<10)))
        let (hour, minute, second) = (number(11..<13), number(14..<16), number(17..<19))
        guard (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 60 else { return nil }
        let dayNumber = Int64(days(year, month, day))
        return (((dayNumber * 24 + hour) * 60 + minute) * 60 + second) * 1000 + number(20..<23)
    }

    /// The way back of `date(days:)`.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = Int(floorDivide(Int64(year), 400))
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The Gregorian date of a day counted from 1970-01-01. Years are counted from March here, so that the leap day
    /// is the last of its year; 400 years have 146,097 days.
    private static func date(days: Int) -> (year: Int, month: Int, day: Int) {
        let fromMarchOfYear0 = days + 719_468
        let era = Int(floorDivide(Int64(fromMarchOfYear0), 146_097))
        let dayOfEra = fromMarchOfYear0 - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a >= 0 ? a / b : -((b - 1 - a) / b) }

    private static func append(_ number: Int, _ width: Int, _ text: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            text.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }
}
