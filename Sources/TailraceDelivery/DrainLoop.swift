internal import Logging
internal import Producing
internal import TailraceSpool

/// What a drain's thread does. All of it happens on that thread.
///
/// A batch holds consecutive records of one partition and key: every record of the partition between its first and its
/// last id is in it, or was acknowledged before. So two ids describe it, and the lowest first id of all batches is the
/// floor.
final class DrainLoop<D: Destination> {
    let parts: DrainParts<D>
    let configuration: DrainConfiguration
    let engine: LaneEngine<D, RecordSpan>
    let refused: RefusedRecords<D>

    var routes: RouteTable<D.Encoder.Header>
    var open: OpenBatches<D.Encoder>

    /// The frame being put into batches, and the index of its next record.
    var frame: (view: SpoolFrame, next: Int)?
    /// The first id that is in no batch yet, nor was passed over.
    var cursor: UInt64
    var laggards = Laggards()
    var pass: CatchUp?
    var stall: Stall
    /// Partitions that had a record since the start: others do not wait for any.
    var hasRecords: [Bool]
    var activePartitions = 0
    var ledger: DrainLedger
    /// In these a record was given up that the ledger's disk does not know of yet: their lanes are held.
    var heldPartitions: Set<Int> = []
    var noteAgainAt: ContinuousClock.Instant
    var readAgainAt: ContinuousClock.Instant?
    /// Nil after a rest.
    var sweepAt: ContinuousClock.Instant?
    /// How many there were when `until` was set.
    private var settleLater: (transmissions: UInt64, until: ContinuousClock.Instant)
    var statistics: DrainStatistics
    var failureLog = LogLimiter(interval: .seconds(10))
    private var phase: Phase
    /// Nothing is read from here on (`Drain.finish`).
    private var readingEnd: UInt64?
    /// All before `readingEnd` is acknowledged, and the ledger's disk knows it.
    private(set) var isFinished = false

    private enum Phase {
        /// Before the first record goes out, the disk must know by which routing it goes, and whose numbers it gets: after a
        /// power cut, an older ledger would send it again to another partition, or by a producer that is not ours.
        case notingBeginning
        case draining
        /// All is acknowledged that was to be; the disk is to know it.
        case finishing
        /// Nothing new is sent; what is in flight may still be answered.
        case ending
        case ended
    }

    /// What comes after a step.
    enum Next {
        case again
        /// Nothing before this time, unless a transmission ends or a stop comes, or (`forMore`) there is more to read.
        case wait(until: ContinuousClock.Instant, forMore: Bool)
        case ended
    }

    init(_ parts: DrainParts<D>) {
        self.parts = parts
        configuration = parts.configuration
        let count = parts.destination.partitionCount
        let now = parts.clocks.instant()
        ledger = DrainLedger(parts, now: now)
        engine = LaneEngine(
            service: parts.destination, partitions: count, window: ledger.isNumbered ? configuration.window : 1,
            retry: configuration.retry, holdsAfterGivingUp: ledger.isNumbered, random: configuration.random(),
            wake: { [weak parts] in parts?.wake() })
        refused = RefusedRecords(parts)
        routes = RouteTable(configuration, partitionCount: count)
        open = OpenBatches(
            (0..<count).map { _ in parts.destination.makeEncoder() }, maximumRecords: configuration.maximumBatchRecords)
        stall = Stall(now: now)
        hasRecords = Array(repeating: false, count: count)
        cursor = parts.state.floor
        noteAgainAt = now
        settleLater = (0, now)
        phase = .notingBeginning
        statistics = DrainStatistics(partitions: count, startedAt: parts.state.floor, now: now)
        for partition in 0..<count {
            statistics.partitions[partition].acknowledged = parts.state.partitions[partition].acknowledged
        }
    }

    /// What the drain's thread does.
    func run() {
        defer { parts.mark.rest() }
        while true {
            parts.mark.work()
            switch step() {
            case .again: break
            case .wait(let deadline, let forMore):
                parts.mark.rest()
                sleep(until: deadline, forMore: forMore)
            case .ended: return
            }
        }
    }

    func step() -> Next {
        let now = parts.clocks.instant()
        let orders = parts.control.orders
        if let stop = orders.stop { return end(stop, now) }
        readingEnd = orders.finish
        switch phase {
        case .notingBeginning: return noteBeginning(now)
        case .draining: return drain(now)
        case .finishing: return finish(now)
        case .ending, .ended: return .ended
        }
    }

    func noteBeginning(_ now: ContinuousClock.Instant) -> Next {
        saveLedger(now)
        if !ledger.isBehind, ledger.flush(timeoutMilliseconds: 5000) {
            phase = .draining
            return .again
        }
        publish()
        return .wait(until: now.advanced(by: configuration.readRetryInterval), forMore: false)
    }

    func drain(_ now: ContinuousClock.Instant) -> Next {
        poll(now)
        if ledger.isBehind, now >= ledger.due { saveLedger(now) }
        if frame == nil, !isPastEnd { frame = nextFrame(now) }
        let hasPlaced = frame != nil && !isPastEnd && placeFrame(now)
        let hasCaughtUp = !laggards.isEmpty && catchUp(now)
        if hasPlaced || hasCaughtUp {
            sweep(now)
            return .again
        }
        let forMore = frame == nil && readAgainAt == nil && !isPastEnd
        if frame == nil { _ = stall.note(.idle, now) }
        sealIdleLanes(now)
        if parts.control.takeRelease(), frame == nil, open.records == 0 { releaseMemory() }
        publish()
        sweepAt = nil
        if let readingEnd, statistics.floor >= readingEnd {
            phase = .finishing
            return .again
        }
        let settlesBy = settleLater(now)
        if engine.awaitCompletions(settlesBy == nil) { return .again }
        let deadline = deadline(now)
        return .wait(until: settlesBy.map { min($0, deadline) } ?? deadline, forMore: forMore)
    }

    private func releaseMemory() {
        routes.removeAll()
        open.releaseStorage()
    }

    /// Until when the end of what is in flight need not be heard of: the next records wake us anyway, which a trickle has soon.
    /// Nil when it must be heard of at once, because something can only go on then, or when it has been long in coming.
    private func settleLater(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        let transmissions = engine.counters.transmissions
        if transmissions != settleLater.transmissions {
            settleLater = (transmissions, now.advanced(by: configuration.settleInterval))
        }
        let isWaitedFor =
            frame != nil || open.records > 0 || engine.hasWaiting || !laggards.isEmpty || readingEnd != nil
            || !heldPartitions.isEmpty
        return isWaitedFor || engine.inFlight == 0 || now >= settleLater.until ? nil : settleLater.until
    }

    private var isPastEnd: Bool { readingEnd.map { cursor >= $0 } ?? false }

    private func finish(_ now: ContinuousClock.Instant) -> Next {
        saveLedger(now)
        guard !ledger.isBehind, ledger.flush(timeoutMilliseconds: 5000) else {
            publish()
            return .wait(until: now.advanced(by: configuration.readRetryInterval), forMore: false)
        }
        publish()
        isFinished = true
        phase = .ended
        return .ended
    }

    /// When something is due.
    func deadline(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        var deadline = now.advanced(by: .seconds(60))
        if let due = engine.deadline { deadline = min(deadline, due) }
        if ledger.isBehind { deadline = min(deadline, ledger.overdue) }
        if let readAgainAt { deadline = min(deadline, readAgainAt) }
        if !heldPartitions.isEmpty { deadline = min(deadline, noteAgainAt) }
        if let due = stall.deadline { deadline = min(deadline, due) }
        return deadline
    }

    // MARK: - Waiting and ending

    private func sleep(until deadline: ContinuousClock.Instant, forMore: Bool) {
        guard !parts.signal.take() else { return }
        let now = parts.clocks.instant()
        if forMore {
            let (seconds, attoseconds) = now.duration(to: deadline).components
            let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
            if milliseconds > 0, parts.reader.waitForMore(timeoutMilliseconds: Int(milliseconds)) { return }
            // Woken, which the signal knows too; or less than a millisecond is left; or the spool is closed, and then
            // only a stop can come.
            let rest = parts.clocks.instant().duration(to: deadline)
            parts.signal.wait(for: min(rest, .milliseconds(20)))
        } else {
            parts.signal.wait(for: now.duration(to: deadline))
        }
    }

    func publish() {
        statistics.read = cursor
        statistics.floor = floor
        statistics.queuedBytes = engine.bytes + open.bytes
        statistics.queued = UInt64(engine.records + open.records)
        statistics.inFlight = UInt64(engine.inFlightRecords)
        statistics.passedOver = laggards.records
        statistics.transmissions = engine.counters.transmissions
        statistics.retries = engine.counters.retries
        statistics.unknownOutcomes = engine.counters.unknownOutcomes
        for partition in statistics.partitions.indices {
            statistics.partitions[partition].failures = engine.failures(of: partition)
            statistics.partitions[partition].passedOver = laggards.records(of: partition)
        }
        parts.published.withLock { $0 = statistics }
    }

    private func end(_ stop: DrainControl.Stop, _ now: ContinuousClock.Instant) -> Next {
        guard phase != .ended else { return .ended }
        let hasSent = phase != .notingBeginning
        engine.halt()
        phase = .ending
        if case .within(let deadline) = stop, hasSent {
            poll(now)
            if engine.inFlight > 0, now < deadline {
                return engine.awaitCompletions(true) ? .again : .wait(until: deadline, forMore: false)
            }
            saveLedger(now)
            ledger.flush(timeoutMilliseconds: 2000)
            publish()
        }
        phase = .ended
        return .ended
    }

    func log(
        _ now: ContinuousClock.Instant, _ level: Logger.Level, _ message: Logger.Message, _ reason: String,
        _ metadata: Logger.Metadata = [:]
    ) {
        guard let suppressed = failureLog.take(now) else { return }
        var metadata = metadata
        metadata["destination"] = "\(parts.destination.name)"
        metadata["reason"] = "\(reason)"
        if suppressed > 0 { metadata["suppressed"] = "\(suppressed)" }
        parts.logger.log(level: level, message, metadata: metadata)
    }
}
