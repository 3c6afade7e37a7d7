import Producing
import Synchronization
import TestSupport
import Testing

/// A service whose transmissions a test ends by hand.
private final class HandService: Service {
    struct Transmission: Sendable {
        let batch: String
        let partition: Int
        let completion: @Sendable (SendOutcome) -> Void
    }
    private let sent = Mutex<[Transmission]>([])

    func send(_ batch: String, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void) {
        sent.withLock { $0.append(Transmission(batch: batch, partition: partition, completion: completion)) }
    }

    func take() -> [Transmission] {
        sent.withLock { sent in
            defer { sent = [] }
            return sent
        }
    }
}

@Suite struct LaneEngineTests {
    @Test func lanesGoTheirOwnWays() {
        let service = HandService()
        let wakes = Atomic<Int>(0)
        let engine = LaneEngine<HandService, Int>(service: service, partitions: 3) {
            wakes.add(1, ordering: .relaxed)
        }
        let now = ContinuousClock.now
        for (index, partition) in [0, 1, 0].enumerated() {
            engine.append(
                .init(batch: "b\(index)", tag: index, bytes: 10, records: 2), partition: partition, now: now)
        }
        #expect(engine.bytes == 30 && engine.bytes(of: 0) == 20 && engine.records == 6)
        #expect(engine.inFlight == 2 && engine.inFlightRecords == 4)
        let sent = service.take()
        #expect(sent.map(\.batch) == ["b0", "b1"])

        var settled: [String] = []
        var failures: [String] = []
        func poll(_ now: ContinuousClock.Instant) {
            engine.poll(now: now, failed: { failures.append("\($0.partition) \($0.failures) \($0.reason)") }) {
                settled.append("\($0) \($1.tag) \($1.batch) \($2)")
            }
        }
        poll(now)
        #expect(settled.isEmpty && engine.deadline == nil)
        sent[1].completion(.accepted)
        sent[0].completion(.unknown(reason: "gone"))
        #expect(wakes.load(ordering: .relaxed) == 2)
        poll(now)
        #expect(settled == ["1 1 b1 acknowledged"])
        #expect(failures == ["0 1 gone"])
        #expect(engine.counters.unknownOutcomes == 1 && engine.counters.retries == 1)
        #expect(service.take().isEmpty)
        let later = engine.deadline ?? now
        #expect(later >= now)
        poll(later)
        let again = service.take()
        #expect(again.map(\.batch) == ["b0"] && engine.failures(of: 0) == 1)
        engine.halt()
        again[0].completion(.accepted)
        poll(later)
        #expect(settled.last == "0 0 b0 acknowledged")
        // Halted: b2 stays.
        #expect(service.take().isEmpty)
        #expect(engine.bytes == 10 && engine.inFlight == 0 && engine.oldest(of: 0)?.tag == 2)
    }

    @Test func whatWasTakenWakesNobodyWhoDoesNotAwaitIt() {
        let service = HandService()
        let wakes = Atomic<Int>(0)
        let engine = LaneEngine<HandService, Int>(service: service, partitions: 3, window: 2) {
            wakes.add(1, ordering: .relaxed)
        }
        let now = ContinuousClock.now
        for partition in 0..<3 {
            engine.append(.init(batch: "b", tag: 0, bytes: 1, records: 1), partition: partition, now: now)
        }
        #expect(!engine.hasWaiting && !engine.awaitCompletions(false))
        let sent = service.take()
        sent[0].completion(.accepted)
        #expect(wakes.load(ordering: .relaxed) == 0)
        // Who wants to sleep until it is woken learns what there is already.
        #expect(engine.awaitCompletions(true))
        sent[1].completion(.accepted)
        #expect(wakes.load(ordering: .relaxed) == 1)
        #expect(engine.awaitCompletions(false))
        // Something must be done about it.
        sent[2].completion(.retry(reason: "not now"))
        #expect(wakes.load(ordering: .relaxed) == 2)
        var settled: [Int] = []
        engine.poll(now: now) { partition, _, _ in settled.append(partition) }
        #expect(settled == [0, 1] && engine.hasWaiting && !engine.awaitCompletions(true))
    }
}
