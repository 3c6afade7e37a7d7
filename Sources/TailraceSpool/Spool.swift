import Glibc
package import Logging

/// A durable queue of records on disk: `append` at one end, readers and `release` at the other. See `Format.swift`.
package final class Spool: Sendable {
    private let core: SpoolCore
    private let lock: LockFile
    private let worker: Worker
    /// Reads what the start found and did not read; nil when there is nothing.
    private let verifier: Worker?
    /// What `open` found.
    package let recovery: RecoveryReport
    /// Of the thread that writes.
    package var mark: StageMark { core.mark }

    private init(core: SpoolCore, lock: LockFile, worker: Worker, verifier: Worker?, recovery: RecoveryReport) {
        self.core = core
        self.lock = lock
        self.worker = worker
        self.verifier = verifier
        self.recovery = recovery
    }

    deinit { close() }

    /// Locks the directory (making it if missing), recovers what is there, and starts the spool thread.
    package static func open(
        _ configuration: SpoolConfiguration, logger: Logger
    ) throws(SpoolError) -> Spool {
        let limits = try configuration.limits()
        let directory = SpoolDirectory(path: configuration.directory, disk: configuration.environment.disk)
        let lock: LockFile
        let recovered: Recovery.Result
        let quarantine = Quarantine(spool: directory, limit: configuration.maximumQuarantineSize, logger: logger)
        do throws(SpoolFileError) {
            try directory.create()
        } catch {
            throw .file(error)
        }
        lock = try LockFile.take(in: directory)
        recovered = try Recovery(
            directory: directory, quarantine: quarantine, minimumNextSequence: configuration.minimumNextSequence,
            isSyncing: configuration.sync != .never
        ).run()
        recovered.report.log(to: logger)
        let state = SpoolState(
            nextSequence: recovered.nextSequence, committed: recovered.nextSequence,
            released: recovered.segments.first?.first ?? recovered.nextSequence, segments: recovered.segments,
            positions: recovered.positions,
            positionBytes: recovered.positions.reduce(0) { $0 + Checkpoint.size(key: $1.key, value: $1.value) })
        let core = SpoolCore(
            configuration: configuration, limits: limits, directory: directory, quarantine: quarantine,
            logger: logger, state: state)
        let hasThreads = configuration.environment.hasThreads
        let verifier = Self.verify(core, recovered.unread, hasThread: hasThreads)
        let worker = Self.start(core, recovered, hasThread: hasThreads)
        return Spool(core: core, lock: lock, worker: worker, verifier: verifier, recovery: recovered.report)
    }

    private static func start(_ core: SpoolCore, _ recovered: Recovery.Result, hasThread: Bool) -> Worker {
        let makeWriter = { @Sendable in
            SpoolWriter(
                core: core, nextGeneration: recovered.nextGeneration, previousEnd: recovered.previousEnd,
                positions: recovered.positions)
        }
        guard hasThread else {
            let writer = makeWriter()
            return Worker { writer.step() }
        }
        return Worker(thread: "spool") { makeWriter().run() }
    }

    private static func verify(_ core: SpoolCore, _ ids: Range<UInt64>, hasThread: Bool) -> Worker? {
        guard !ids.isEmpty, core.configuration.verificationRate > 0 else { return nil }
        core.monitor.withLock { core.state.unverified = ids }
        let makeVerifier = { @Sendable in SpoolVerifier(core: core, ids: ids) }
        guard hasThread else {
            let verifier = makeVerifier()
            return Worker { verifier.step() }
        }
        return Worker(thread: "spool verifier") { makeVerifier().run() }
    }

    /// Without a thread (`SpoolEnvironment.hasThreads`): does a piece of the thread's work.
    package func step() -> StepResult<UInt64> { worker.step() }

    /// Without a thread: reads a piece of what the start found and did not read.
    package func verify() -> StepResult<UInt64> { verifier?.step() ?? .ended }

    package var environment: SpoolEnvironment { core.configuration.environment }

    /// Other limits from now on, while everything goes on.
    ///
    /// - Parameters:
    ///   - maximumSize: bytes on disk. No less than four of the segments that this spool has been opened with: their size
    ///     stays until it is opened again.
    ///   - sync: for what is written from now on, and what waits for its sync.
    ///   - minimumFree: bytes that no new segment may take from the file system, see `SpoolConfiguration`.
    /// - Returns: the maximum size that is in force.
    @discardableResult
    package func change(maximumSize: UInt64, sync: SyncPolicy, minimumFree: UInt64?) -> UInt64 {
        let size = max(Int(clamping: maximumSize), core.limits.segmentSize * 4)
        core.settings.withLock { $0 = SpoolCore.Settings(maximumSize: size, sync: sync, minimumFree: minimumFree) }
        core.monitor.withLock {
            // There may be room now, and something may be due that was not.
            core.state.releaseChanged = true
            core.wakeWriter()
        }
        return UInt64(size)
    }

    /// How far each source has been read, as of the last append.
    package func positions() -> [SourceKey: [UInt8]] { core.monitor.withLock { core.state.positions } }

    /// Gives the batch's records their ids and queues it. Waits while the queue or the disk limit is full, or the disk
    /// refuses.
    ///
    /// Ownership of the batch passes, unless this throws: then it is still the caller's.
    package func append(_ batch: RecordBatch) throws(SpoolError) {
        let isTaken = try append(batch, timeoutMilliseconds: nil)
        precondition(isTaken, "it waits without end")
    }

    /// As `append`, but the batch stays the caller's when this returns false.
    ///
    /// - Parameter timeoutMilliseconds: how long it waits at most; nil: without end.
    /// - Returns: false when there was no room in that time.
    package func append(_ batch: RecordBatch, timeoutMilliseconds: Int?) throws(SpoolError) -> Bool {
        let size = try frames(for: batch)
        FrameEncoder.seal(batch)
        var wakesWriter = false
        core.monitor.lock()
        defer { unlock(waking: wakesWriter) }
        if core.state.phase == .open, !hasRoom(size.length) {
            precondition(worker.hasThread, "who steps a spool appends with tryAppend")
            core.state.counters.appendWaits += 1
            let deadline = timeoutMilliseconds.map { core.clocks.nanoseconds() + UInt64(max(0, $0)) * 1_000_000 }
            repeat {
                if let deadline, core.clocks.nanoseconds() >= deadline { return false }
                core.space.wait(until: deadline)
            } while core.state.phase == .open && !hasRoom(size.length)
        }
        try enqueue(batch, size)
        wakesWriter = core.takeWriterWaiting()
        return true
    }

    private func unlock(waking wakesWriter: Bool) {
        core.monitor.unlock()
        if wakesWriter { core.work.signal() }
    }

    /// As `append`, for inputs that must not wait. False when it would have to, when the spool is closed, or when the
    /// batch can never be stored (see `append`'s errors): the batch is still the caller's.
    package func tryAppend(_ batch: RecordBatch) -> Bool {
        do throws(SpoolError) {
            return try offer(batch)
        } catch {
            return false
        }
    }

    /// As `append`, but false when it would have to wait. The batch is then, and when this throws, still the caller's.
    package func offer(_ batch: RecordBatch) throws(SpoolError) -> Bool {
        let size = try frames(for: batch)
        // Whoever is refused tries again, so nothing is sealed for that.
        guard try core.monitor.withLock({ () throws(SpoolError) in try takes(size.length) }) else { return false }
        FrameEncoder.seal(batch)
        var wakesWriter = false
        core.monitor.lock()
        defer { unlock(waking: wakesWriter) }
        guard try takes(size.length) else { return false }
        try enqueue(batch, size)
        wakesWriter = core.takeWriterWaiting()
        return true
    }

    /// With the monitor locked: whether a batch is taken at once.
    private func takes(_ length: Int) throws(SpoolError) -> Bool {
        guard core.state.phase == .open else { throw .closed }
        guard hasRoom(length) else {
            core.state.counters.appendRefusals += 1
            return false
        }
        return true
    }

    /// How many records the spool holds beside those with ids in `settled` (ascending, none in two of them), and how many
    /// were appended since it was opened: as of one moment. What is damaged counts; ids that a recovery skipped do not.
    package func count(without settled: [Range<UInt64>]) -> (records: UInt64, appended: UInt64) {
        core.monitor.withLock {
            let waiting = core.state.committed..<core.state.nextSequence
            let held = core.state.segments.map { $0.first..<max($0.first, $0.end) } + [waiting]
            let records = held.reduce(into: UInt64(0)) { records, ids in
                records += ids.upperBound - ids.lowerBound
                for range in settled {
                    let both = range.clamped(to: ids)
                    records -= both.upperBound - both.lowerBound
                }
            }
            return (records, core.state.counters.recordsAppended)
        }
    }

    /// The first id that is not durable yet: ids below it may be read.
    package var committed: UInt64 { core.monitor.withLock { core.state.committed } }

    /// A reader whose first frame contains `sequence` (see `SpoolFrame.startIndex`), or follows it.
    ///
    /// - Parameter stepsOver: it will step over many frames, and so reads less at once.
    package func reader(from sequence: UInt64, stepsOver: Bool = false) throws(SpoolError) -> SpoolReader {
        try core.monitor.withLock { () throws(SpoolError) in
            guard sequence <= core.state.nextSequence else {
                throw .beyondEnd(wanted: sequence, next: core.state.nextSequence)
            }
            guard !core.state.isReleased(sequence) else {
                throw .released(wanted: sequence, first: core.state.firstSequence)
            }
        }
        return SpoolReader(core: core, from: sequence, stepsOver: stepsOver)
    }

    /// Tells that every output has acknowledged all ids below `sequence`: segments wholly below go, soon, on the spool
    /// thread. Never blocks; going backwards is ignored.
    package func release(below sequence: UInt64) {
        core.monitor.withLock {
            let sequence = min(sequence, core.state.committed)
            guard sequence > core.state.released else { return }
            core.state.released = sequence
            // Only a segment that can go, or a writer waiting for space, is worth a wake-up.
            let canGo = core.state.segments.first.map { $0.isSealed && $0.end <= sequence } ?? false
            guard (canGo && core.state.segments.count > 1) || core.state.trouble != nil else { return }
            core.state.releaseChanged = true
            core.wakeWriter()
        }
    }

    /// When records become durable; `change` may have set it.
    package var sync: SyncPolicy { core.sync }

    /// About how many durable bytes some output has not acknowledged yet.
    package var unreleasedBytes: Int { core.monitor.withLock { core.state.unreleasedBytes } }

    /// Retention, for a log that nobody acknowledges: lets the oldest segments go until one more fits below
    /// `maximumSize`. Called after each commit it keeps writers from ever waiting for room, and the same few files in use.
    package func releaseOldest() {
        let below = core.monitor.withLock { () -> UInt64? in
            var used = core.state.bytesOnDisk - core.state.spareBytes
            var below: UInt64?
            for segment in core.state.segments where segment.isSealed {
                guard used + core.limits.segmentSize > core.maximumSize else { break }
                used -= segment.size
                below = segment.end
            }
            return below
        }
        if let below { release(below: below) }
    }

    package func statistics() -> SpoolStatistics {
        let damage = core.quarantine.counts
        return core.monitor.withLock {
            var result = core.state.counters
            result.firstSequence = core.state.firstSequence
            result.removedEnd = core.state.removedEnd
            result.nextSequence = core.state.nextSequence
            result.committed = core.state.committed
            result.released = core.state.released
            result.bytesOnDisk = UInt64(core.state.bytesOnDisk)
            result.maximumSize = UInt64(core.maximumSize)
            result.segments = core.state.segments.count
            result.spares = core.limits.segmentSize > 0 ? core.state.spareBytes / core.limits.segmentSize : 0
            result.queuedBatches = core.state.queued
            result.queuedBytes = core.state.queueBytes
            result.sources = core.state.positions.count
            result.trouble = core.state.trouble
            let verified = max(core.state.unverified.lowerBound, core.state.released)
            result.unverified = core.state.unverified.upperBound - min(verified, core.state.unverified.upperBound)
            result.quarantinedBytes = damage.bytes
            result.quarantinedRecords = damage.records
            result.quarantinedPlaces = damage.places
            return result
        }
    }

    /// Waits until everything appended before is durable and everything released before is gone; false when that did
    /// not happen in time (full, failing, closed).
    @discardableResult
    package func flush(timeoutMilliseconds: Int = 10_000) -> Bool {
        let deadline = core.clocks.nanoseconds() + UInt64(max(0, timeoutMilliseconds)) * 1_000_000
        let wanted = core.monitor.withLock { () -> UInt64? in
            guard core.state.phase == .open else { return nil }
            core.state.flushWanted += 1
            core.state.releaseChanged = true
            core.wakeWriter()
            return core.state.flushWanted
        }
        guard let wanted else { return false }
        worker.settle()
        return core.monitor.withLock {
            while worker.hasThread, core.state.flushDone < wanted, core.state.phase != .stopped,
                core.clocks.nanoseconds() < deadline
            {
                core.commit.wait(until: deadline)
            }
            return core.state.flushDone >= wanted
        }
    }

    /// Stores what is queued, stops the thread and releases the lock. Appends that wait get `.closed`. When the disk
    /// refuses, one more attempt is made and the rest is left to the inputs' positions. Idempotent.
    package func close() { stop(.closing) }

    /// For tests: stops as a kill would, without storing what is queued.
    package func abandon() { stop(.abandoned) }

    private func stop(_ phase: SpoolState.Phase) {
        core.monitor.withLock {
            guard core.state.phase == .open else { return }
            core.state.phase = phase
            core.space.broadcast()
            core.commit.broadcast()
            core.work.signal()
            core.stopping.broadcast()
        }
        worker.join()
        verifier?.join()
        lock.release()
    }

    // MARK: - Appending

    private func frames(for batch: RecordBatch) throws(SpoolError) -> FrameSize {
        precondition(batch.length <= batch.capacity && batch.attributes.count <= batch.recordCount)
        if let last = batch.sections.last {
            precondition(
                last.bytes.upperBound == batch.length && last.records.upperBound == batch.recordCount
                    && last.attributes.upperBound == batch.attributes.count, "the last section is not closed")
        }
        if let position = batch.position {
            precondition(position.value.count <= FrameHeader.maximumPositionValue, "position value too long")
        }
        for index in 0..<batch.partCount { check(batch, batch.part(index)) }
        let size = FrameSize(of: batch)
        guard size.length <= core.limits.frame else {
            throw .batchTooLarge(bytes: size.length, limit: core.limits.frame)
        }
        return size
    }

    /// An entry outside the block is the input's bug: better to stop here than to read other memory.
    private func check(_ batch: RecordBatch, _ part: RecordSection) {
        precondition(part.context.count <= FrameHeader.maximumContext, "context of \(part.context.count) bytes")
        for index in part.records {
            let entry = batch.records[index]
            precondition(Int(entry.start) &+ entry.length <= part.bytes.count, "record \(index) lies outside its block")
        }
        for entry in batch.attributes[part.attributes] {
            precondition(
                entry.record < part.records.count && Int(entry.start) &+ Int(entry.length) <= part.bytes.count,
                "attributes lie outside their batch")
        }
    }

    /// With the monitor locked.
    private func hasRoom(_ length: Int) -> Bool {
        guard core.state.trouble == nil else { return false }
        if core.state.queued == 0 { return true }
        return core.state.queued < core.configuration.queueLimit
            && core.state.queueBytes + length <= core.configuration.queueByteLimit
    }

    /// With the monitor locked.
    private func enqueue(_ batch: RecordBatch, _ size: FrameSize) throws(SpoolError) {
        guard core.state.phase == .open else { throw .closed }
        if let position = batch.position, !position.value.isEmpty {
            let new = Checkpoint.size(key: position.source, value: position.value)
            let old = core.state.positions[position.source].map { Checkpoint.size(key: position.source, value: $0) }
            let total = core.state.positionBytes + new - (old ?? 0)
            guard total <= core.limits.positions else {
                throw .positionsTooLarge(bytes: total, limit: core.limits.positions)
            }
        }
        if let position = batch.position { core.state.setPosition(position) }
        core.state.queue.append(
            PendingBatch(batch, firstSequence: core.state.nextSequence, size: size))
        core.state.queueBytes += size.length
        core.state.nextSequence += UInt64(batch.recordCount)
        core.state.counters.recordsAppended += UInt64(batch.recordCount)
        core.state.counters.batchesAppended += 1
    }
}
