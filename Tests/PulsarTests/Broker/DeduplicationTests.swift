import TestSupport
import Testing

@testable import PulsarBroker

@Suite struct DeduplicationTests {
    @Test func onlyIdsAboveTheHighestAreStored() {
        var topic = Deduplication()
        #expect(topic.lastSequenceID(of: "a") == -1)
        #expect(topic.receive(from: "a", sequenceID: 0, highest: 0) == .store)
        topic.stored(from: "a", sequenceID: 0, highest: 0)
        #expect(topic.receive(from: "a", sequenceID: 0, highest: 0) == .duplicate)
        #expect(topic.receive(from: "a", sequenceID: 10, highest: 14) == .store)
        topic.stored(from: "a", sequenceID: 10, highest: 14)
        #expect(topic.lastSequenceID(of: "a") == 14)
        // Names do not know each other.
        #expect(topic.receive(from: "b", sequenceID: 3, highest: 3) == .store)
    }

    @Test func aBatchIsDecidedByItsLowestId() {
        var topic = Deduplication()
        topic.stored(from: "a", sequenceID: 0, highest: 14)
        // Old and new in one: dropped whole, and reported as a success.
        #expect(topic.receive(from: "a", sequenceID: 14, highest: 20) == .duplicate)
        #expect(topic.receive(from: "a", sequenceID: 15, highest: 20) == .store)
    }

    /// A client that leaves highest_sequence_id out.
    @Test func withoutTheHighestIdOnlyTheFirstIsRemembered() {
        var topic = Deduplication()
        #expect(topic.receive(from: "a", sequenceID: 5, highest: 0) == .store)
        topic.stored(from: "a", sequenceID: 5, highest: 0)
        #expect(topic.lastSequenceID(of: "a") == 5)
    }

    @Test func whatIsPushedButNotPersistedCannotBeTold() {
        var topic = Deduplication()
        #expect(topic.receive(from: "a", sequenceID: 1, highest: 3) == .store)
        #expect(topic.receive(from: "a", sequenceID: 1, highest: 3) == .unknown)
        #expect(topic.receive(from: "a", sequenceID: 4, highest: 4) == .store)
        topic.stored(from: "a", sequenceID: 1, highest: 3)
        #expect(topic.receive(from: "a", sequenceID: 1, highest: 3) == .duplicate)
        #expect(topic.receive(from: "a", sequenceID: 4, highest: 4) == .unknown)
        topic.writesFailed()
        #expect(topic.lastSequenceID(of: "a") == 3)
        #expect(topic.receive(from: "a", sequenceID: 4, highest: 4) == .store)
    }

    /// Against a model that keeps every id: whatever is sent again, and whenever writes end or fail, nothing that was
    /// persisted is stored twice, and nothing new is called a duplicate while a producer sends in order.
    @Test func aProducerThatResendsInOrderHasEachMessageStoredOnce() {
        for var generator in [SeededGenerator(seed: 1), SeededGenerator(seed: 2), .fresh("deduplication")] {
            var topic = Deduplication()
            var stored: [Int64] = []
            var underWay: [(Int64, Int64)] = []
            var next: Int64 = 0
            for _ in 0..<20_000 {
                let lowest = next
                let highest = lowest + Int64.random(in: 0...4, using: &generator)
                switch Int.random(in: 0..<10, using: &generator) {
                case 0..<6:
                    switch topic.receive(from: "p", sequenceID: lowest, highest: highest) {
                    case .store:
                        underWay.append((lowest, highest))
                        next = highest + 1
                    case .duplicate:
                        #expect(stored.contains(lowest), "\(generator.seed)")
                        next = lowest + 1
                    case .unknown: #expect(underWay.contains { $0.0 <= lowest && lowest <= $0.1 })
                    }
                case 6..<8:
                    guard !underWay.isEmpty else { continue }
                    let (low, high) = underWay.removeFirst()
                    topic.stored(from: "p", sequenceID: low, highest: high)
                    stored += Array(low...high)
                case 8:
                    // The producer reconnects, and goes on behind what the broker has.
                    next = topic.lastSequenceID(of: "p") + 1
                default:
                    underWay = []
                    topic.writesFailed()
                    next = topic.lastSequenceID(of: "p") + 1
                }
                stored = Array(stored.suffix(200))
            }
            #expect(stored == Array(Set(stored)).sorted(), "\(generator.seed)")
        }
    }
}
