import Producing
import TestSupport
import Testing

/// What a lane said, one line per action.
struct Transcript {
    var lane: Lane<String>
    var generator = SeededGenerator(seed: 1)
    var now: ContinuousClock.Instant
    var tickets: [String: Lane<String>.Ticket] = [:]
    var waitUntil: ContinuousClock.Instant?

    init(window: Int = 1, retry: RetryPolicy = RetryPolicy(), holdsAfterGivingUp: Bool = false) {
        lane = Lane(window: window, retry: retry, holdsAfterGivingUp: holdsAfterGivingUp)
        now = .now
    }

    private mutating func lines(_ actions: [Lane<String>.Action]) -> [String] {
        actions.map { action in
            switch action {
            case .transmit(let batch, let ticket):
                tickets[batch] = ticket
                return "transmit \(batch) \(ticket.attempt)"
            case .settle(let batch, .acknowledged): return "acknowledged \(batch)"
            case .settle(let batch, .rejected(let reason)): return "rejected \(batch): \(reason)"
            case .refused(let batch, _, let reason): return "refused \(batch): \(reason)"
            case .wait(let until):
                waitUntil = until
                return "wait"
            }
        }
    }

    mutating func append(_ batch: String) -> [String] { lines(lane.append(batch, now: now)) }

    mutating func finish(_ batch: String, _ outcome: SendOutcome) throws -> [String] {
        let ticket = try #require(tickets[batch])
        return lines(lane.finished(ticket, outcome, now: now, using: &generator))
    }

    mutating func resolve(_ batch: String, _ resolution: Lane<String>.Resolution) throws -> [String] {
        lines(lane.resolve(try #require(tickets[batch]), resolution, now: now))
    }

    mutating func resume() -> [String] { lines(lane.resume(now: now)) }

    mutating func wait() throws -> [String] {
        now = max(now, try #require(waitUntil))
        waitUntil = nil
        return lines(lane.timeReached(now: now))
    }
}

@Suite struct LaneTests {
    @Test func batchesGoOneAfterTheOther() throws {
        var lane = Transcript()
        #expect(lane.append("a") == ["transmit a 1"])
        #expect(lane.append("b") == [])
        #expect(lane.append("c") == [])
        #expect(try lane.finish("a", .accepted) == ["acknowledged a", "transmit b 1"])
        #expect(try lane.finish("b", .accepted) == ["acknowledged b", "transmit c 1"])
        #expect(try lane.finish("c", .accepted) == ["acknowledged c"])
        #expect(lane.lane.isEmpty)
    }

    @Test func aRefusedBatchKeepsItsPlace() throws {
        var lane = Transcript()
        _ = lane.append("a")
        _ = lane.append("b")
        #expect(try lane.finish("a", .retry(reason: "busy")) == ["wait"])
        #expect(lane.append("c") == [])
        #expect(try lane.wait() == ["transmit a 2"])
        #expect(try lane.finish("a", .unknown(reason: "connection lost")) == ["wait"])
        #expect(lane.lane.failures == 2)
        #expect(try lane.wait() == ["transmit a 3"])
        #expect(try lane.finish("a", .accepted) == ["acknowledged a", "transmit b 1"])
        #expect(lane.lane.failures == 0)
    }

    @Test func aBatchRefusedForGoodLetsTheNextPass() throws {
        var lane = Transcript()
        _ = lane.append("a")
        _ = lane.append("b")
        #expect(try lane.finish("a", .rejected(reason: "too large")) == ["refused a: too large"])
        // Nothing moves before it is decided what becomes of it.
        #expect(lane.append("c") == [])
        #expect(try lane.resolve("a", .giveUp) == ["rejected a: too large", "transmit b 1"])
        #expect(try lane.finish("b", .accepted) == ["acknowledged b", "transmit c 1"])
    }

    @Test func thePartsOfARefusedBatchTakeItsPlace() throws {
        var lane = Transcript()
        _ = lane.append("a")
        _ = lane.append("b")
        #expect(try lane.finish("a", .rejected(reason: "bad")) == ["refused a: bad"])
        #expect(try lane.resolve("a", .replace(["a1", "a2"])) == ["transmit a1 1"])
        #expect(try lane.finish("a1", .accepted) == ["acknowledged a1", "transmit a2 1"])
        #expect(try lane.finish("a2", .rejected(reason: "bad")) == ["refused a2: bad"])
        #expect(try lane.resolve("a2", .giveUp) == ["rejected a2: bad", "transmit b 1"])
        #expect(try lane.finish("b", .accepted) == ["acknowledged b"])
        #expect(lane.lane.isEmpty)
    }

    @Test func theServicesDelayIsHonoured() throws {
        var lane = Transcript(retry: RetryPolicy(first: .milliseconds(10), cap: .seconds(1)))
        _ = lane.append("a")
        #expect(try lane.finish("a", .retry(reason: "throttled", after: .seconds(4))) == ["wait"])
        let wait = lane.now.duration(to: try #require(lane.waitUntil))
        #expect(wait >= .seconds(4) && wait <= .milliseconds(4010))
        // Asked too early, it asks for the rest.
        lane.now = lane.now.advanced(by: .seconds(3))
        let until = lane.waitUntil
        for action in lane.lane.timeReached(now: lane.now) {
            guard case .wait(let again) = action else { throw Unexpected() }
            #expect(again == until)
        }
        #expect(try lane.wait() == ["transmit a 2"])
    }

    @Test func settlementsKeepTheOrderOfAWiderWindow() throws {
        var lane = Transcript(window: 3)
        #expect(lane.append("a") == ["transmit a 1"])
        #expect(lane.append("b") == ["transmit b 1"])
        #expect(lane.append("c") == ["transmit c 1"])
        #expect(lane.append("d") == [])
        #expect(try lane.finish("b", .accepted) == ["transmit d 1"])
        #expect(try lane.finish("c", .rejected(reason: "bad")) == ["refused c: bad"])
        #expect(try lane.resolve("c", .giveUp) == [])
        #expect(try lane.finish("a", .accepted) == ["acknowledged a", "acknowledged b", "rejected c: bad"])
        #expect(try lane.finish("d", .accepted) == ["acknowledged d"])
        #expect(lane.lane.isReady)
    }

    @Test func afterAFailureAWiderWindowDrainsBeforeItGoesOn() throws {
        var lane = Transcript(window: 2)
        _ = lane.append("a")
        _ = lane.append("b")
        _ = lane.append("c")
        #expect(try lane.finish("a", .retry(reason: "busy")) == ["wait"])
        #expect(try lane.wait() == [])
        #expect(try lane.finish("b", .retry(reason: "out of sequence")) == ["wait"])
        #expect(try lane.wait() == ["transmit a 2", "transmit b 2"])
        #expect(try lane.finish("a", .accepted) == ["acknowledged a", "transmit c 1"])
    }

    /// Otherwise c would follow the gap before b is sent again, and come before it.
    @Test func afterARefusalForGoodAWiderWindowDrainsToo() throws {
        var lane = Transcript(window: 2)
        _ = lane.append("a")
        _ = lane.append("b")
        _ = lane.append("c")
        #expect(try lane.finish("a", .rejected(reason: "bad")) == ["refused a: bad"])
        #expect(try lane.resolve("a", .giveUp) == ["rejected a: bad"])
        #expect(try lane.finish("b", .retry(reason: "out of sequence")) == ["wait"])
        #expect(try lane.wait() == ["transmit b 2", "transmit c 1"])
    }

    /// Its owner notes it when it is settled, and must have done so before what is behind it is stored anywhere.
    @Test func whatIsBehindAGivenUpBatchWaitsUntilThatIsSettled() throws {
        var lane = Transcript(window: 3)
        _ = lane.append("a")
        _ = lane.append("b")
        _ = lane.append("c")
        #expect(try lane.finish("b", .rejected(reason: "bad")) == ["refused b: bad"])
        #expect(try lane.resolve("b", .giveUp) == [])
        #expect(try lane.finish("a", .unknown(reason: "no answer")) == ["wait"])
        #expect(try lane.finish("c", .retry(reason: "out of sequence")) == ["wait"])
        #expect(try lane.wait() == ["transmit a 2"])
        #expect(lane.append("d") == [])
        #expect(!lane.lane.isReady)
        #expect(
            try lane.finish("a", .accepted) == ["acknowledged a", "rejected b: bad", "transmit c 2", "transmit d 1"])
    }

    @Test func aHeldLaneWaitsUntilItIsToldToGoOn() throws {
        var lane = Transcript(window: 2, holdsAfterGivingUp: true)
        #expect(lane.append("a") == ["transmit a 1"])
        #expect(lane.append("b") == ["transmit b 1"])
        #expect(try lane.finish("a", .rejected(reason: "bad")) == ["refused a: bad"])
        #expect(try lane.finish("b", .retry(reason: "gap")) == ["wait"])
        #expect(try lane.resolve("a", .giveUp) == ["rejected a: bad"])
        #expect(lane.append("c") == [])
        #expect(try lane.wait() == [])
        #expect(lane.resume() == ["transmit b 2", "transmit c 1"])
        // What is in flight ends while the lane is held.
        lane.lane.hold()
        #expect(lane.append("d") == [])
        #expect(try lane.finish("b", .accepted) == ["acknowledged b"])
        #expect(try lane.finish("c", .accepted) == ["acknowledged c"])
        #expect(lane.resume() == ["transmit d 1"])
    }

    @Test func aHaltedLaneOnlyTakesWhatEnds() throws {
        var lane = Transcript()
        _ = lane.append("a")
        _ = lane.append("b")
        lane.lane.halt()
        #expect(try lane.finish("a", .accepted) == ["acknowledged a"])
        #expect(lane.append("c") == [])
        #expect(lane.lane.count == 2)
    }

    @Test func delaysGrowToTheCapAndAreSpread() {
        let policy = RetryPolicy(first: .milliseconds(50), cap: .seconds(30), suggestedCap: .seconds(60))
        var generator = SeededGenerator(seed: 2)
        for failures in [1, 2, 3, 8, 10, 11, 1000, Int.max] {
            let limit = failures > 10 ? Duration.seconds(30) : min(.seconds(30), .milliseconds(50 << (failures - 1)))
            var longest = Duration.zero
            for _ in 0..<400 {
                let delay = policy.delay(afterFailures: failures, suggested: nil, using: &generator)
                #expect(delay >= .zero && delay <= limit)
                longest = max(longest, delay)
            }
            #expect(longest > limit / 2)
        }
        let delay = policy.delay(afterFailures: 1, suggested: .seconds(100_000), using: &generator)
        #expect(delay >= .seconds(60) && delay <= .milliseconds(60_050))
    }

    struct Unexpected: Error {}

    /// A service that loses connections, refuses and forgets, driven at random: every batch ends once and in order,
    /// what the service has is in order, and no wait is longer than the policy allows.
    @Test(arguments: [1, 2, 5])
    func nothingIsLostNorOvertakenWhateverTheServiceDoes(window: Int) throws {
        for var generator in [SeededGenerator(seed: UInt64(window)), .fresh("lane")] {
            for _ in 0..<300 {
                let policy = RetryPolicy(first: .milliseconds(20), cap: .seconds(2), suggestedCap: .seconds(3))
                var lane = Lane<Int>(window: window, retry: policy)
                var now = ContinuousClock.now
                var waitUntil: ContinuousClock.Instant?
                var flying: [(batch: Int, ticket: Lane<Int>.Ticket, isReceived: Bool)] = []
                var settled: [Int] = []
                var received: [Int] = []
                var rejected: Set<Int> = []
                var appended = 0
                let total = Int.random(in: 1...30, using: &generator)

                func perform(_ actions: [Lane<Int>.Action]) throws {
                    for action in actions {
                        switch action {
                        case .transmit(let batch, let ticket):
                            #expect(!flying.contains { $0.batch == batch })
                            flying.append((batch, ticket, false))
                            #expect(flying.count <= window)
                        case .settle(let batch, let settlement):
                            settled.append(batch)
                            if case .rejected = settlement {
                                #expect(rejected.contains(batch))
                            } else {
                                #expect(received.contains(batch))
                            }
                        case .refused(let batch, let ticket, _):
                            #expect(rejected.contains(batch))
                            try perform(lane.resolve(ticket, .giveUp, now: now))
                        case .wait(let until):
                            waitUntil = until
                            #expect(now.duration(to: until) <= .seconds(5))
                        }
                    }
                }

                var steps = 0
                while settled.count < total {
                    steps += 1
                    // Late in the run the service is kind, so that it ends.
                    let isKind = steps > 400
                    try #require(steps < 2000)
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0 where appended < total:
                        try perform(lane.append(appended, now: now))
                        appended += 1
                    case 1 where waitUntil != nil:
                        now = now.advanced(by: .milliseconds(Int.random(in: 0...3000, using: &generator)))
                        if let until = waitUntil, now >= until {
                            waitUntil = nil
                            try perform(lane.timeReached(now: now))
                        }
                    case 2 where !flying.isEmpty:
                        // The service works off what came, in order, and answers in any order. One that may have
                        // several in flight refuses what does not follow what it has.
                        let pick = window == 1 ? 0 : Int.random(in: 0..<flying.count, using: &generator)
                        let (batch, ticket, _) = flying[pick]
                        let follows = (0..<batch).allSatisfy { received.contains($0) || rejected.contains($0) }
                        var outcome = SendOutcome.accepted
                        switch isKind ? 9 : Int.random(in: 0..<10, using: &generator) {
                        case 0: outcome = .retry(reason: "busy")
                        case 1: outcome = .retry(reason: "throttled", after: .milliseconds(1500))
                        case 2: outcome = .unknown(reason: "lost before it arrived")
                        case 3 where follows:
                            received.append(batch)
                            outcome = .unknown(reason: "lost after it arrived")
                        case 4 where follows && !received.contains(batch):
                            rejected.insert(batch)
                            outcome = .rejected(reason: "no")
                        default:
                            if follows { received.append(batch) } else { outcome = .retry(reason: "sequence") }
                        }
                        flying.remove(at: pick)
                        try perform(lane.finished(ticket, outcome, now: now, using: &generator))
                    default: break
                    }
                }
                #expect(settled == Array(0..<total))
                #expect(lane.isEmpty && flying.isEmpty && lane.inFlight == 0)
                // Duplicates may follow, but nothing comes before its predecessor.
                var seen: [Int] = []
                for batch in received where !seen.contains(batch) { seen.append(batch) }
                #expect(seen == (0..<total).filter { !rejected.contains($0) })
            }
        }
    }
}
