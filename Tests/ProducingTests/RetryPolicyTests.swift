import Producing
import TestSupport
import Testing

@Suite struct RetryPolicyTests {
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
