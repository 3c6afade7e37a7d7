import Synchronization

/// Runs the lanes of one destination against its service.
///
/// Used by one thread or task at a time, which calls `poll` whenever `wake` was called or `deadline` has come. Only the
/// service's completions come from elsewhere; they are gathered in a mailbox until the next `poll`.
package final class LaneEngine<S: Service, Tag> {
    /// A batch, and what its owner wants to know of it when it leaves.
    package struct Item {
        package let batch: S.Batch
        package let tag: Tag
        package let bytes: Int
        package let records: Int

        package init(batch: S.Batch, tag: Tag, bytes: Int, records: Int) {
            self.batch = batch
            self.tag = tag
            self.bytes = bytes
            self.records = records
        }
    }

    /// What happened since the engine was made.
    package struct Counters: Equatable, Sendable {
        package var transmissions: UInt64 = 0
        /// Attempts that failed and are made again.
        package var retries: UInt64 = 0
        /// Those of them whose outcome is not known, so that the service may have got the batch twice.
        package var unknownOutcomes: UInt64 = 0
    }

    /// One failed attempt, for a log.
    package struct Failure: Sendable {
        package let partition: Int
        /// Failures of the partition in a row.
        package let failures: Int
        package let reason: String
    }

    private struct Completion: Sendable {
        let partition: Int
        let ticket: Lane<Item>.Ticket
        let records: Int
        let outcome: SendOutcome
    }

    private final class Mailbox: Sendable {
        struct Contents {
            var completions: [Completion] = []
            /// The owner is to be woken also for a batch that was taken.
            var isAwaited = true
        }
        let contents = Mutex(Contents())
    }

    private let service: S
    private let wake: @Sendable () -> Void
    private var random: any RandomNumberGenerator
    private var lanes: [Lane<Item>]
    private var laneBytes: [Int]
    private var laneDeadlines: [ContinuousClock.Instant?]
    private let mailbox = Mailbox()

    package private(set) var counters = Counters()
    /// Bytes of all batches in the lanes.
    package private(set) var bytes = 0
    package private(set) var records = 0
    /// Batches in transmission.
    package private(set) var inFlight = 0
    package private(set) var inFlightRecords = 0

    /// - Parameters:
    ///   - window: batches in flight per partition; more than one only as `Lane` describes.
    ///   - holdsAfterGivingUp: once a batch is settled as rejected, its lane transmits nothing before `resume`.
    ///   - wake: called on the service's threads when `poll` has something to do. Must not block.
    package init(
        service: S, partitions: Int, window: Int = 1, retry: RetryPolicy = RetryPolicy(),
        holdsAfterGivingUp: Bool = false, random: any RandomNumberGenerator = SystemRandomNumberGenerator(),
        wake: @escaping @Sendable () -> Void
    ) {
        self.service = service
        self.wake = wake
        self.random = random
        lanes = Array(
            repeating: Lane(window: window, retry: retry, holdsAfterGivingUp: holdsAfterGivingUp), count: partitions)
        laneBytes = Array(repeating: 0, count: partitions)
        laneDeadlines = Array(repeating: nil, count: partitions)
    }

    /// Batches wait for those in flight to end.
    package var hasWaiting: Bool { lanes.contains { $0.hasWaiting } }

    /// Whether `wake` is called for batches that were taken, too. Where nothing waits for them, their owner may as well learn
    /// of them when something else wakes it. It is always called for what goes wrong.
    ///
    /// - Returns: completions are there already.
    package func awaitCompletions(_ isAwaited: Bool) -> Bool {
        mailbox.contents.withLock {
            $0.isAwaited = isAwaited
            return !$0.completions.isEmpty
        }
    }

    /// When `poll` is due even without a `wake`.
    package var deadline: ContinuousClock.Instant? {
        var earliest: ContinuousClock.Instant?
        for case let deadline? in laneDeadlines where earliest.map({ deadline < $0 }) ?? true { earliest = deadline }
        return earliest
    }

    package func isEmpty(_ partition: Int) -> Bool { lanes[partition].isEmpty }
    package func bytes(of partition: Int) -> Int { laneBytes[partition] }
    package func failures(of partition: Int) -> Int { lanes[partition].failures }
    package func oldest(of partition: Int) -> Item? { lanes[partition].oldest }

    /// A batch joins the end of its partition's lane.
    package func append(_ item: Item, partition: Int, now: ContinuousClock.Instant) {
        count(item, partition, 1)
        transmit(lanes[partition].append(item, now: now), partition, now)
    }

    private func transmit(_ actions: [Lane<Item>.Action], _ partition: Int, _ now: ContinuousClock.Instant) {
        perform(
            actions, partition, now, refused: { _, _, _ in [] },
            settle: { _, _, _ in preconditionFailure("a batch is settled before it was sent") })
    }

    private func count(_ item: Item, _ partition: Int, _ sign: Int) {
        bytes += sign * item.bytes
        records += sign * item.records
        laneBytes[partition] += sign * item.bytes
    }

    /// Takes the ends of transmissions and makes the retries that are due.
    ///
    /// - Parameters:
    ///   - failed: told of each attempt that will be made again.
    ///   - refused: told of each batch that the service will never take. Returns smaller ones to be tried in its place,
    ///     or none to give it up, and then it is settled as rejected.
    ///   - settle: takes each batch that leaves its lane.
    package func poll(
        now: ContinuousClock.Instant, failed: (Failure) -> Void = { _ in },
        refused: (_ partition: Int, Item, _ reason: String) -> [Item] = { _, _, _ in [] },
        settle: (_ partition: Int, Item, Settlement) -> Void
    ) {
        let completions = mailbox.contents.withLock { contents in
            let taken = contents.completions
            contents.completions.removeAll(keepingCapacity: false)
            return taken
        }
        for completion in completions {
            let partition = completion.partition
            inFlight -= 1
            inFlightRecords -= completion.records
            switch completion.outcome {
            case .accepted, .rejected: break
            case .unknown(let reason):
                counters.unknownOutcomes += 1
                counters.retries += 1
                failed(Failure(partition: partition, failures: lanes[partition].failures + 1, reason: reason))
            case .retry(let reason, _), .throttled(let reason, _):
                counters.retries += 1
                failed(Failure(partition: partition, failures: lanes[partition].failures + 1, reason: reason))
            }
            perform(finish(completion, now), partition, now, refused: refused, settle: settle)
        }
        for partition in lanes.indices {
            guard let deadline = laneDeadlines[partition], now >= deadline else { continue }
            laneDeadlines[partition] = nil
            perform(lanes[partition].timeReached(now: now), partition, now, refused: refused, settle: settle)
        }
    }

    /// A partition's lane transmits nothing until `resume`; `poll` still takes the ends of what is in flight.
    package func hold(_ partition: Int) { lanes[partition].hold() }

    package func resume(_ partition: Int, now: ContinuousClock.Instant) {
        transmit(lanes[partition].resume(now: now), partition, now)
    }

    /// Nothing more is transmitted; `poll` still takes the ends of what is in flight.
    package func halt() {
        for partition in lanes.indices {
            lanes[partition].halt()
            laneDeadlines[partition] = nil
        }
    }

    private func finish(_ completion: Completion, _ now: ContinuousClock.Instant) -> [Lane<Item>.Action] {
        func run(_ random: inout some RandomNumberGenerator) -> [Lane<Item>.Action] {
            lanes[completion.partition].finished(completion.ticket, completion.outcome, now: now, using: &random)
        }
        return run(&random)
    }

    private func perform(
        _ actions: [Lane<Item>.Action], _ partition: Int, _ now: ContinuousClock.Instant,
        refused: (Int, Item, String) -> [Item], settle: (Int, Item, Settlement) -> Void
    ) {
        for action in actions {
            switch action {
            case .transmit(let item, let ticket):
                counters.transmissions += 1
                inFlight += 1
                inFlightRecords += item.records
                service.send(item.batch, partition: partition) { [mailbox, wake, records = item.records] outcome in
                    let completion = Completion(
                        partition: partition, ticket: ticket, records: records, outcome: outcome)
                    let isAwaited = mailbox.contents.withLock {
                        $0.completions.append(completion)
                        return $0.isAwaited
                    }
                    if isAwaited || outcome != .accepted { wake() }
                }
            case .settle(let item, let settlement):
                count(item, partition, -1)
                settle(partition, item, settlement)
            case .refused(let item, let ticket, let reason):
                let parts = refused(partition, item, reason)
                if !parts.isEmpty {
                    count(item, partition, -1)
                    for part in parts { count(part, partition, 1) }
                }
                let next = lanes[partition].resolve(ticket, parts.isEmpty ? .giveUp : .replace(parts), now: now)
                // Not deeper than this: a resolution refuses nothing.
                perform(next, partition, now, refused: refused, settle: settle)
            case .wait(let until):
                laneDeadlines[partition] = until
            }
        }
    }
}
