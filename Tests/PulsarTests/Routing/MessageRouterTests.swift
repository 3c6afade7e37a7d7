import TestSupport
import Testing

@testable import Pulsar

@Suite struct MessageRouterTests {
    private typealias Router = MessageRouter<Int>
    private let now = ContinuousClock.now

    private func make(_ mode: Router.Mode, _ random: inout SeededGenerator, partitions: Int = 4) -> Router {
        Router(mode, hashing: .murmur3, partitions: partitions, using: &random)
    }

    private func span(messages: Int = 1000, bytes: Int = 131_072, time: Duration = .milliseconds(10)) -> Router.Mode {
        .roundRobinByBatch(Router.BatchSpan(messages: messages, bytes: bytes, time: time))
    }

    @Test func aKeyDecidesInEveryModeButTheCustomOne() throws {
        var random = SeededGenerator(seed: 1)
        for mode in [.single, .roundRobin, span()] as [Router.Mode] {
            for hashing in PulsarHashing.allCases {
                var router = Router(mode, hashing: hashing, partitions: 991, using: &random)
                for key in ["a", "host-01.example.com", "日本語"] {
                    let expected = Int(hashing.hash(key)) % 991
                    for _ in 0..<3 {
                        #expect(try router.partition(of: 0, key: key, size: 1, now: now) == expected)
                    }
                }
            }
        }
        var custom = make(.custom { message, count in message % count }, &random)
        #expect(try custom.partition(of: 7, key: "a", size: 1, now: now) == 3)
    }

    @Test func anEmptyKeyIsNone() throws {
        var random = SeededGenerator(seed: 2)
        var router = make(.roundRobin, &random)
        let first = try router.partition(of: 0, key: "", size: 1, now: now)
        #expect(try router.partition(of: 0, key: "", size: 1, now: now) == (first + 1) % 4)
    }

    @Test func aSinglePartitionIsChosenAtRandomAndKept() throws {
        var random = SeededGenerator(seed: 3)
        var chosen: Set<Int> = []
        for _ in 0..<200 {
            var router = make(.single, &random)
            let first = try router.partition(of: 0, key: nil, size: 1, now: now)
            for _ in 0..<5 { #expect(try router.partition(of: 0, key: nil, size: 1, now: now) == first) }
            chosen.insert(first)
        }
        #expect(chosen == [0, 1, 2, 3])
    }

    @Test func withoutBatchesTheTurnPassesWithEachMessageWithoutKey() throws {
        var random = SeededGenerator(seed: 4)
        var router = make(.roundRobin, &random)
        let first = try router.partition(of: 0, key: nil, size: 1, now: now)
        for step in 1..<9 {
            _ = try router.partition(of: 0, key: "k", size: 1, now: now)
            #expect(try router.partition(of: 0, key: nil, size: 1, now: now) == (first + step) % 4)
        }
    }

    @Test func theTurnPassesWhenABatchHasItsMessages() throws {
        var random = SeededGenerator(seed: 5)
        var router = make(span(messages: 3), &random)
        let turns = try (0..<9).map { _ in try router.partition(of: 0, key: nil, size: 1, now: now) }
        let first = turns[0]
        #expect(turns == [0, 0, 0, 1, 1, 1, 2, 2, 2].map { (first + $0) % 4 })
    }

    @Test func theTurnPassesWhenABatchHasItsBytes() throws {
        var random = SeededGenerator(seed: 6)
        var router = make(span(bytes: 100), &random)
        // 40 + 40 leave room for less than 20; a message as large as the span has a partition for itself.
        let sizes = [40, 40, 20, 79, 20, 100, 1, 0]
        let turns = try sizes.map { try router.partition(of: 0, key: nil, size: $0, now: now) }
        let first = turns[0]
        #expect(turns == [0, 0, 1, 1, 2, 3, 4, 4].map { (first + $0) % 4 })
    }

    @Test func theTurnPassesWithTime() throws {
        var random = SeededGenerator(seed: 7)
        var router = make(span(), &random)
        let milliseconds = [0, 5, 9, 10, 15, 19, 20, 500, 505]
        let turns = try milliseconds.map {
            try router.partition(of: 0, key: nil, size: 1, now: now + .milliseconds($0))
        }
        let first = turns[0]
        #expect(turns == [0, 0, 0, 1, 1, 1, 2, 3, 3].map { (first + $0) % 4 })
    }

    @Test func aMessageAboveTheSpanDoesNotSkipAPartitionAtFirst() throws {
        var random = SeededGenerator(seed: 8)
        var starts: [Int] = []
        var firsts: [Int] = []
        for _ in 0..<50 {
            var twin = random
            starts.append(.random(in: 0..<4, using: &twin))
            var router = make(span(bytes: 10), &random)
            firsts.append(try router.partition(of: 0, key: nil, size: 50, now: now))
        }
        #expect(starts == firsts)
    }

    @Test func aCustomIndexOutsideTheTopicIsRefused() {
        var random = SeededGenerator(seed: 9)
        for index in [-1, 4, .min, .max] {
            var router = make(.custom { _, _ in index }, &random)
            #expect(throws: PulsarError.self) { try router.partition(of: 0, key: nil, size: 1, now: now) }
        }
    }

    @Test func morePartitionsAreUsedOnceTheyAreThere() throws {
        var random = SeededGenerator(seed: 10)
        var router = make(.roundRobin, &random, partitions: 1)
        #expect(try router.partition(of: 0, key: "abc", size: 1, now: now) == 0)
        router.partitions = 3
        let turns = try (0..<6).map { _ in try router.partition(of: 0, key: nil, size: 1, now: now) }
        #expect(turns == [1, 2, 0, 1, 2, 0])
        #expect(try router.partition(of: 0, key: "abc", size: 1, now: now) == 870_159_354 % 3)
    }
}
