import Testing

@testable import TailraceDelivery

/// When a full lane is no longer waited for.
@Suite struct StallTests {
    private let start = ContinuousClock.now

    /// A stall that `#expect` may change.
    private final class Course {
        var stall: Stall

        /// `bytes` are of the 100 ms that follow.
        init(_ start: ContinuousClock.Instant, bytes: Int) {
            stall = Stall(now: start)
            _ = stall.note(.going, start)
            stall.count(bytes)
        }

        func note(_ phase: Stall.Phase, _ now: ContinuousClock.Instant) -> Bool { stall.note(phase, now) }
        func count(_ bytes: Int) { stall.count(bytes) }
        var deadline: ContinuousClock.Instant? { stall.deadline }
    }

    private func course(bytes: Int) -> Course { Course(start, bytes: bytes) }

    private func at(_ milliseconds: Int) -> ContinuousClock.Instant { start.advanced(by: .milliseconds(milliseconds)) }

    @Test func whoDoesNotMoveIsWaitedForShortly() {
        for bytes in [0, 1_000_000] {
            let stall = course(bytes: bytes)
            #expect(!stall.note(.waiting, at(100)) && stall.deadline == at(200))
            #expect(!stall.note(.waiting, at(199)))
            #expect(stall.note(.waiting, at(200)))
            #expect(stall.deadline == nil)
        }
    }

    @Test func pausesOfOneSecondAddUp() {
        let stall = course(bytes: 1_000_000)
        for begin in [100, 160, 220] {
            #expect(!stall.note(.waiting, at(begin)))
            #expect(!stall.note(.going, at(begin + 30)))
            #expect(stall.deadline == nil)
        }
        #expect(!stall.note(.waiting, at(280)) && stall.deadline == at(290))
        #expect(stall.note(.waiting, at(290)))
    }

    @Test func whatIsSentMeanwhileCountsByThePace() {
        let stall = course(bytes: 1_000_000)
        #expect(!stall.note(.waiting, at(100)))
        // At half the pace it goes on as long as it likes.
        for step in 1...200 {
            stall.count(50_000)
            #expect(!stall.note(.waiting, at(100 + step * 10)))
        }
        // And then for a tenth of a second, with nothing.
        #expect(stall.deadline == at(2200))
    }

    @Test func aThirdOfThePaceIsTooLittle() {
        let stall = course(bytes: 1_000_000)
        #expect(!stall.note(.waiting, at(100)))
        var steps = 0
        while steps < 100 {
            steps += 1
            stall.count(33_333)
            if stall.note(.waiting, at(100 + steps * 10)) { break }
        }
        // Two thirds of the time are excused.
        #expect((30...31).contains(steps))
    }

    @Test func idleTimesAreNobodysPace() {
        let stall = course(bytes: 1_000_000)
        #expect(!stall.note(.idle, at(100)))
        stall.count(5)
        #expect(!stall.note(.waiting, at(900)))
        stall.count(500_000)
        #expect(stall.deadline == at(1100))
    }

    /// What was long ago says nothing: the pauses are forgotten, and the pace fades as another comes.
    @Test func thePaceFollows() {
        let stall = course(bytes: 1_000_000)
        for second in 1...20 {
            stall.count(1000)
            #expect(!stall.note(.going, at(second * 1000)))
        }
        #expect(!stall.note(.waiting, at(20_000)))
        stall.count(100)
        #expect(stall.deadline.map { $0 > at(20_250) && $0 < at(20_350) } == true)
    }
}
