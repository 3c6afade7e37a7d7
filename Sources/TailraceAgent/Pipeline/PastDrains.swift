internal import TailraceDelivery

/// What the drains of an output have counted that came before the present one, in this process: counters never fall.
struct PastDrains {
    private(set) var deadLettered: UInt64 = 0
    private(set) var dropped: UInt64 = 0
    private(set) var unused: UInt64 = 0
    private(set) var forOthers: UInt64 = 0
    private(set) var resent: UInt64 = 0

    /// Ids that the present drain takes for acknowledged, because it began behind them.
    var unacknowledged: UInt64 { deadLettered &+ dropped &+ unused &+ forOthers }

    mutating func add(_ statistics: DrainStatistics) {
        deadLettered &+= statistics.deadLettered
        dropped &+= statistics.dropped &+ statistics.damaged
        unused &+= statistics.unused
        forOthers &+= statistics.forOthers
        resent &+= statistics.unknownOutcomes
    }
}
