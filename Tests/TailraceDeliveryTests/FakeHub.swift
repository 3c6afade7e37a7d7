import Producing
import Synchronization
import TailraceDelivery
import TailraceSpool

/// A value whose changes can be awaited.
final class Watched<Value: Sendable>: Sendable {
    private struct Waiter {
        let isDone: @Sendable (Value) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }
    private struct State {
        var value: Value
        var waiters: [Waiter] = []
    }
    private let state: Mutex<State>

    init(_ value: Value) { state = Mutex(State(value: value)) }

    var value: Value { state.withLock { $0.value } }

    func update<R: Sendable>(_ body: (inout Value) -> R) -> R {
        let (result, done) = state.withLock { state in
            let result = body(&state.value)
            let done = state.waiters.filter { $0.isDone(state.value) }
            state.waiters.removeAll { $0.isDone(state.value) }
            return (result, done)
        }
        for waiter in done { waiter.continuation.resume() }
        return result
    }

    func wait(until isDone: @escaping @Sendable (Value) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if isDone(state.value) { return true }
                state.waiters.append(Waiter(isDone: isDone, continuation: continuation))
                return false
            }
            if isOver { continuation.resume() }
        }
    }
}

struct FakeRecord: Equatable, Sendable {
    var sequence: UInt64
    var body: [UInt8]
    var source: String
    /// The body's original length when it was cut.
    var cutFrom: Int?
}

struct FakeBatch: Sendable {
    var key: String
    var records: [FakeRecord]
}

/// What the hub has taken, in order; lives longer than any drain.
struct FakeStore: Sendable {
    var partitions: [[FakeRecord]]
    var batches = 0

    /// Each record once, where it first appeared.
    func distinct(_ partition: Int) -> [FakeRecord] {
        var seen: Set<UInt64> = []
        return partitions[partition].filter { seen.insert($0.sequence).inserted }
    }

    var count: Int { partitions.reduce(0) { $0 + $1.count } }
    var sequences: [UInt64] { partitions.flatMap { $0.map(\.sequence) }.sorted() }
}

/// A destination in memory: answers by a function at once, or holds transmissions for the test to answer.
final class FakeHub: Destination {
    struct Transmission: Sendable {
        let batch: FakeBatch
        let partition: Int
        let hub: FakeHub
        let completion: @Sendable (SendOutcome) -> Void

        /// - Parameter isStored: when nil, as the outcome says.
        func answer(_ outcome: SendOutcome, isStored: Bool? = nil) {
            if isStored ?? (outcome == .accepted) { hub.store(batch, partition) }
            completion(outcome)
        }
    }

    let name = "a hub in memory"
    let guarantee = "at least once"
    let partitionCount: Int
    let maximumSize: Int
    let stored: Watched<FakeStore>
    /// Ids that the drain went past for a time.
    let passed = Watched<[UInt64]>([])
    /// Sources whose headers were made, and how often encoders were told to free storage.
    let prepared = Watched<[String]>([])
    let releases = Watched(0)
    let held = Watched<[Transmission]>([])
    private let answer: @Sendable (FakeBatch, Int) -> (SendOutcome, isStored: Bool)?

    /// - Parameters:
    ///   - stored: what an earlier hub had.
    ///   - answer: nil to hold a transmission.
    init(
        partitions: Int, maximumSize: Int = 1 << 20, stored: Watched<FakeStore>? = nil,
        answer: @escaping @Sendable (FakeBatch, Int) -> (SendOutcome, isStored: Bool)? = { _, _ in (.accepted, true) }
    ) {
        partitionCount = partitions
        self.maximumSize = maximumSize
        self.stored = stored ?? Watched(FakeStore(partitions: Array(repeating: [], count: partitions)))
        self.answer = answer
    }

    func makeEncoder() -> FakeEncoder {
        FakeEncoder(limit: maximumSize, passed: passed, prepared: prepared, releases: releases)
    }

    func send(_ batch: FakeBatch, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void) {
        if let (outcome, isStored) = answer(batch, partition) {
            if isStored { store(batch, partition) }
            completion(outcome)
        } else {
            held.update {
                $0.append(Transmission(batch: batch, partition: partition, hub: self, completion: completion))
            }
        }
    }

    private func store(_ batch: FakeBatch, _ partition: Int) {
        stored.update {
            $0.partitions[partition] += batch.records
            $0.batches += 1
        }
    }

    /// The next held transmission, awaited.
    func next() async -> Transmission {
        await held.wait { !$0.isEmpty }
        return held.update { $0.removeFirst() }
    }
}

/// Counts 10 bytes per batch, and 20 and its body per record.
struct FakeEncoder: BatchEncoder {
    static let batchOverhead = 10
    static let recordOverhead = 20

    let limit: Int
    private var batch = FakeBatch(key: "", records: [])
    private(set) var size = 0

    private let passed: Watched<[UInt64]>?
    private let prepared: Watched<[String]>?
    private let releases: Watched<Int>?

    init(
        limit: Int, passed: Watched<[UInt64]>? = nil, prepared: Watched<[String]>? = nil,
        releases: Watched<Int>? = nil
    ) {
        self.limit = limit
        self.passed = passed
        self.prepared = prepared
        self.releases = releases
    }

    func pass(_ run: RecordRun, _ header: Header) {
        passed?.update { $0 += run.indices.map { run[$0].sequence } }
    }

    struct Header { var source: String, key: String }

    func prepare(_ context: RecordContext, key: String) -> Header {
        prepared?.update { $0.append(context.source) }
        return Header(source: context.source, key: key)
    }

    func releaseStorage() { releases?.update { $0 += 1 } }

    mutating func begin(_ header: Header) {
        batch = FakeBatch(key: header.key, records: [])
        size = Self.batchOverhead
    }

    mutating func append(_ run: RecordRun, _ header: Header) -> Int {
        precondition(header.key == batch.key)
        var taken = 0
        for index in run.indices {
            let record = run[index]
            guard size + Self.recordOverhead + record.body.count <= limit else { break }
            add(record, record.body, header, cutFrom: nil)
            taken += 1
        }
        return taken
    }

    mutating func appendCut(_ record: DeliveryRecord, _ header: Header) -> Int? {
        let room = limit - size - Self.recordOverhead
        guard room >= 0 else { return nil }
        add(record, UnsafeRawBufferPointer(rebasing: record.body.prefix(room)), header, cutFrom: record.body.count)
        return room
    }

    private mutating func add(
        _ record: DeliveryRecord, _ body: UnsafeRawBufferPointer, _ header: Header, cutFrom: Int?
    ) {
        batch.records.append(
            FakeRecord(sequence: record.sequence, body: Array(body), source: header.source, cutFrom: cutFrom))
        size += Self.recordOverhead + body.count
    }

    mutating func seal() -> FakeBatch {
        defer { size = 0 }
        return batch
    }

    mutating func reuse(_ batch: FakeBatch) {}
}
