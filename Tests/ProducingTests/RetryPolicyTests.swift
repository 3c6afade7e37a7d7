import Producing
import TestSupport
import Testing

@Suite struct RetryPolicyTests {
    /// Five hundred agents lose their service in the same moment; it stays away, and comes back, whenever that may be.
    @Test func whoLostAServiceTogetherDoesNotComeBackTogether() {
        let policy = RetryPolicy()
        for var generator in [SeededGenerator(seed: 99), .fresh("five hundred agents")] {
            var perSecond = [Int](repeating: 0, count: 1200)
            for _ in 0..<500 {
                var time = Duration.zero
                var failures = 1
                while true {
                    time += policy.delay(afterFailures: failures, suggested: nil, using: &generator)
                    failures += 1
                    guard time < .seconds(perSecond.count) else { break }
                    perSecond[Int(time.components.seconds)] += 1
                }
            }
            // After a minute waits have their full length, 15 s on average: of the five hundred, 33 in any second.
            let later = perSecond[60...]
            let most = later.max() ?? 0
            let average = Double(later.reduce(0, +)) / Double(later.count)
            #expect(average > 25 && average < 45, "seed \(generator.seed)")
            #expect(most < 100, "seed \(generator.seed)")
        }
    }

    /// As Pulsar's clients wait: section 3.4 of its protocol notes.
    @Test func shortenedWaitsAreNeverBelowTheFirst() {
        let policy = RetryPolicy(first: .milliseconds(100), cap: .seconds(60), jitter: .shortened(0.1))
        for var generator in [SeededGenerator(seed: 61), .fresh("shortened waits")] {
            for failures in 1...40 {
                let whole = min(Duration.milliseconds(100) * (1 << min(failures - 1, 20)), .seconds(60))
                for _ in 0..<50 {
                    let wait = policy.delay(afterFailures: failures, suggested: nil, using: &generator)
                    #expect(wait <= whole && wait >= max(whole * 0.9, .milliseconds(100)))
                }
            }
            let asked = policy.delay(afterFailures: 1, suggested: .seconds(7), using: &generator)
            #expect(asked == .seconds(7))
        }
    }
}
