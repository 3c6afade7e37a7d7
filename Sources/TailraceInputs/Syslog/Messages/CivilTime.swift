/// A date and a time of day as written somewhere: no zone.
struct CivilTime: Equatable {
    var year: Int
    /// 1–12.
    var month: Int
    /// 1–31.
    var day: Int
    var hour = 0
    var minute = 0
    /// Up to 60: a leap second counts as the second after it.
    var second = 0
    var millisecond = 0

    static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    /// Whether there is such a time.
    var isValid: Bool {
        guard (1...12).contains(month), day >= 1, hour < 24, minute < 60, second <= 60 else { return false }
        switch month {
        case 2: return day <= (Self.isLeap(year) ? 29 : 28)
        case 4, 6, 9, 11: return day <= 30
        default: return day <= 31
        }
    }

    /// Seconds from 1970-01-01 00:00:00 of the same zone.
    var seconds: Int64 {
        // Years begin in March, so that a leap day is the last of its year; eras have 400 years.
        let shifted = month > 2 ? year : year - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era * 146_097 + dayOfEra - 719_468) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
    }

    /// The year in which `seconds` since 1970, UTC, lie.
    static func year(of seconds: Int64) -> Int {
        let days = Int(seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400) + 719_468
        let era = (days >= 0 ? days : days - 146_096) / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        return yearOfEra + era * 400 + ((5 * dayOfYear + 2) / 153 >= 10 ? 1 : 0)
    }

    /// Milliseconds since 1970, UTC.
    ///
    /// - Parameter near: milliseconds since 1970: of two times that the clocks of the zone show twice, the nearer one.
    func time(in zone: LocalZone, near: Int64) -> Int64 {
        zone.universal(seconds, near: near / 1000) * 1000 + Int64(millisecond)
    }

    /// As `time(in:near:)` in the year that brings it within six months of `near`; nil when there is no such day.
    func timeInNearestYear(in zone: LocalZone, near: Int64) -> Int64? {
        var best: CivilTime?
        var distance = Int64.max
        let now = near / 1000
        let middle = Self.year(of: now)
        func consider(_ year: Int) {
            var candidate = self
            candidate.year = year
            guard candidate.isValid else { return }
            // Half a year away, the hours of a zone decide nothing.
            let away = abs(candidate.seconds - now)
            if away < distance { (best, distance) = (candidate, away) }
        }
        consider(middle)
        // Otherwise the other two are farther away.
        if distance > 182 * 86_400 {
            consider(middle - 1)
            consider(middle + 1)
        }
        // A leap day far from now is nearer to nothing: half a year and the week by which zones and clocks may err.
        guard let best, distance <= 190 * 86_400 else { return nil }
        return best.time(in: zone, near: near)
    }
}
