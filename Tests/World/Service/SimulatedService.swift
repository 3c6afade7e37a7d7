import Producing
import TailraceDelivery
import TailraceSpool
import TestSupport

/// A service in memory that outlives the processes. What it makes of a batch, and when, is decided by the seed.
package final class SimulatedService {
    package enum Kind: Equatable, Sendable {
        /// Stores what it gets.
        case plain
        /// Takes no number twice, nothing behind a gap, and nobody but the newest owner; counts anew for each owner, or
        /// not: Event Hubs.
        case numbered(start: Int32, countsAnew: Bool)
        /// Passes over numbers that are not above the highest it has: Pulsar.
        case deduplicating
    }

    /// How likely it is to misbehave, in thousandths per batch.
    package struct Manners: Sendable {
        package var refusals = 0
        package var throttling = 0
        /// The batch or its answer is lost.
        package var losses = 0
        /// All that is on its way to a partition is cut off.
        package var cuts = 0
        /// Nanoseconds on the way, at most.
        package var delay: UInt64 = 1_000_000
        /// This partition is slower than the others.
        package var slow: Int?

        package init() {}
    }

    struct Transmission {
        let batch: WorldEncoder.Batch
        let number: Int64?
        let producer: LedgerState.Producer?
        let arrival: UInt64
        /// Nil when the sender is no more.
        var completion: ((SendOutcome) -> Void)?
    }

    /// Numbers go from 0 to 2³¹-1, and begin again.
    static let wrap: Int64 = 1 << 31

    static func advance(_ number: Int64, by count: Int64) -> Int64 { (number + count + wrap) % wrap }

    private struct Producer {
        var ownerLevel: Int16
        /// The number that the next record follows.
        var last: Int64
        /// Where the owner before stood; until the new one has sent something it can be asked for.
        var previous: (ownerLevel: Int16, last: Int64)?
    }

    private struct Partition {
        var queue: [Transmission] = []
        var stored: [Numbered] = []
        /// By group.
        var producers: [Int64: Producer] = [:]
    }

    let kind: Kind
    package var manners = Manners()
    private var partitions: [Partition]
    private var random: SeededGenerator
    private var nextGroup: Int64 = 7
    /// Told what becomes of each batch.
    var onFate: ((_ fate: StaticString, _ partition: Int, _ batch: WorldEncoder.Batch) -> Void)?
    /// Told that a batch is on its way.
    var onTake: (() -> Void)?
    /// Told of each record that is stored.
    var onStore: ((Numbered, _ partition: Int) -> Void)?
    /// Told of records that the service has, or may get yet, and whose sender does not hear of it.
    var onSilence: (([Numbered]) -> Void)?
    /// Told that the service refuses a batch for good, before it says so.
    var onRefusal: ((_ partition: Int, _ number: Int64) -> Void)?

    package init(_ kind: Kind, partitions count: Int, seed: UInt64) {
        self.kind = kind
        partitions = Array(repeating: Partition(), count: count)
        random = SeededGenerator(seed: seed)
    }

    var partitionCount: Int { partitions.count }
    func grow(by count: Int) { partitions += Array(repeating: Partition(), count: count) }
    func stored(_ partition: Int) -> [Numbered] { partitions[partition].stored }

    // MARK: - Producers

    /// As the attach of a link or the opening of a producer: the producer asked for, or a new one.
    func attach(_ partition: Int, _ producer: LedgerState.Producer?) -> ServicePosition {
        switch kind {
        case .plain: preconditionFailure("a plain service knows no producers")
        case .deduplicating:
            let last = partitions[partition].producers[0]?.last ?? -1
            partitions[partition].producers[0] = Producer(ownerLevel: 0, last: last)
            return ServicePosition(producer: .init(groupID: 0, ownerLevel: 0), lastNumber: last)
        case .numbered(let start, let countsAnew):
            var producer = producer ?? .init(groupID: nextGroup, ownerLevel: 0)
            guard let known = partitions[partition].producers[producer.groupID] else {
                nextGroup += 1
                partitions[partition].producers[producer.groupID] = Producer(ownerLevel: 0, last: Int64(start))
                return ServicePosition(producer: producer, lastNumber: Int64(start))
            }
            var asked = (ownerLevel: known.ownerLevel, last: known.last)
            if let previous = known.previous, previous.ownerLevel == producer.ownerLevel { asked = previous }
            producer.ownerLevel = known.ownerLevel + 1
            let base = countsAnew ? Int64(start) : asked.last
            partitions[partition].producers[producer.groupID] = Producer(
                ownerLevel: producer.ownerLevel, last: base, previous: asked)
            return ServicePosition(producer: producer, lastNumber: asked.last, base: base)
        }
    }

    // MARK: - Batches

    func take(
        _ batch: WorldEncoder.Batch, number: Int64?, producer: LedgerState.Producer?, partition: Int, now: UInt64,
        completion: @escaping (SendOutcome) -> Void
    ) {
        var delay = manners.delay == 0 ? 0 : UInt64.random(in: 0...manners.delay, using: &random)
        if manners.slow == partition { delay *= 20 }
        let arrival = max(partitions[partition].queue.last?.arrival ?? 0, now + delay)
        partitions[partition].queue.append(
            Transmission(batch: batch, number: number, producer: producer, arrival: arrival, completion: completion))
        onTake?()
    }

    /// The sender is no more: what it sent is lost, or arrives, perhaps late.
    func forgetSender() {
        for partition in partitions.indices {
            for index in partitions[partition].queue.indices { partitions[partition].queue[index].completion = nil }
            guard Bool.random(using: &random), !partitions[partition].queue.isEmpty else { continue }
            let kept = Int.random(in: 0...partitions[partition].queue.count, using: &random)
            partitions[partition].queue.removeSubrange(kept...)
        }
        for transmission in partitions.lazy.flatMap(\.queue) { onSilence?(transmission.batch.records) }
    }

    /// Deals with one batch that has arrived; or tells when one will.
    func step(now: UInt64) -> StepResult<UInt64> {
        let arrived = partitions.indices.filter { partitions[$0].queue.first.map { $0.arrival <= now } ?? false }
        guard let partition = arrived.randomElement(using: &random) else {
            return .wait(until: partitions.compactMap { $0.queue.first?.arrival }.min())
        }
        if happens(manners.cuts) {
            cut(partition)
        } else {
            let next = partitions[partition].queue.removeFirst()
            next.completion?(judge(next, partition)) ?? { _ = judge(next, partition) }()
        }
        return .again
    }

    private func happens(_ chance: Int) -> Bool {
        chance > 0 && Int.random(in: 0..<1000, using: &random) < chance
    }

    /// The connection goes: some have arrived, and nobody hears of any.
    private func cut(_ partition: Int) {
        let queue = partitions[partition].queue
        partitions[partition].queue = []
        let arrived = Int.random(in: 0...queue.count, using: &random)
        for (index, transmission) in queue.enumerated() {
            if index < arrived { acceptSilently(transmission, partition) }
            onFate?("cut off", partition, transmission.batch)
            transmission.completion?(.unknown(reason: "the connection is gone"))
        }
    }

    private func judge(_ next: Transmission, _ partition: Int) -> SendOutcome {
        if happens(manners.refusals) {
            onFate?("refused for now", partition, next.batch)
            return .retry(reason: "busy", after: Bool.random(using: &random) ? .milliseconds(20) : nil)
        }
        if happens(manners.throttling) {
            onFate?("throttled", partition, next.batch)
            return .throttled(reason: "slower", after: .milliseconds(30))
        }
        if happens(manners.losses) {
            let isStored = Bool.random(using: &random)
            if isStored { acceptSilently(next, partition) }
            onFate?(isStored ? "stored, not heard" : "lost", partition, next.batch)
            return .unknown(reason: "no answer")
        }
        let outcome = accept(next, partition)
        switch outcome {
        case .accepted: onFate?("accepted", partition, next.batch)
        case .rejected:
            onFate?("refused for good", partition, next.batch)
            if let number = next.number, next.completion != nil { onRefusal?(partition, number) }
        default: onFate?("out of sequence", partition, next.batch)
        }
        return outcome
    }

    private func acceptSilently(_ next: Transmission, _ partition: Int) {
        if accept(next, partition) == .accepted { onSilence?(next.batch.records) }
    }

    /// What the service makes of a batch that it has got.
    private func accept(_ next: Transmission, _ partition: Int) -> SendOutcome {
        guard let number = next.number, let producer = next.producer else {
            if next.batch.records.contains(where: \.record.isPoison) { return .rejected(reason: "poison") }
            store(next.batch, partition)
            return .accepted
        }
        let count = Int64(next.batch.records.count)
        guard let known = partitions[partition].producers[producer.groupID] else { return .retry(reason: "who?") }
        let last: Int64
        if kind == .deduplicating {
            last = number + count - 1
            if last <= known.last { return .accepted }
            if number <= known.last { return .rejected(reason: "it has some of the batch") }
        } else {
            guard known.ownerLevel <= producer.ownerLevel else {
                return .retry(reason: "another producer has taken over", after: .seconds(300))
            }
            let ahead = Self.advance(number, by: -known.last)
            // More than half of the way round is behind.
            guard ahead > 0, ahead < Self.wrap / 2 else { return .accepted }
            guard ahead == 1 else { return .retry(reason: "out of sequence") }
            last = Self.advance(number, by: count - 1)
        }
        if next.batch.records.contains(where: \.record.isPoison) { return .rejected(reason: "poison") }
        store(next.batch, partition)
        partitions[partition].producers[producer.groupID]?.last = last
        partitions[partition].producers[producer.groupID]?.previous = nil
        return .accepted
    }

    private func store(_ batch: WorldEncoder.Batch, _ partition: Int) {
        for record in batch.records {
            partitions[partition].stored.append(record)
            onStore?(record, partition)
        }
    }
}
