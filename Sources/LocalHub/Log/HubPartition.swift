internal import AMQP
import Glibc
internal import Logging
internal import NIOCore
import Synchronization
internal import TailraceSpool

/// One partition: a spool whose ids are the sequence numbers. Any thread may call it.
final class HubPartition: Sendable {
    let index: Int
    private let spool: Spool
    private let relay: Relay
    private let state: Mutex<State>

    /// What to do when a message is stored: grouped by connection, so that one hop serves many.
    struct Receipt: Sendable {
        let connection: HubConnection
        let link: LinkID
        let deliveryID: UInt32
        let settled: Bool
        let fault: HubFault?
    }

    private struct Waiting {
        var batch: RecordBatch
        var receipt: Receipt
    }

    private struct State {
        /// The id of the next record that the spool takes.
        var next: UInt64
        var committed: UInt64
        var lastTime: Int64
        /// Taken by the spool, not committed: the id behind the message's last event.
        var inFlight = CircularBuffer<(end: UInt64, receipt: Receipt)>()
        /// Not taken yet, because the spool's queue is full.
        var waiting = CircularBuffer<Waiting>()
        var receivers: [ObjectIdentifier: @Sendable () -> Void] = [:]
        var statistics = HubPartitionStatistics(firstSequenceNumber: 0, nextSequenceNumber: 0)
    }

    /// Carries the spool's commits here; the spool wants them before a partition can exist.
    private final class Relay: Sendable {
        let partition = Mutex<WeakPartition>(WeakPartition())
        struct WeakPartition { weak var value: HubPartition? }
        func committed(_ next: UInt64) { partition.withLock { $0.value }?.committed(next) }
    }

    init(index: Int, directory: String, configuration: LocalHubConfiguration, logger: Logger) throws {
        self.index = index
        let relay = Relay()
        var spool = SpoolConfiguration(directory: directory)
        spool.maximumSize = configuration.partitionSize
        spool.segmentSize = configuration.segmentSize
        spool.sync = configuration.sync
        spool.queueByteLimit = 8 << 20
        spool.onCommit = { relay.committed($0) }
        self.spool = try Spool.open(spool, logger: logger)
        self.relay = relay
        let next = self.spool.statistics().nextSequence
        var lastTime: Int64 = 0
        if next > self.spool.statistics().firstSequence, let frame = try self.spool.reader(from: next - 1).next() {
            lastTime = frame.time
        }
        state = Mutex(State(next: next, committed: next, lastTime: lastTime))
        relay.partition.withLock { $0.value = self }
    }

    func close() { spool.close() }

    // MARK: - Writing

    /// Stores a message's events; the receipt comes back when they are.
    func append(_ batch: RecordBatch, _ receipt: Receipt) {
        state.withLock { state in
            // The enqueued time never runs backwards in a partition, whatever the clock does.
            state.lastTime = max(state.lastTime, Self.now())
            batch.time = state.lastTime
            state.statistics.messagesStored += 1
            state.statistics.eventsStored += batch.recordCount
            state.statistics.bytesStored += batch.length
            state.waiting.append(Waiting(batch: batch, receipt: receipt))
            takeWaiting(&state)
        }
    }

    private func takeWaiting(_ state: inout State) {
        while let first = state.waiting.first {
            let count = UInt64(first.batch.recordCount)
            guard spool.tryAppend(first.batch) else { return }
            state.waiting.removeFirst()
            state.next += count
            state.inFlight.append((state.next, first.receipt))
        }
    }

    /// On the spool's thread.
    private func committed(_ next: UInt64) {
        spool.releaseOldest()
        var receipts: [Receipt] = []
        let receivers = state.withLock { state in
            state.committed = next
            while let first = state.inFlight.first, first.end <= next {
                receipts.append(first.receipt)
                state.inFlight.removeFirst()
            }
            takeWaiting(&state)
            defer { state.receivers.removeAll() }
            return state.receivers
        }
        var rest = receipts[...]
        while let connection = rest.first?.connection {
            let own = rest.prefix { $0.connection === connection }
            rest = rest.dropFirst(own.count)
            connection.eventLoop.execute { connection.stored(Array(own)) }
        }
        for receiver in receivers.values { receiver() }
    }

    /// Looks whether the spool is stuck for want of space, and tries again what it did not take: called now and then.
    func retry() {
        state.withLock { state in
            guard !state.waiting.isEmpty || !state.inFlight.isEmpty else { return }
            spool.releaseOldest()
            takeWaiting(&state)
        }
    }

    // MARK: - Reading

    /// Calls `body` once when there is something at or behind `sequence`. False: there is already.
    func wait(_ owner: AnyObject, for sequence: UInt64, _ body: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard state.committed <= sequence else { return false }
            state.receivers[ObjectIdentifier(owner)] = body
            return true
        }
    }

    func stopWaiting(_ owner: AnyObject) {
        _ = state.withLock { $0.receivers.removeValue(forKey: ObjectIdentifier(owner)) }
    }

    /// A reader at a position; nil: the position lies behind the end. Reads from disk: not on an event loop.
    func reader(at position: EventPosition) throws(SpoolError) -> SpoolReader? {
        let (first, next) = bounds()
        let sequence: Int64
        switch position {
        case .latest: sequence = Int64(clamping: next)
        case .offset(let offset, let inclusive): sequence = EventOffset.sequence(from: offset, inclusive: inclusive)
        case .sequenceNumber(let number, let inclusive):
            sequence = inclusive || number == .max ? number : number + 1
        case .enqueuedTime(let time, let inclusive):
            sequence = Int64(clamping: try find(time: time, inclusive: inclusive, first, next))
        }
        guard sequence <= Int64(clamping: next) else { return nil }
        return try spool.reader(from: max(first, UInt64(clamping: sequence)))
    }

    /// Times grow with the ids, so the place is found by halving.
    private func find(
        time: Int64, inclusive: Bool, _ first: UInt64, _ next: UInt64
    ) throws(SpoolError) -> UInt64 {
        var low = first
        var high = next
        while low < high {
            let middle = low + (high - low) / 2
            guard let frame = try spool.reader(from: middle).next() else { return high }
            if inclusive ? frame.time >= time : frame.time > time {
                high = middle
            } else {
                low = max(middle + 1, min(frame.endSequence, high))
            }
        }
        return low
    }

    private func bounds() -> (first: UInt64, next: UInt64) {
        let next = state.withLock { $0.committed }
        return (min(spool.statistics().firstSequence, next), next)
    }

    struct Properties {
        var beginning: Int64
        /// -1: none yet.
        var last: Int64
        var lastTime: Int64
        var isEmpty: Bool
    }

    var properties: Properties {
        let (first, next) = bounds()
        return Properties(
            beginning: Int64(clamping: first), last: Int64(clamping: next) - 1,
            lastTime: state.withLock { $0.lastTime }, isEmpty: first == next)
    }

    var statistics: HubPartitionStatistics {
        let (first, next) = bounds()
        var statistics = state.withLock { $0.statistics }
        statistics.firstSequenceNumber = Int64(clamping: first)
        statistics.nextSequenceNumber = Int64(clamping: next)
        return statistics
    }

    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
