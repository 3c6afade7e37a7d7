internal import AMQP
import EventHubs
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
    private let clocks: Clocks
    private let newProducerID: @Sendable () -> Int64

    /// What to do when a message is stored: grouped by connection, so that one hop serves many.
    struct Receipt: Sendable {
        let connection: HubConnection
        let link: LinkID
        let deliveryID: UInt32
        let settled: Bool
        let fault: HubFault?
    }

    /// An idempotent producer's link that waits for its grant to be durable.
    struct Admission: Sendable {
        let connection: HubConnection
        let link: LinkID
        let answer: Attach
    }

    enum Completion: Sendable {
        case stored(Receipt)
        case admitted(Admission)

        var connection: HubConnection {
            switch self {
            case .stored(let receipt): receipt.connection
            case .admitted(let admission): admission.connection
            }
        }
    }

    /// What goes through a partition in order.
    private enum Waiting {
        case message(RecordBatch, Completion)
        /// A frame without records: it only changes what is known of producers.
        case change(SourcePosition)
        /// Nothing to store: done when everything before it is.
        case completion(Completion)
    }

    private struct InFlight {
        /// The id behind the last event; of a change: of what came before.
        var end: UInt64
        var isChange: Bool
        var completion: Completion?
    }

    /// A link on which an idempotent producer publishes.
    private struct ProducerLink {
        let connection: HubConnection
        let link: LinkID
        let epoch: Int16
    }

    private struct State {
        /// The id of the next record that the spool takes.
        var next: UInt64
        var committed: UInt64
        var lastTime: Int64
        /// Taken by the spool, not committed.
        var inFlight = CircularBuffer<InFlight>()
        /// Not taken yet, because the spool's queue is full.
        var waiting = CircularBuffer<Waiting>()
        var receivers: [ObjectIdentifier: @Sendable () -> Void] = [:]
        var statistics = HubPartitionStatistics(firstSequenceNumber: 0, nextSequenceNumber: 0)
        var producers: ProducerTable
        var producerLinks: [Int64: [ProducerLink]] = [:]
    }

    /// Carries the spool's commits here; the spool wants them before a partition can exist.
    private final class Relay: Sendable {
        let partition = Mutex<WeakPartition>(WeakPartition())
        struct WeakPartition { weak var value: HubPartition? }
        func committed(_ next: UInt64) { partition.withLock { $0.value }?.committed(next) }
    }

    init(index: Int, directory: String, configuration: LocalHubConfiguration, logger: Logger) throws {
        self.index = index
        clocks = configuration.environment.clocks
        newProducerID = configuration.newProducerID
        let relay = Relay()
        var spool = SpoolConfiguration(directory: directory)
        spool.environment = configuration.environment
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
        let producers = ProducerTable(
            limit: configuration.producerLimit, countsAnew: configuration.countsAnewPerOwnerLevel,
            positions: self.spool.positions())
        state = Mutex(State(next: next, committed: next, lastTime: lastTime, producers: producers))
        relay.partition.withLock { $0.value = self }
    }

    func close() { spool.close() }

    /// As `Spool.step` and `Spool.abandon`.
    func step() -> StepResult<UInt64> { spool.step() }
    func abandon() { spool.abandon() }

    // MARK: - Writing

    /// Stores a message's events; the receipt comes back when they are.
    func append(_ batch: RecordBatch, _ receipt: Receipt) {
        let done = state.withLock { state in
            enqueue(batch, receipt, &state)
            return completed(&state)
        }
        tell(done)
    }

    /// Stores a message of an idempotent producer unless it is stored already; the receipt comes back either way, once
    /// its events are durable. Returns why not, with the batch still the caller's, when the numbers do not fit.
    func append(
        _ batch: RecordBatch, _ numbers: PublishedNumbers, of producer: (id: Int64, epoch: Int16), _ receipt: Receipt
    ) -> AMQPError? {
        let (done, error) = state.withLock { state -> ([Completion], AMQPError?) in
            let verdict = state.producers.publish(
                numbers, producerID: producer.id, epoch: producer.epoch, now: clocks.wallMilliseconds())
            switch verdict {
            case .refused(let error): return ([], error)
            case .store(let position):
                batch.position = position
                enqueue(batch, receipt, &state)
            case .duplicate:
                batch.recycle()
                state.statistics.duplicateMessages += 1
                state.waiting.append(.completion(.stored(receipt)))
                takeWaiting(&state)
            }
            return (completed(&state), nil)
        }
        tell(done)
        return error
    }

    private func enqueue(_ batch: RecordBatch, _ receipt: Receipt, _ state: inout State) {
        // The enqueued time never runs backwards in a partition, whatever the clock does.
        state.lastTime = max(state.lastTime, clocks.wallMilliseconds())
        batch.time = state.lastTime
        state.statistics.messagesStored += 1
        state.statistics.eventsStored += batch.recordCount
        state.statistics.bytesStored += batch.length
        state.waiting.append(.message(batch, .stored(receipt)))
        takeWaiting(&state)
    }

    private func takeWaiting(_ state: inout State) {
        while let first = state.waiting.first {
            switch first {
            case .message(let batch, let completion):
                let count = UInt64(batch.recordCount)
                guard spool.tryAppend(batch) else { return }
                state.next += count
                state.inFlight.append(InFlight(end: state.next, isChange: false, completion: completion))
            case .change(let position):
                // Commits are told by ids and a change has none: with nothing before it, the next commit is its own.
                guard state.inFlight.isEmpty else { return }
                let batch = RecordBatch(capacity: 1)
                batch.position = position
                guard spool.tryAppend(batch) else { return }
                state.inFlight.append(InFlight(end: state.next, isChange: true, completion: nil))
            case .completion(let completion):
                state.inFlight.append(InFlight(end: state.next, isChange: false, completion: completion))
            }
            state.waiting.removeFirst()
        }
    }

    /// Takes from the front what is durable.
    private func completed(_ state: inout State) -> [Completion] {
        var done: [Completion] = []
        while true {
            while let first = state.inFlight.first, !first.isChange, first.end <= state.committed {
                if let completion = first.completion { done.append(completion) }
                state.inFlight.removeFirst()
            }
            // A change that waited for the others may go now.
            guard state.inFlight.isEmpty, !state.waiting.isEmpty else { return done }
            takeWaiting(&state)
            guard let first = state.inFlight.first, !first.isChange, first.end <= state.committed else { return done }
        }
    }

    private func tell(_ done: [Completion]) {
        var rest = done[...]
        while let connection = rest.first?.connection {
            let own = rest.prefix { $0.connection === connection }
            rest = rest.dropFirst(own.count)
            connection.eventLoop.execute { connection.completed(Array(own)) }
        }
    }

    /// On the spool's thread.
    private func committed(_ next: UInt64) {
        spool.releaseOldest()
        let (done, receivers) = state.withLock { state in
            state.committed = next
            if state.inFlight.first?.isChange == true { state.inFlight.removeFirst() }
            var done = completed(&state)
            takeWaiting(&state)
            done += completed(&state)
            defer { state.receivers.removeAll() }
            return (done, state.receivers)
        }
        tell(done)
        for receiver in receivers.values { receiver() }
    }

    /// Looks whether the spool is stuck for want of space, and tries again what it did not take: called now and then.
    func retry() {
        let done = state.withLock { state -> [Completion] in
            guard !state.waiting.isEmpty || !state.inFlight.isEmpty else { return [] }
            spool.releaseOldest()
            takeWaiting(&state)
            return completed(&state)
        }
        tell(done)
    }

    // MARK: - Idempotent producers

    /// Lets an idempotent producer in: the link is told once the grant, and everything that its number speaks for, is
    /// durable. Links of the producer with a lower epoch are detached.
    func admit(
        _ request: ProducerTable.Request, _ connection: HubConnection, _ link: LinkID, _ answer: Attach
    ) throws(AMQPError) -> ProducerTable.Grant {
        let (result, done, losers) = state.withLock {
            state -> (Result<ProducerTable.Grant, AMQPError>, [Completion], [ProducerLink]) in
            let links = state.producerLinks
            let result = state.producers.attach(
                request, now: clocks.wallMilliseconds(), newID: newProducerID,
                isAttached: { links[$0]?.isEmpty == false })
            guard case .success(let grant) = result else { return (result, [], []) }
            for position in grant.forgotten { state.waiting.append(.change(position)) }
            if let change = grant.change { state.waiting.append(.change(change)) }
            var answer = answer
            answer.properties[symbol: EventHubsName.producerID] = .long(grant.producerID)
            answer.properties[symbol: EventHubsName.producerEpoch] = .short(grant.epoch)
            answer.properties[symbol: EventHubsName.producerSequenceNumber] = .int(grant.last)
            state.waiting.append(
                .completion(.admitted(Admission(connection: connection, link: link, answer: answer))))
            let present = state.producerLinks[grant.producerID, default: []]
            let losers = present.filter { $0.epoch < grant.epoch }
            state.producerLinks[grant.producerID] =
                present.filter { $0.epoch >= grant.epoch }
                + [ProducerLink(connection: connection, link: link, epoch: grant.epoch)]
            takeWaiting(&state)
            return (result, completed(&state), losers)
        }
        tell(done)
        let grant = try result.get()
        for loser in losers {
            let (connection, link) = (loser.connection, loser.link)
            connection.eventLoop.execute {
                connection.detach(
                    link,
                    AMQPError(
                        ProducerTable.epochStolen,
                        "producer \(grant.producerID) was attached with the epoch \(grant.epoch)"))
            }
        }
        return grant
    }

    func leave(_ producerID: Int64, _ connection: HubConnection, _ link: LinkID) {
        state.withLock { state in
            let rest = (state.producerLinks[producerID] ?? []).filter {
                $0.connection !== connection || $0.link != link
            }
            state.producerLinks[producerID] = rest.isEmpty ? nil : rest
        }
    }

    /// What is known of idempotent producers.
    var producers: [Int64: ProducerTable.Producer] { state.withLock { $0.producers.producers } }

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

    /// Everything durable from `sequence` on. Reads from disk: not on an event loop.
    func reader(from sequence: UInt64) throws(SpoolError) -> SpoolReader { try spool.reader(from: sequence) }

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
}
