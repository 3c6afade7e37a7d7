import TestSupport
import Testing

@testable import EventHubs

@Suite struct PublishingNumberTests {
    @Test func theRingBeginsBehindMinusOneAndCloses() {
        #expect(PublishingNumber.next(-1) == 0)
        #expect(PublishingNumber.next(0) == 1)
        #expect(PublishingNumber.next(.max) == 0)
        #expect(PublishingNumber.advanced(-1, by: 0) == -1)
        #expect(PublishingNumber.advanced(.max, by: 1 << 31) == .max)
        #expect(PublishingNumber.advanced(-1, by: 1 << 31) == .max)
        #expect(PublishingNumber.distance(from: -1, to: 0) == 1)
        #expect(PublishingNumber.distance(from: .max, to: 0) == 1)
        #expect(PublishingNumber.distance(from: 0, to: .max) == Int(Int32.max))
        #expect(PublishingNumber.distance(from: 9, to: 9) == 0)
    }

    @Test func stepsAndDistancesAgree() {
        for var random in [SeededGenerator(seed: 5), .fresh("ring")] {
            for _ in 0..<2000 {
                let start = Int32.random(in: -1 ... .max, using: &random)
                let steps = Int.random(in: 0..<(1 << 31), using: &random)
                let end = PublishingNumber.advanced(start, by: steps)
                #expect(steps == 0 || end >= 0)
                #expect(PublishingNumber.distance(from: start, to: end) == steps)
                if start >= 0 {
                    #expect(PublishingNumber.isAtOrBefore(start, end) == (steps < 1 << 30))
                    #expect(PublishingNumber.isAtOrBefore(end, start) == (steps == 0 || steps > 1 << 30))
                }
            }
        }
    }

    @Test func nothingComesBeforeTheFirst() {
        #expect(!PublishingNumber.isAtOrBefore(0, -1))
        #expect(!PublishingNumber.isAtOrBefore(.max, -1))
        #expect(PublishingNumber.isAtOrBefore(-1, -1))
    }
}
