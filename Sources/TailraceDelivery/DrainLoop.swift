internal import Logging
internal import Producing
internal import TailraceSpool

/// What a drain's thread does. All of it happens on that thread.
///
/// A batch holds consecutive records of one partition and key: every record of the partition between its first and its
/// last id is in it, or was acknowledged before. So two ids describe it, and the lowest first id of all batches is the
/// floor.
final class DrainLoop<D: Destination> {
    private struct OpenBatch {
        let key: String
        var span: RecordSpan
        var records = 0
        let since: ContinuousClock.Instant
    }

    private let parts: DrainParts<D>
    private let configuration: DrainConfiguration
    private let engine: LaneEngine<D, RecordSpan>
    private let refused: RefusedRecords<D>

    private var routes: RouteTable<D.Encoder.Header>
    private var encoders: [D.Encoder]
    private var open: [OpenBatch?]
    private var openBytes = 0
    private var openRecords = 0

    /// The frame being put into batches, and the index of its next record.
    private var frame: (view: SpoolFrame, next: Int)?
    /// The first id that is in no batch yet.
    private var cursor: UInt64
    private var ledger: DrainLedger
    private var readAgainAt: ContinuousClock.Instant?
    private var sweepAt: ContinuousClock.Instant
    private var statistics: DrainStatistics
    private var failureLog = LogLimiter(interval: .seconds(10))
    private var phase: Phase

    private enum Phase {
        /// Before the first record goes out, the disk must know whose numbers it gets: after a power cut, the producer of
        /// an older ledger would not be ours.
        case notingProducers
        case draining
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
            retry: configuration.retry, random: configuration.random(), wake: { [weak parts] in parts?.wake() })
        refused = RefusedRecords(parts)
        routes = RouteTable(configuration, partitionCount: count)
        encoders = (0..<count).map { _ in parts.destination.makeEncoder() }
        open = Array(repeating: nil, count: count)
        cursor = parts.state.floor
        sweepAt = now
        phase = ledger.isNumbered ? .notingProducers : .draining
        statistics = DrainStatistics(partitions: count, startedAt: parts.state.floor, now: now)
        for partition in 0..<count {
            statistics.partitions[partition].acknowledged = parts.state.partitions[partition].acknowledged
        }
    }

    /// What the drain's thread does.
    func run() {
        while true {
            switch step() {
            case .again: break
            case .wait(let deadline, let forMore): sleep(until: deadline, forMore: forMore)
            case .ended: return
            }
        }
    }

    func step() -> Next {
        let now = parts.clocks.instant()
        if let stop = parts.control.stop { return end(stop, now) }
        switch phase {
        case .notingProducers: return noteProducers(now)
        case .draining: return drain(now)
        case .ending, .ended: return .ended
        }
    }

    private func noteProducers(_ now: ContinuousClock.Instant) -> Next {
        saveLedger(now)
        if !ledger.isBehind, ledger.flush(timeoutMilliseconds: 5000) {
            phase = .draining
            return .again
        }
        publish()
        return .wait(until: now.advanced(by: configuration.readRetryInterval), forMore: false)
    }

    private func drain(_ now: ContinuousClock.Instant) -> Next {
        poll(now)
        if ledger.isBehind, now >= ledger.due { saveLedger(now) }
        if now >= sweepAt { sweep(now) }
        if frame == nil { frame = nextFrame(now) }
        if frame != nil, placeFrame(now) { return .again }
        let forMore = frame == nil && readAgainAt == nil
        sealIdleLanes(now)
        publish()
        return .wait(until: deadline(now), forMore: forMore)
    }

    /// When something is due.
    private func deadline(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        var deadline = now.advanced(by: .seconds(60))
        if let due = engine.deadline { deadline = min(deadline, due) }
        if ledger.isBehind { deadline = min(deadline, ledger.due) }
        if let readAgainAt { deadline = min(deadline, readAgainAt) }
        return deadline
    }

    // MARK: - Reading

    private func nextFrame(_ now: ContinuousClock.Instant) -> (view: SpoolFrame, next: Int)? {
        if let readAgainAt, now < readAgainAt { return nil }
        readAgainAt = nil
        do {
            let unusedBefore = parts.reader.unusedSequences
            let view = try parts.reader.next()
            let first = view.map { $0.firstSequence + UInt64($0.startIndex) } ?? parts.reader.nextSequence
            if first > cursor {
                let unused = min(parts.reader.unusedSequences - unusedBefore, first - cursor)
                statistics.unused += unused
                statistics.damaged += first - cursor - unused
                // Which partitions the lost records belonged to is not known.
                if first - cursor > unused { stopSkipping("unreadable records are among those that may be stored") }
                cursor = first
                ledger.touch()
            }
            return view.map { ($0, $0.startIndex) }
        } catch {
            statistics.localFailures += 1
            readAgainAt = now.advanced(by: configuration.readRetryInterval)
            log(now, .error, "cannot read the spool", "\(error)")
            return nil
        }
    }

    /// Puts the frame's records into batches; false when there is no room for all of them now.
    private func placeFrame(_ now: ContinuousClock.Instant) -> Bool {
        guard let (view, start) = frame else { return true }
        let route = routes.find(view.context) { encoders[$0].prepare($1, key: $2) }
        let partition = route.partition
        var index = start
        let acknowledged = ledger.acknowledged(partition)
        if view.firstSequence + UInt64(index) < acknowledged {
            let skipped = Int(min(acknowledged - view.firstSequence, UInt64(view.recordCount))) - index
            statistics.alreadyAcknowledged += UInt64(skipped)
            index += skipped
        }
        if ledger.isSkipping { index += skipStored(view, index, partition) }
        defer { advance(view, index) }
        while index < view.recordCount {
            guard engine.bytes(of: partition) < configuration.laneLimit,
                engine.bytes + openBytes < configuration.memoryLimit
            else { return false }
            if let batch = open[partition], batch.key != route.key { seal(partition, now) }
            if open[partition] == nil { begin(route, view.firstSequence + UInt64(index), now) }
            let taken = append(view, index, route)
            index += taken
            if taken == 0, open[partition]?.records == 0 {
                guard appendLarge(view, index, route, now) else { return false }
                index += 1
            } else if index < view.recordCount {
                seal(partition, now)
            }
        }
        return true
    }

    /// Passes the records that the service has from the last run.
    private func skipStored(_ view: SpoolFrame, _ index: Int, _ partition: Int) -> Int {
        let first = view.firstSequence + UInt64(index)
        let skipped = ledger.skip(partition, first: first, count: view.recordCount - index)
        if skipped > 0 {
            statistics.partitions[partition].acknowledged = first + UInt64(skipped)
            statistics.alreadyAcknowledged += UInt64(skipped)
            statistics.recognised += UInt64(skipped)
        }
        if view.endSequence >= ledger.skippingEnd {
            stopSkipping("fewer records than it has were left for the partition")
        }
        return skipped
    }

    private func stopSkipping(_ reason: String) {
        for (partition, left) in ledger.stopSkipping() {
            parts.logger.warning(
                "records that the service may have are sent again",
                metadata: [
                    "destination": "\(parts.destination.name)", "partition": "\(partition)",
                    "records": "\(left)", "reason": "\(reason)",
                ])
        }
    }

    private func advance(_ view: SpoolFrame, _ index: Int) {
        cursor = view.firstSequence + UInt64(index)
        if index == view.recordCount { frame = nil } else { frame?.next = index }
        // Without anything in batches, the floor moves by reading alone (what was acknowledged before).
        ledger.touch()
    }

    private func begin(_ route: Route<D.Encoder.Header>, _ sequence: UInt64, _ now: ContinuousClock.Instant) {
        let partition = route.partition
        encoders[partition].begin(route.header)
        openBytes += encoders[partition].size
        open[partition] = OpenBatch(key: route.key, span: RecordSpan(first: sequence, end: sequence), since: now)
    }

    private func append(_ view: SpoolFrame, _ index: Int, _ route: Route<D.Encoder.Header>) -> Int {
        let partition = route.partition
        let room = configuration.maximumBatchRecords - (open[partition]?.records ?? 0)
        guard room > 0 else { return 0 }
        let before = encoders[partition].size
        let run = RecordRun(view, index..<min(view.recordCount, index + room))
        let taken = encoders[partition].append(run, route.header)
        precondition(taken >= 0 && taken <= run.count)
        openBytes += encoders[partition].size - before
        openRecords += taken
        open[partition]?.records += taken
        if taken > 0 { open[partition]?.span.end = view.firstSequence + UInt64(index + taken) }
        return taken
    }

    /// A record that does not fit into an empty batch: as much of it as does fit, or into the dead-letter area. False
    /// when it has to wait.
    private func appendLarge(
        _ view: SpoolFrame, _ index: Int, _ route: Route<D.Encoder.Header>, _ now: ContinuousClock.Instant
    ) -> Bool {
        let partition = route.partition
        let before = encoders[partition].size
        let sequence = view.firstSequence + UInt64(index)
        if encoders[partition].appendCut(RecordRun(view, index..<(index + 1))[index], route.header) != nil {
            openBytes += encoders[partition].size - before
            openRecords += 1
            open[partition]?.records = 1
            open[partition]?.span.end = sequence + 1
            statistics.truncated += 1
            return true
        }
        openBytes -= before
        open[partition] = nil
        // It gets no number, so the ledger has to be past it before those behind it get theirs.
        guard !ledger.isNumbered || engine.isEmpty(partition) else { return false }
        let reason = "the record's properties alone exceed the largest batch of \(parts.destination.name)"
        let isKept = refused.keep(view, index, reason)
        noteKept(isKept ? 1 : 0, of: 1)
        if ledger.isNumbered {
            ledger.acknowledge(partition, before: sequence + 1, numbered: 0)
            statistics.partitions[partition].acknowledged = sequence + 1
            cursor = sequence + 1
            noteGivenUp(now)
        }
        return true
    }

    // MARK: - Sending

    private func seal(_ partition: Int, _ now: ContinuousClock.Instant) {
        guard let batch = open[partition], batch.records > 0 else { return }
        let size = encoders[partition].size
        openBytes -= size
        openRecords -= batch.records
        open[partition] = nil
        let sealed = encoders[partition].seal()
        engine.append(
            .init(batch: sealed, tag: batch.span, bytes: size, records: batch.records), partition: partition, now: now)
    }

    /// Nothing more can be put into batches for now, so those whose lane has nothing to do go as they are.
    private func sealIdleLanes(_ now: ContinuousClock.Instant) {
        guard openRecords > 0 else { return }
        for partition in open.indices where open[partition] != nil && engine.isEmpty(partition) {
            seal(partition, now)
        }
    }

    /// Once a millisecond, however fast frames come: batches that waited long enough go, and the numbers are shown.
    private func sweep(_ now: ContinuousClock.Instant) {
        sweepAt = now.advanced(by: .milliseconds(1))
        if openRecords > 0 {
            for (partition, batch) in open.enumerated() {
                guard let batch, batch.since.advanced(by: configuration.maximumWait) <= now,
                    engine.isEmpty(partition)
                else { continue }
                seal(partition, now)
            }
        }
        publish()
    }

    private func poll(_ now: ContinuousClock.Instant) {
        engine.poll(
            now: now,
            failed: { failure in
                statistics.partitions[failure.partition].trouble = failure.reason
                if ledger.isNumbered, parts.destination.hasLostProducer(failure.partition) {
                    forgetProducer(failure.partition)
                }
                log(
                    now, .warning, "a batch was not taken and is sent again", failure.reason,
                    ["partition": "\(failure.partition)", "attempts": "\(failure.failures)"])
            },
            refused: { partition, item, reason in
                log(
                    now, .error, "the service refuses a batch for good; it is tried again in parts", reason,
                    ["partition": "\(partition)", "records": "\(item.records)"])
                parts.destination.noteRefusal(partition)
                do {
                    return try self.refused.split(item.tag, partition, item.records, routes)
                } catch {
                    // The service minds one record, and the others must not go with it: it is asked again until they can
                    // be told apart.
                    statistics.localFailures += 1
                    log(now, .error, "cannot read refused records again", "\(error)")
                    return [item]
                }
            },
            settle: { partition, item, settlement in
                switch settlement {
                case .acknowledged:
                    statistics.acknowledged += UInt64(item.records)
                    statistics.acknowledgedBatches += 1
                    statistics.acknowledgedBytes += UInt64(item.bytes)
                    statistics.partitions[partition].acknowledgedRecords += UInt64(item.records)
                    ledger.acknowledge(partition, before: item.tag.end, numbered: item.records)
                case .rejected(let reason):
                    log(
                        now, .error, "a refused record goes to the dead-letter area", reason,
                        ["partition": "\(partition)", "sequence": "\(item.tag.first)"])
                    noteKept(self.refused.keep(item.tag, partition, routes, reason), of: item.records)
                    ledger.acknowledge(partition, before: item.tag.end, numbered: 0)
                }
                statistics.partitions[partition].acknowledged = item.tag.end
                statistics.partitions[partition].trouble = nil
                statistics.lastProgress = now
                // Those behind it have not been transmitted yet: `settle` comes before.
                if settlement != .acknowledged, ledger.isNumbered { noteGivenUp(now) }
                encoders[partition].reuse(item.batch)
            })
    }

    private func noteKept(_ kept: Int, of records: Int) {
        statistics.deadLettered += UInt64(min(kept, records))
        statistics.dropped += UInt64(max(0, records - kept))
    }

    // MARK: - The ledger

    private var floor: UInt64 {
        var floor = cursor
        for partition in open.indices {
            if let item = engine.oldest(of: partition) {
                floor = min(floor, item.tag.first)
            } else if let batch = open[partition], batch.records > 0 {
                floor = min(floor, batch.span.first)
            }
        }
        return floor
    }

    private func saveLedger(_ now: ContinuousClock.Instant) {
        let floor = floor
        statistics.floor = floor
        do {
            try ledger.save(floor: floor, now: now)
        } catch {
            statistics.localFailures += 1
            log(now, .error, "cannot write the ledger; acknowledged records stay in the spool", "\(error)")
        }
    }

    /// A record was given up, which has no number: numbers and ids must not drift apart, whatever happens next. Should
    /// the disk refuse, a crash now would make duplicates.
    private func noteGivenUp(_ now: ContinuousClock.Instant) {
        saveLedger(now)
        if !ledger.isBehind { ledger.flush(timeoutMilliseconds: 5000) }
    }

    /// Another producer goes on with our numbers, so that the next run must not believe them.
    private func forgetProducer(_ partition: Int) {
        if ledger.forgetProducer(partition) { saveLedger(parts.clocks.instant()) }
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

    private func publish() {
        statistics.read = cursor
        statistics.floor = floor
        statistics.queuedBytes = engine.bytes + openBytes
        statistics.queued = UInt64(engine.records + openRecords)
        statistics.inFlight = UInt64(engine.inFlightRecords)
        statistics.transmissions = engine.counters.transmissions
        statistics.retries = engine.counters.retries
        statistics.unknownOutcomes = engine.counters.unknownOutcomes
        for partition in statistics.partitions.indices {
            statistics.partitions[partition].failures = engine.failures(of: partition)
        }
        parts.published.withLock { $0 = statistics }
    }

    private func end(_ stop: DrainControl.Stop, _ now: ContinuousClock.Instant) -> Next {
        guard phase != .ended else { return .ended }
        let hasSent = phase != .notingProducers
        engine.halt()
        phase = .ending
        if case .within(let deadline) = stop, hasSent {
            poll(now)
            if engine.inFlight > 0, now < deadline { return .wait(until: deadline, forMore: false) }
            saveLedger(now)
            ledger.flush(timeoutMilliseconds: 2000)
            publish()
        }
        refused.close()
        phase = .ended
        return .ended
    }

    private func log(
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
