import Producing
import Synchronization
import TailraceDelivery
import TailraceSpool

/// What a service that numbers records keeps: the records, and where every producer stands. Lives longer than any
/// drain.
struct NumberedStore: Sendable {
    struct Partition: Sendable {
        var records: [FakeRecord] = []
        /// By producer group: its owner level, and the number of its last record.
        var producers: [Int64: (ownerLevel: Int16, last: Int32)] = [:]
    }
    var partitions: [Partition]
    private var nextGroup: Int64 = 7
    /// Numbers begin again with every owner level, as the real service's do.
    private let countsAnew: Bool

    init(partitions count: Int, countsAnew: Bool = false) {
        partitions = Array(repeating: Partition(), count: count)
        self.countsAnew = countsAnew
    }

    var count: Int { partitions.reduce(0) { $0 + $1.records.count } }
    var sequences: [UInt64] { partitions.flatMap { $0.records.map(\.sequence) }.sorted() }

    mutating func grow(to count: Int) {
        partitions += Array(repeating: Partition(), count: count - partitions.count)
    }

    /// As the attach of a link: the producer asked for, or a new one. Asked at the level that it had, then at the next.
    mutating func attach(_ partition: Int, _ producer: LedgerState.Producer?, startAt: Int32) -> ServicePosition {
        var producer = producer ?? .init(groupID: nextGroup, ownerLevel: 0)
        if producer.groupID == nextGroup {
            nextGroup += 1
            producer.ownerLevel = 0
        } else {
            producer.ownerLevel += 1
        }
        let known = partitions[partition].producers[producer.groupID]?.last
        let last = known ?? startAt
        let base = known != nil && countsAnew ? startAt : last
        partitions[partition].producers[producer.groupID] = (producer.ownerLevel, base)
        return ServicePosition(producer: producer, lastNumber: Int64(last), base: Int64(base))
    }
}

/// A destination in memory whose service numbers records: one that it has is confirmed without being stored again, and
/// one behind a gap is refused. Numbers are given at the first transmission, and stay; when a batch is refused for
/// good, those behind it get new ones.
final class NumberedHub: Destination {
    /// What becomes of a batch whose turn it is.
    enum Fate {
        case stored
        /// Refused for now, or lost on the way there.
        case lost(SendOutcome)
        /// Stored, and the answer is lost.
        case unheard
        case refused
        /// The answer never comes: the process ends first.
        case pending(isStored: Bool)
    }

    final class Batch: Sendable {
        let content: FakeBatch
        /// The first number, and how many refusals there had been when it was given.
        let number = Mutex<(first: Int32, round: Int)?>(nil)
        init(_ content: FakeBatch) { self.content = content }
    }

    struct Encoder: BatchEncoder {
        private var encoder: FakeEncoder
        init(limit: Int) { encoder = FakeEncoder(limit: limit) }
        mutating func prepare(_ context: RecordContext, key: String) -> FakeEncoder.Header {
            encoder.prepare(context, key: key)
        }
        mutating func begin(_ header: FakeEncoder.Header) { encoder.begin(header) }
        mutating func append(_ run: RecordRun, _ header: FakeEncoder.Header) -> Int { encoder.append(run, header) }
        mutating func appendCut(_ record: DeliveryRecord, _ header: FakeEncoder.Header) -> Int? {
            encoder.appendCut(record, header)
        }
        var size: Int { encoder.size }
        mutating func seal() -> NumberedHub.Batch { NumberedHub.Batch(encoder.seal()) }
        mutating func reuse(_ batch: NumberedHub.Batch) {}
    }

    private struct Numbering {
        var next: Int32
        /// The first number of each batch that was refused for good: those behind it get new ones.
        var refused: [Int32] = []
        var round: Int { refused.count }

        /// The number of a batch that has one, unless it came behind a refused one since.
        func kept(_ number: (first: Int32, round: Int)?) -> Int32? {
            guard let number else { return nil }
            let isBefore = refused[number.round...].allSatisfy { NumberedHub.ahead($0, of: number.first) > 0 }
            return isBefore ? number.first : nil
        }
        /// Refused for good, and the drain has not heard of it.
        var unheard = 0
    }

    let name = "a numbering hub in memory"
    let guarantee = "exactly once"
    let partitionCount: Int
    let positions: [ServicePosition]?
    let maximumSize: Int
    let stored: Watched<NumberedStore>
    let isFenced = Mutex(false)
    private let fate: @Sendable (FakeBatch, Int) -> Fate
    private let numberings: Mutex<[Numbering]>

    /// Attaches to every partition, or to the first so many, with the producers of `ledger`.
    init(
        _ stored: Watched<NumberedStore>, ledger: LedgerState, key: RoutingKey = .source, partitions: Int? = nil,
        maximumSize: Int = 1 << 20, startAt: Int32 = -1,
        fate: @escaping @Sendable (FakeBatch, Int) -> Fate = { _, _ in .stored }
    ) {
        self.stored = stored
        self.fate = fate
        self.maximumSize = maximumSize
        let count = partitions ?? stored.value.partitions.count
        partitionCount = count
        let producers = ledger.producers(Routing(key: key, partitions: count))
        let positions = stored.update { store in
            producers.indices.map { store.attach($0, producers[$0], startAt: startAt) }
        }
        self.positions = positions
        numberings = Mutex(positions.map { Numbering(next: Self.next(Int32($0.base))) })
    }

    static func next(_ number: Int32, by count: Int = 1) -> Int32 { Int32((Int64(number) + Int64(count)) % (1 << 31)) }

    /// Negative: behind.
    static func ahead(_ number: Int32, of other: Int32) -> Int64 {
        let distance = (Int64(number) - Int64(other) + (1 << 31)) % (1 << 31)
        return distance < 1 << 30 ? distance : distance - (1 << 31)
    }

    func hasLostProducer(_ partition: Int) -> Bool { isFenced.withLock { $0 } }

    func noteRefusal(_ partition: Int) { numberings.withLock { $0[partition].unheard -= 1 } }

    func makeEncoder() -> Encoder { Encoder(limit: maximumSize) }

    func send(_ batch: Batch, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void) {
        let count = batch.content.records.count
        let first: Int32? = numberings.withLock { numberings in
            batch.number.withLock { number in
                guard numberings[partition].unheard == 0 else { return nil }
                if let kept = numberings[partition].kept(number) {
                    number?.round = numberings[partition].round
                    return kept
                }
                let first = numberings[partition].next
                numberings[partition].next = Self.next(first, by: count)
                number = (first, numberings[partition].round)
                return first
            }
        }
        guard let first else { return completion(.retry(reason: "behind a refused batch")) }
        guard let producer = positions?[partition].producer else { return }
        let outcome: SendOutcome? = stored.update { store in
            guard let state = store.partitions[partition].producers[producer.groupID] else { return .accepted }
            guard state.ownerLevel <= producer.ownerLevel else {
                isFenced.withLock { $0 = true }
                return .retry(reason: "another producer has taken over", after: .seconds(300))
            }
            let ahead = Self.ahead(first, of: state.last)
            if ahead <= 0 { return .accepted }
            guard ahead == 1 else { return .retry(reason: "out of sequence") }
            func keep() {
                store.partitions[partition].records += batch.content.records
                store.partitions[partition].producers[producer.groupID]?.last = Self.next(first, by: count - 1)
            }
            switch fate(batch.content, partition) {
            case .stored:
                keep()
                return .accepted
            case .lost(let outcome): return outcome
            case .unheard:
                keep()
                return .unknown(reason: "no answer")
            case .refused:
                numberings.withLock {
                    $0[partition].next = first
                    $0[partition].refused.append(first)
                    $0[partition].unheard += 1
                }
                return .rejected(reason: "bad")
            case .pending(let isStored):
                if isStored { keep() }
                return nil
            }
        }
        if let outcome { completion(outcome) }
    }
}
