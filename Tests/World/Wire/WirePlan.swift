import TestSupport

/// How a hub and the network to it behave in one life of a world; chances in thousandths.
struct WireManners: Sendable {
    var weather = SimulatedNetwork.Weather()
    /// Per message: refused for now, given back, stored and answered late or never, or cut off before or behind its storing.
    var refusals = 0
    var delays = 0
    var silences = 0
    var cuts = 0
    /// Per link: refused, ended at once, late, never answered, without enough credit.
    var attaches = 0
    /// Per token: refused, late, never answered.
    var tokens = 0
    /// Steps at which the hub's process ends.
    var hubEnds: [HubEnd] = []

    struct HubEnd: Sendable {
        var step: Int
        var withPower: Bool
        /// Nanoseconds until it is there again.
        var pause: UInt64
    }
}

/// All that a seed decides about a hub and the network to it before a world begins.
struct WirePlan {
    /// Events are numbered.
    var isIdempotent: Bool
    var countsAnew: Bool
    var maximumMessageSize: UInt64
    var maximumFrameSize: UInt32
    var linkCredit: UInt32
    /// Milliseconds of silence after which a side leaves.
    var idleTimeOut: UInt32
    /// Seconds that a token is good for.
    var tokenLifetime: Int
    /// Bytes on their way in one direction, and bytes that a channel keeps for it.
    var window: Int
    var mark: Int

    /// How many more steps a life has than one without a network.
    static let effort = 15

    /// - Parameter plan: gets longer lives, whose manners are those of a hub and a network.
    init(_ plan: inout WorldPlan, _ random: inout SeededGenerator) {
        func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
        func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &random)] }

        isIdempotent = chance(75)
        countsAnew = chance(50)
        maximumMessageSize = pick([700, 1500, 4000, 100_000])
        maximumFrameSize = pick([512, 1024, 65536])
        linkCredit = pick([1, 3, 64])
        idleTimeOut = pick([10_000, 60_000, 240_000])
        tokenLifetime = pick([30, 600, 3600])
        window = pick([300, 4000, 100_000])
        mark = pick([200, 5000, 1 << 20])
        plan.isWired = true
        plan.window = pick([1, 2, 4])
        let (badNetwork, badHub) = (pick([0, 40, 80]), pick([0, 40, 80]))
        for index in plan.lives.indices {
            plan.lives[index].stretch(by: Self.effort)
            if chance(50) {
                plan.lives[index].batches *= 3
                plan.lives[index].endsAtCall = plan.lives[index].endsAtCall.map { $0 * 3 }
            }
            var wire = WireManners()
            wire.weather.delay = pick([0, 1_000_000, 50_000_000])
            wire.weather.piece = pick([100, 1000, 1 << 16])
            wire.weather.tinyPieces = pick([0, 10, 40])
            if chance(badNetwork) {
                wire.weather.breaks = pick([2, 10, 50])
                wire.weather.refusals = pick([0, 200, 500])
            }
            if chance(badHub) {
                wire.refusals = pick([0, 50, 300])
                wire.delays = pick([0, 50, 300])
                wire.silences = pick([0, 0, 30])
                wire.cuts = pick([0, 30, 150])
                wire.attaches = pick([0, 100, 300])
                wire.tokens = pick([0, 0, 200])
            }
            if chance(badHub / 2) {
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    wire.hubEnds.append(
                        .init(
                            step: Int.random(in: 0..<plan.lives[index].steps, using: &random), withPower: chance(40),
                            pause: pick([0, 20_000_000, 3_000_000_000])))
                }
            }
            plan.lives[index].wire = wire
        }
    }
}

extension WorldPlan.Life {
    /// The same in more steps.
    fileprivate mutating func stretch(by factor: Int) {
        steps *= factor
        troubled = (troubled.lowerBound * factor)..<(troubled.upperBound * factor)
        growth = growth.map { ($0.step * factor, $0.partitions) }
    }
}
