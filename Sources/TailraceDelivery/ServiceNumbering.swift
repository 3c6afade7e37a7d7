/// How a service numbers the records of a producer; -1 before the first.
package enum ServiceNumbering: Sendable {
    /// 0 to 2³¹-1, then 0 again. Nothing is taken behind a gap (Event Hubs).
    case wrapping
    /// 0 to 2⁶³-1. Only the order counts: what is not above the highest number is taken for a duplicate, so that numbers
    /// must never fall (Pulsar).
    case rising

    static let none: Int64 = -1
    private static let count: Int64 = 1 << 31

    func advanced(_ number: Int64, by records: Int) -> Int64 {
        switch self {
        case .wrapping: records == 0 ? number : (number + Int64(records)) % Self.count
        case .rising: number + Int64(records)
        }
    }

    /// The number from which it is so many records to `number`.
    func before(_ number: Int64, by records: Int64) -> Int64 {
        switch self {
        case .wrapping: records == 0 ? number : (number - records % Self.count + Self.count) % Self.count
        case .rising: number - records
        }
    }

    /// How many records come after `number` up to `other`; nil when `other` is behind: nearer the other way round.
    func distance(from number: Int64, to other: Int64) -> Int64? {
        if number == other { return 0 }
        guard case .wrapping = self else { return other > number ? other - number : nil }
        // Before the first is behind the largest.
        if other < 0 { return distance(from: number, to: Self.count - 1) }
        if number < 0 { return other + 1 }
        let distance = (other - number + Self.count) % Self.count
        return distance < Self.count / 2 ? distance : nil
    }
}
