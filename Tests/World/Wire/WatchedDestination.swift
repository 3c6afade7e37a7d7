import Producing
import TailraceAgent
import TailraceDelivery

/// A destination as a world watches it: each batch has one end, and what the service may have without an answer is told.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class WatchedDestination<Target: OutletDestination>: Destination, @unchecked Sendable {
    typealias Batch = Target.Batch
    typealias Encoder = Target.Encoder

    let target: Target
    private let isGone: () -> Bool
    /// The ids in a batch.
    private let sent: (Batch) -> [UInt64]
    private weak var events: (any WorldEvents)?
    private var lastNumber = 0
    /// Those without an end, with their ids, by the order of their sending.
    private var open: [Int: [UInt64]] = [:]

    init(
        _ target: Target, isGone: @escaping () -> Bool, events: (any WorldEvents)?, sent: @escaping (Batch) -> [UInt64]
    ) {
        self.target = target
        self.isGone = isGone
        self.events = events
        self.sent = sent
    }

    var name: String { target.name }
    var partitionCount: Int { target.partitionCount }
    var guarantee: String { target.guarantee }
    var positions: [ServicePosition]? { target.positions }
    var numbering: ServiceNumbering { target.numbering }
    func hasLostProducer(_ partition: Int) -> Bool { target.hasLostProducer(partition) }
    func noteRefusal(_ partition: Int) { target.noteRefusal(partition) }
    func makeEncoder() -> Encoder { target.makeEncoder() }

    func send(_ batch: Batch, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void) {
        guard !isGone() else { return }
        lastNumber += 1
        let number = lastNumber
        let ids = sent(batch)
        open[number] = ids
        events?.note("sent", UInt64(number), UInt64(partition), "\(ids)")
        target.send(batch, partition: partition) { [self] outcome in
            guard let ids = open.removeValue(forKey: number) else {
                events?.violate("batch \(number) of partition \(partition) has come to an end twice: \(outcome)")
                return
            }
            guard !isGone() else { return }
            events?.note("outcome", UInt64(number), UInt64(partition), "\(outcome)")
            if case .unknown = outcome { events?.excuse(ids) }
            completion(outcome)
        }
    }

    /// The process is no more, or may send it again: what has no end may still arrive.
    func forget() {
        for number in open.keys.sorted() { events?.excuse(open[number] ?? []) }
    }

    /// Batches that were never told their end.
    var left: Int { open.count }
}
