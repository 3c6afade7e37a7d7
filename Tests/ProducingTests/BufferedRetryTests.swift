import Producing
import Synchronization
import TestSupport
import Testing

/// What a buffered producer does when the service does not take a batch; on simulated time.
@Suite struct BufferedRetryTests {
    private typealias End = HandBufferedService.End

    /// The times of all attempts at one batch that fails for ever, from the first one, and when its result came.
    private func attempts(_ policy: RetryPolicy, retries: Int?, until limit: Duration = .seconds(1000)) throws
        -> (times: [Duration], result: Duration?)
    {
        let numbers = NumberProducer(
            maximumSize: 1, BufferLimits(maximumWait: .zero, retry: policy, maximumRetries: retries))
        let start = numbers.timer.now
        let times = Mutex<[Duration]>([])
        let timer = numbers.timer
        numbers.service.answer { _ in
            times.withLock { $0.append(start.duration(to: timer.now)) }
            return .failed(.refused("down"), .retriable())
        }
        try numbers.add(1)
        var result: Duration?
        while result == nil, let next = timer.next, start.duration(to: next) <= limit {
            timer.advance(to: next)
            if !numbers.results.isEmpty { result = start.duration(to: timer.now) }
        }
        if result != nil { #expect(numbers.results.map(\.failure) == [.refused("down")]) }
        return (times.withLock { $0 }, result)
    }

    private func policy(
        _ first: Duration, cap: Duration = .seconds(120), _ growth: RetryPolicy.Growth = .exponential
    ) -> RetryPolicy {
        RetryPolicy(first: first, cap: cap, growth: growth, jitter: .share(0))
    }

    @Test func theSeriesOfWaitsIsThatOfTheReference() throws {
        func gaps(_ policy: RetryPolicy, _ retries: Int) throws -> [Duration] {
            let (times, result) = try attempts(policy, retries: retries)
            #expect(times.count == retries + 1)
            // Unlike the reference: no wait after the last attempt.
            #expect(result == times.last)
            return zip(times, times.dropFirst()).map { $1 - $0 }
        }
        func milliseconds(_ values: Int...) -> [Duration] { values.map { .milliseconds($0) } }
        #expect(try gaps(policy(.milliseconds(800)), 3) == milliseconds(800, 1600, 3200))
        #expect(try gaps(policy(.milliseconds(800)), 5) == milliseconds(800, 1600, 3200, 6400, 12800))
        #expect(
            try gaps(policy(.milliseconds(800)), 10)
                == milliseconds(800, 1600, 3200, 6400, 12800, 25600, 51200, 102_400, 120_000, 120_000))
        #expect(try gaps(policy(.milliseconds(100)), 2) == milliseconds(100, 200))
        #expect(try gaps(policy(.milliseconds(100), .fixed), 2) == milliseconds(100, 100))
        #expect(try gaps(policy(.milliseconds(100), cap: .milliseconds(150)), 3) == milliseconds(100, 150, 150))
        #expect(try gaps(policy(.milliseconds(800)), 0) == [])
    }

    @Test func jitterMakesWaitsLongerByItsShareAtMost() {
        var generator = SeededGenerator(seed: 3)
        let policy = RetryPolicy(first: .seconds(1), cap: .seconds(8), jitter: .share(0.25))
        for (failures, seconds) in [(1, 1), (2, 2), (4, 8), (1000, 8)] {
            var longest = Duration.zero
            for _ in 0..<300 {
                let delay = policy.delay(afterFailures: failures, suggested: nil, using: &generator)
                #expect(delay >= .seconds(seconds) && delay <= .seconds(seconds) * 1.25)
                longest = max(longest, delay)
            }
            #expect(longest > .seconds(seconds) * 1.2)
        }
        let suggested = policy.delay(afterFailures: 1, suggested: .seconds(4), using: &generator)
        #expect(suggested >= .seconds(4) && suggested <= .seconds(5))
    }

    @Test func withoutALimitAttemptsNeverEnd() throws {
        let (times, result) = try attempts(policy(.seconds(1), cap: .seconds(10)), retries: nil)
        #expect(times.count > 90 && result == nil)
    }

    @Test func aPermanentFailureIsTheResultAtOnceAndTheNextBatchPasses() throws {
        let numbers = NumberProducer(maximumSize: 1, BufferLimits(maximumRetries: 5))
        numbers.service.answer { sent in
            sent.batch == [1] ? .failed(.refused("no"), .permanent) : .accepted
        }
        for number in 1...3 { try numbers.add(number) }
        numbers.timer.advance(by: .seconds(1))
        #expect(numbers.results.map(\.failure) == [.refused("no"), nil, nil])
        #expect(numbers.service.all.withLock { $0.count } == 3)
    }

    @Test func anUnknownOutcomeIsTriedAgain() throws {
        let numbers = NumberProducer(maximumSize: 1, BufferLimits(maximumRetries: 1))
        let first = Mutex(true)
        numbers.service.answer { _ in
            let isFirst = first.withLock { first in
                defer { first = false }
                return first
            }
            return isFirst ? .failed(.lost, .unknown) : .accepted
        }
        try numbers.add(1)
        numbers.timer.advance(by: .seconds(2))
        #expect(numbers.results.map(\.failure) == [nil])
    }

    @Test func throttlingWaitsAndGoesOnWithoutCountingAsAnAttempt() throws {
        let numbers = NumberProducer(
            maximumSize: 1,
            BufferLimits(retry: policy(.milliseconds(1)), maximumRetries: 0))
        let times = Mutex<[ContinuousClock.Instant]>([])
        let timer = numbers.timer
        numbers.service.answer { _ in
            let count = times.withLock { times in
                times.append(timer.now)
                return times.count
            }
            return count <= 50 ? .failed(.refused("busy"), .throttled(after: .seconds(4))) : .accepted
        }
        try numbers.add(1)
        timer.advance(by: .seconds(400))
        let all = times.withLock { $0 }
        #expect(all.count == 51)
        for (earlier, later) in zip(all, all.dropFirst()) {
            let wait = earlier.duration(to: later)
            #expect(wait >= .seconds(4) && wait <= .seconds(5))
        }
        #expect(numbers.results.map(\.failure) == [nil])
    }

    /// The service refuses for ten minutes, in every way that may pass; then it is back.
    @Test(arguments: ["refuses", "throttles", "vanishes"])
    func afterTenMinutesOfRefusalNothingIsLostAndTheFirstDeliveryComesWithinOneBackOff(how: String) throws {
        let cap = Duration.seconds(30)
        let partitions = 3
        let numbers = NumberProducer(
            partitions: partitions, maximumSize: 5, concurrent: 2,
            BufferLimits(maximumEvents: 40, retry: RetryPolicy(first: .milliseconds(800), cap: cap)))
        let timer = numbers.timer
        let back = timer.now.advanced(by: .seconds(600))
        let delivered = Mutex<[(time: ContinuousClock.Instant, partition: Int, batch: [Int])]>([])
        numbers.service.answer { sent in
            guard timer.now >= back else {
                switch how {
                case "throttles": return .failed(.refused("busy"), .throttled(after: .seconds(4)))
                case "vanishes": return .failed(.lost, .unknown)
                default: return .failed(.refused("down"), .retriable())
                }
            }
            delivered.withLock { $0.append((timer.now, sent.partition, sent.batch)) }
            return .accepted
        }
        // More than the buffers hold, as time goes by: who finds no room comes back later.
        var next = Array(repeating: 0, count: partitions)
        var full = 0
        for _ in 0..<1700 {
            for partition in 0..<partitions where next[partition] < 300 {
                if try numbers.add(next[partition], partition: partition) {
                    next[partition] += 1
                } else {
                    full += 1
                }
                #expect(numbers.producer.partition(partition).count <= 40)
            }
            timer.advance(by: .milliseconds(500))
        }
        timer.advance(by: .seconds(5))
        #expect(full > 0 && next.allSatisfy { $0 == 300 })
        let all = delivered.withLock { $0 }
        for partition in 0..<partitions {
            let own = all.filter { $0.partition == partition }
            #expect(own.flatMap(\.batch) == Array(0..<300))
            let first = try #require(own.first)
            let limit = how == "throttles" ? Duration.seconds(5) : cap
            #expect(first.time >= back && back.duration(to: first.time) <= limit, "partition \(partition)")
        }
        #expect(numbers.results.allSatisfy { $0.failure == nil })
        #expect(numbers.results.map(\.batch.count).reduce(0, +) == 900)
    }
}
