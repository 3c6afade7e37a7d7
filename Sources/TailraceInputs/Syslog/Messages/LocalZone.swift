import Glibc

/// Which zone's clocks a sender reads that does not tell its zone.
package enum LocalZone: Equatable, Sendable {
    /// Seconds east of Greenwich.
    case fixed(Int)
    case table(ZoneTable)

    package static let utc = LocalZone.fixed(0)
    static let directory = "/usr/share/zoneinfo"

    /// "local" (this machine's), "UTC", "+02:00", or a name such as "Europe/Berlin" of the system's time zones.
    package init?(_ text: String) {
        if text == "local" {
            self = ZoneTable(path: "/etc/localtime").map { .table($0) } ?? .utc
            return
        }
        if text == "UTC" || text == "Z" {
            self = .utc
            return
        }
        if let offset = Self.offset(text) {
            self = .fixed(offset)
            return
        }
        let isName = text.utf8.allSatisfy {
            $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+")
                || ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9"))
                || ($0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z"))
        }
        guard !text.isEmpty, isName, !text.hasPrefix("/"),
            let table = ZoneTable(path: "\(Self.directory)/\(text)")
        else { return nil }
        self = .table(table)
    }

    /// "+hh:mm" or "-hh:mm".
    private static func offset(_ text: String) -> Int? {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBytes { bytes in
            let cursor = SyslogCursor(bytes)
            guard bytes.count == 6, bytes[0] == UInt8(ascii: "+") || bytes[0] == UInt8(ascii: "-"),
                bytes[3] == .colon, let hours = cursor.number(1, digits: 2), hours <= 15,
                let minutes = cursor.number(4, digits: 2), minutes < 60
            else { return nil }
            return (hours * 3600 + minutes * 60) * (bytes[0] == UInt8(ascii: "-") ? -1 : 1)
        }
    }

    /// Seconds since 1970, UTC, at which the zone's clocks show `local`. Of two such times the one nearer to `near`; of a
    /// time that was skipped, as if the clocks had not been put forward.
    func universal(_ local: Int64, near: Int64) -> Int64 {
        switch self {
        case .fixed(let offset): return local - Int64(offset)
        case .table(let table):
            // Offsets change by hours, not by days; mostly there is no change near.
            if let offset = table.offset(throughout: (local - 86_400)...(local + 86_400)) {
                return local - Int64(offset)
            }
            let early = local - Int64(table.offset(at: local - 86_400))
            let late = local - Int64(table.offset(at: local + 86_400))
            let earlyIsRight = local - Int64(table.offset(at: early)) == early
            let lateIsRight = local - Int64(table.offset(at: late)) == late
            if earlyIsRight, lateIsRight { return abs(early - near) <= abs(late - near) ? early : late }
            return lateIsRight ? late : early
        }
    }
}

/// The offsets of one time zone, from the system's table of it (`tzfile(5)`, of its second version). Beyond the last
/// change that the table has (2037 on Debian) the last offset stays.
package struct ZoneTable: Equatable, Sendable {
    /// Seconds since 1970, rising.
    private var changes: [Int64] = []
    /// Seconds east of Greenwich before the first change, then after each.
    private var offsets: [Int32] = [0]
    /// More than the largest table by far.
    private static let maximumSize = 1 << 20

    package init?(path: String) {
        guard let bytes = Self.read(path), let table = ZoneTable(bytes) else { return nil }
        self = table
    }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: maximumSize)
        var length = 0
        while length < bytes.count {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress! + length, $0.count - length)
            }
            guard count > 0 else { break }
            length += count
        }
        return Array(bytes[..<length])
    }

    init?(_ bytes: [UInt8]) {
        func number(_ at: Int, _ count: Int) -> Int64? {
            guard at >= 0, at + count <= bytes.count else { return nil }
            // Sign-extended from its first byte.
            var value = Int64(Int8(bitPattern: bytes[at]))
            for index in 1..<count { value = value << 8 | Int64(bytes[at + index]) }
            return value
        }
        func counts(_ at: Int) -> [Int]? {
            guard bytes.count >= at + 44, Array(bytes[at..<(at + 4)]) == Array("TZif".utf8) else { return nil }
            let counts = (0..<6).compactMap { number(at + 20 + $0 * 4, 4).map { Int($0) } }
            return counts.allSatisfy { (0...1 << 16).contains($0) } ? counts : nil
        }
        // Counts of: UT flags, standard flags, leap seconds, changes, types, characters. The first block has times of 32
        // bits; the second one, which is the one to use, of 64.
        guard let first = counts(0), bytes[4] >= UInt8(ascii: "2") else { return nil }
        let second = 44 + first[3] * 5 + first[4] * 6 + first[5] + first[2] * 8 + first[1] + first[0]
        guard let sizes = counts(second), sizes[4] > 0 else { return nil }
        let times = second + 44
        let kinds = times + sizes[3] * 8
        let types = kinds + sizes[3]
        guard types + sizes[4] * 6 <= bytes.count else { return nil }
        offsets = [Int32(truncatingIfNeeded: number(types, 4) ?? 0)]
        for index in 0..<sizes[3] {
            let type = Int(bytes[kinds + index])
            guard type < sizes[4], let time = number(times + index * 8, 8), time > changes.last ?? .min,
                let offset = number(types + type * 6, 4), abs(offset) < 100_000
            else { return nil }
            changes.append(time)
            offsets.append(Int32(offset))
        }
    }

    /// Seconds east of Greenwich at `time` (seconds since 1970, UTC).
    func offset(at time: Int64) -> Int32 { offsets[period(of: time)] }

    /// The same, of all these times; nil when it changes in between.
    func offset(throughout times: ClosedRange<Int64>) -> Int32? {
        let period = period(of: times.lowerBound)
        return period == changes.count || changes[period] > times.upperBound ? offsets[period] : nil
    }

    /// Index of the offset that holds at `time`.
    private func period(of time: Int64) -> Int {
        var (low, high) = (0, changes.count)
        while low < high {
            let middle = (low + high) / 2
            if changes[middle] <= time { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
