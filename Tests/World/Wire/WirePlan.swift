import TestSupport

/// All that a seed decides about a service and the network to it before a world begins.
struct WirePlan {
    struct Hub {
        var countsAnew: Bool
        var maximumMessageSize: UInt64
        var maximumFrameSize: UInt32
        var linkCredit: UInt32
        /// Milliseconds of silence after which a side leaves.
        var idleTimeOut: UInt32
        /// Seconds that a token is good for.
        var tokenLifetime: Int
    }

    struct Brokers {
        /// Each with an address of its own.
        var count: Int
        /// Bytes of metadata and payload.
        var maximumMessageSize: Int
        /// Bytes of a batch with more than one record.
        var batchSize: Int
        var isCompressed: Bool
        /// Seconds of silence after which a side asks for a sign of life.
        var keepAlive: Int
        /// Milliseconds that a producer still counts as connected when its connection is gone.
        var disconnectNotice: Int
    }

    let kind: WireKind
    /// What is sent is numbered, and the service takes no number twice.
    var isExact: Bool
    var hub: Hub
    var brokers: Brokers
    /// Bytes on their way in one direction, and bytes that a channel keeps for it.
    var window: Int
    var mark: Int

    /// How many more steps a life has than one without a network.
    static let effort = 15

    /// - Parameter plan: gets longer lives, whose manners are those of a service and a network.
    init(_ kind: WireKind, _ plan: inout WorldPlan, _ random: inout SeededGenerator) {
        self.kind = kind
        var dice = Dice(random: random)
        defer { random = dice.random }
        isExact = dice.chance(75)
        hub = Hub(&dice)
        window = dice.pick([300, 4000, 100_000])
        mark = dice.pick([200, 5000, 1 << 20])
        plan.isWired = true
        plan.window = dice.pick([1, 2, 4])
        let bad = (network: dice.pick([0, 40, 80]), service: dice.pick([0, 40, 80]))
        for index in plan.lives.indices {
            plan.lives[index].stretch(by: Self.effort)
            if dice.chance(50) {
                plan.lives[index].batches *= 3
                plan.lives[index].endsAtCall = plan.lives[index].endsAtCall.map { $0 * 3 }
            }
            plan.lives[index].wire = WireManners(&dice, bad, steps: plan.lives[index].steps)
        }
        // Dice that event hubs do not throw come last, so that worlds of old seeds stay as they were.
        brokers = Brokers(&dice)
        guard kind == .pulsar else { return }
        plan.window = 1
        for index in plan.lives.indices where dice.chance(bad.service) {
            plan.lives[index].wire.addBrokers(&dice, steps: plan.lives[index].steps)
        }
    }

    fileprivate struct Dice {
        var random: SeededGenerator

        mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
        mutating func pick<Value>(_ values: [Value]) -> Value {
            values[Int.random(in: 0..<values.count, using: &random)]
        }
        mutating func number(in range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
        mutating func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }
    }
}

extension WirePlan.Hub {
    fileprivate init(_ dice: inout WirePlan.Dice) {
        countsAnew = dice.chance(50)
        maximumMessageSize = dice.pick([700, 1500, 4000, 100_000])
        maximumFrameSize = dice.pick([512, 1024, 65536])
        linkCredit = dice.pick([1, 3, 64])
        idleTimeOut = dice.pick([10_000, 60_000, 240_000])
        tokenLifetime = dice.pick([30, 600, 3600])
    }
}

extension WirePlan.Brokers {
    fileprivate init(_ dice: inout WirePlan.Dice) {
        count = dice.pick([1, 1, 2, 3])
        // 4096 of them are kept for metadata.
        maximumMessageSize = dice.pick([4900, 5600, 10_000, 5 << 20])
        batchSize = dice.pick([1024, 4000, 1 << 20])
        isCompressed = dice.chance(25)
        keepAlive = dice.pick([5, 30])
        disconnectNotice = dice.pick([0, 0, 200, 5000])
    }
}

extension WireManners {
    fileprivate init(_ dice: inout WirePlan.Dice, _ bad: (network: Int, service: Int), steps: Int) {
        weather.delay = dice.pick([0, 1_000_000, 50_000_000])
        weather.piece = dice.pick([100, 1000, 1 << 16])
        weather.tinyPieces = dice.pick([0, 10, 40])
        if dice.chance(bad.network) {
            weather.breaks = dice.pick([2, 10, 50])
            weather.refusals = dice.pick([0, 200, 500])
        }
        if dice.chance(bad.service) {
            refusals = dice.pick([0, 50, 300])
            delays = dice.pick([0, 50, 300])
            silences = dice.pick([0, 0, 30])
            cuts = dice.pick([0, 30, 150])
            openings = dice.pick([0, 100, 300])
            questions = dice.pick([0, 0, 200])
        }
        guard dice.chance(bad.service / 2) else { return }
        for _ in 0..<dice.number(in: 1...3) {
            ends.append(
                End(
                    step: dice.below(steps), withPower: dice.chance(40),
                    pause: dice.pick([0, 20_000_000, 3_000_000_000])))
        }
    }

    /// What brokers do besides.
    fileprivate mutating func addBrokers(_ dice: inout WirePlan.Dice, steps: Int) {
        stalls = dice.pick([0, 50, 300])
        for _ in 0..<dice.number(in: 0...6) {
            let kind: Event.Kind =
                switch dice.below(4) {
                case 0: .close
                case 1: .drop
                default: .move(isTold: dice.chance(50))
                }
            events.append(Event(step: dice.below(steps), kind: kind, place: dice.below(1000)))
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
