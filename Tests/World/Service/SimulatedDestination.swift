import Producing
import TailraceDelivery
import TailraceSpool

/// One process's way to the service: gives batches their numbers.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class SimulatedDestination: Destination, @unchecked Sendable {
    private struct Numbering {
        var next: Int64
        /// The first number of each batch that was refused for good: those behind it get new ones.
        var refused: [Int64] = []
        /// Refused for good, and the drain has not heard of it.
        var unheard = 0

        /// The number of a batch that has one, unless it came behind a refused one since.
        func kept(_ number: (first: Int64, round: Int)?) -> Int64? {
            guard let number else { return nil }
            let isBefore = refused[number.round...].allSatisfy {
                let ahead = SimulatedService.advance($0, by: -number.first)
                return ahead > 0 && ahead < SimulatedService.wrap / 2
            }
            return isBefore ? number.first : nil
        }
    }

    let name = "a simulated service"
    let guarantee = "as the world's kind says"
    let positions: [ServicePosition]?
    let partitionCount: Int
    private let service: SimulatedService
    private let batchLimit: Int
    private let now: () -> UInt64
    /// The process is no more.
    private let isGone: () -> Bool
    private var numberings: [Numbering]

    init(
        _ service: SimulatedService, ledger: LedgerState, routing: Routing, batchLimit: Int,
        now: @escaping () -> UInt64, isGone: @escaping () -> Bool
    ) {
        self.service = service
        self.batchLimit = batchLimit
        self.now = now
        self.isGone = isGone
        partitionCount = routing.partitions
        guard service.kind != .plain else {
            (positions, numberings) = (nil, [])
            return
        }
        let producers = ledger.producers(routing)
        let positions = producers.indices.map { service.attach($0, producers[$0]) }
        self.positions = positions
        numberings = positions.map {
            Numbering(next: service.kind == .deduplicating ? $0.base + 1 : Self.after($0.base))
        }
        service.onRefusal = { [unowned self] partition, number in
            guard service.kind.isNumbered else { return }
            numberings[partition].next = number
            numberings[partition].refused.append(number)
            numberings[partition].unheard += 1
        }
    }

    private static func after(_ number: Int64) -> Int64 { SimulatedService.advance(number, by: 1) }

    var numbering: ServiceNumbering { service.kind == .deduplicating ? .rising : .wrapping }

    func noteRefusal(_ partition: Int) {
        if service.kind.isNumbered { numberings[partition].unheard -= 1 }
    }

    func makeEncoder() -> WorldEncoder { WorldEncoder(limit: batchLimit) }

    func send(_ batch: WorldEncoder.Batch, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void) {
        guard !isGone() else { return }
        guard let positions else {
            return service.take(
                batch, number: nil, producer: nil, partition: partition, now: now(), completion: completion)
        }
        let count = Int64(batch.records.count)
        let number: Int64
        if service.kind == .deduplicating {
            // As long as it is not acknowledged, what is sent follows the last that was.
            number = numberings[partition].next
        } else {
            guard numberings[partition].unheard == 0 else {
                return completion(.retry(reason: "behind a refused batch"))
            }
            if let kept = numberings[partition].kept(batch.number) {
                number = kept
            } else {
                number = numberings[partition].next
                numberings[partition].next = SimulatedService.advance(number, by: count)
            }
            batch.number = (number, numberings[partition].refused.count)
        }
        service.take(
            batch, number: number, producer: positions[partition].producer, partition: partition, now: now()
        ) { [weak self] outcome in
            guard let self, !isGone() else { return }
            if outcome == .accepted, service.kind == .deduplicating { numberings[partition].next += count }
            completion(outcome)
        }
    }
}
