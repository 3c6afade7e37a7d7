internal import EventHubs
internal import NIOCore
internal import Producing
import Synchronization
internal import TailraceDelivery

/// The hub as lanes see it. A batch that is tried for too long, and every batch once nothing will be taken any more, is
/// refused for good.
final class LineService: Service {
    static let retry = RetryPolicy(first: .milliseconds(50), cap: .seconds(5), suggestedCap: .seconds(60))

    private let client: EventHubProducerClient
    private let timeout: Duration
    private let partitionID: String?
    /// One per lane when events are numbered.
    private let publishing: [PublishingLane]?
    private let queue: LineQueue
    /// Why nothing will be taken any more.
    private let end = Mutex<String?>(nil)

    init(
        _ client: EventHubProducerClient, _ settings: SendSettings, _ publishers: [PartitionPublisher]?,
        _ queue: LineQueue
    ) {
        publishing = publishers?.map { PublishingLane($0, client.eventLoop) }
        self.client = client
        self.queue = queue
        timeout = settings.timeout
        if case .partition(let id) = settings.target { partitionID = id } else { partitionID = nil }
    }

    var endReason: String? { end.withLock { $0 } }

    func send(_ batch: LineBatch, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void) {
        if let reason = end.withLock({ $0 }) { return completion(.rejected(reason: reason)) }
        let begun = batch.begun.withLock { begun in
            let first = begun ?? .now
            begun = first
            return first
        }
        guard let publishing else {
            return client.attempt(batch.content.payload, partitionID: partitionID) { result in
                completion(self.outcome(of: result, late: begun.duration(to: .now) >= self.timeout))
            }
        }
        let lane = publishing[partition]
        lane.send(batch.content) { result in
            let outcome = self.outcome(of: result, late: begun.duration(to: .now) >= self.timeout)
            if case .rejected = outcome, !result.isRefusal { lane.giveUp(batch.content) }
            completion(outcome)
        }
    }

    /// The loop has heard that a batch is given up.
    func noteRefusal(_ lane: Int) {
        if endReason == nil { publishing?[lane].noteRefusal() }
    }

    private func outcome(of result: SendResult, late: Bool) -> SendOutcome {
        switch result {
        case .accepted: return .accepted
        case .failed(let error, .batchRefused): return .rejected(reason: error.message)
        case .failed(let error, .blocked):
            // Nobody will repair it while we wait.
            end.withLock { $0 = error.message }
            queue.close()
            return .rejected(reason: error.message)
        case .failed(let error, .unknown):
            return late ? .rejected(reason: error.message) : .unknown(reason: error.message)
        case .failed(let error, .retriable(let after)):
            return late
                ? .rejected(reason: error.message) : .retry(reason: error.message, after: after > .zero ? after : nil)
        }
    }
}

extension SendResult {
    /// The service will never take the batch, and what publishes it knows that.
    fileprivate var isRefusal: Bool { if case .failed(_, .batchRefused) = self { true } else { false } }
}

/// What the thread does that sends.
final class SendLoop {
    private let queue: LineQueue
    private let service: LineService
    private let engine: LaneEngine<LineService, Void>
    private let lanes: Int
    private let watch: (@Sendable (SendProgress) -> Void)?
    private var progress = SendProgress()

    /// How often `watch` is told.
    private static let watchInterval = Duration.milliseconds(200)

    init(
        _ service: LineService, queue: LineQueue, lanes: Int, window: Int = 1,
        watch: (@Sendable (SendProgress) -> Void)?
    ) {
        self.queue = queue
        self.service = service
        self.lanes = lanes
        self.watch = watch
        engine = LaneEngine(
            service: service, partitions: lanes, window: window, retry: LineService.retry,
            wake: { [queue] in queue.signal.raise() })
    }

    /// Until everything that came is settled.
    func run(_ finished: (SendProgress) -> Void) {
        var shownAt = ContinuousClock.now
        while true {
            let now = ContinuousClock.now
            poll(now)
            let (batches, hasEnded) = queue.take()
            for batch in batches {
                let lane = (0..<lanes).min { engine.bytes(of: $0) < engine.bytes(of: $1) } ?? 0
                engine.append(
                    .init(batch: batch, tag: (), bytes: batch.size, records: batch.events),
                    partition: lane, now: now)
            }
            progress.inFlight = engine.records
            progress.retries = engine.counters.retries
            progress.unknownOutcomes = engine.counters.unknownOutcomes
            if hasEnded, batches.isEmpty, engine.records == 0 { break }
            if let watch, shownAt.duration(to: now) >= Self.watchInterval {
                shownAt = now
                watch(progress)
            }
            var wait = watch == nil ? Duration.seconds(60) : Self.watchInterval
            if let due = engine.deadline { wait = min(wait, now.duration(to: due)) }
            queue.signal.wait(for: wait)
        }
        finished(progress)
    }

    private func poll(_ now: ContinuousClock.Instant) {
        engine.poll(
            now: now,
            refused: { lane, _, _ in
                service.noteRefusal(lane)
                return []
            }
        ) { _, item, settlement in
            switch settlement {
            case .acknowledged:
                progress.events += UInt64(item.records)
                progress.bytes += UInt64(item.batch.bytes)
            case .rejected(let reason): progress.noteFailure(reason, events: item.records)
            }
            queue.settle(item.batch)
        }
    }
}
