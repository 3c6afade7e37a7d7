import TestSupport
import Testing

@testable import EventHubs

/// The waits of the plain client, on simulated time.
@Suite struct RetrySeriesTests {
    private func waits(
        _ prospect: SendResult.Prospect = .retriable(after: .zero), deadline: Duration? = nil,
        _ change: (inout RetryOptions) -> Void = { _ in }
    ) -> [Duration] {
        var options = RetryOptions()
        options.jitter = 0
        change(&options)
        var now = ContinuousClock.now
        var series = RetrySeries(options, deadline: deadline.map { now.advanced(by: $0) })
        var random = SeededGenerator(seed: 1)
        var waits: [Duration] = []
        while waits.count < 200, let wait = series.wait(after: prospect, now: now, using: &random) {
            waits.append(wait)
            now = now.advanced(by: wait)
        }
        return waits
    }

    private func milliseconds(_ values: Int...) -> [Duration] { values.map { .milliseconds($0) } }

    @Test func theSeriesIsThatOfTheReferenceWithoutAWaitAfterTheLastAttempt() {
        #expect(waits() == milliseconds(800, 1600, 3200))
        #expect(waits { $0.maximumRetries = 5 } == milliseconds(800, 1600, 3200, 6400, 12800))
        #expect(
            waits { $0.maximumRetries = 10 }
                == milliseconds(800, 1600, 3200, 6400, 12800, 25600, 51200, 102_400, 120_000, 120_000))
        #expect(waits { ($0.maximumRetries, $0.delay) = (2, .milliseconds(100)) } == milliseconds(100, 200))
        #expect(
            waits { ($0.maximumRetries, $0.delay, $0.mode) = (2, .milliseconds(100), .fixed) }
                == milliseconds(100, 100))
        #expect(
            waits { ($0.maximumRetries, $0.delay, $0.maximumDelay) = (3, .milliseconds(100), .milliseconds(150)) }
                == milliseconds(100, 150, 150))
        #expect(waits { $0.maximumRetries = 0 }.isEmpty)
        #expect(waits { $0.maximumRetries = nil }.count == 200)
    }

    @Test func aBusyServiceGetsFourSecondsOrMore() {
        #expect(waits(.retriable(after: .seconds(4))) == milliseconds(4000, 4000, 4000))
        #expect(waits(.retriable(after: .seconds(4))) { $0.maximumRetries = 4 }.last == .milliseconds(6400))
    }

    @Test func noWaitGoesBeyondTheDeadline() {
        #expect(waits(deadline: .seconds(2)) == milliseconds(800))
        #expect(waits(deadline: .milliseconds(800)).isEmpty)
    }

    @Test func permanentFailuresGetNoWaitAtAll() {
        #expect(waits(.batchRefused).isEmpty)
        #expect(waits(.blocked).isEmpty)
        #expect(waits(.unknown) == milliseconds(800, 1600, 3200))
    }

    @Test func jitterMakesWaitsLonger() {
        let spread = waits { $0.jitter = 0.5 }
        #expect(spread.count == 3)
        for (wait, plain) in zip(spread, milliseconds(800, 1600, 3200)) {
            #expect(wait > plain && wait <= plain * 1.5)
        }
    }
}
