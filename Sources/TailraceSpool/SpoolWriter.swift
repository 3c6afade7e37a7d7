import Glibc
internal import Logging

/// What the spool thread does: takes what is queued as one group, writes it, syncs it, tells everybody; while the sync runs, the
/// next group gathers.
///
/// A group never spans segments, and a segment is left only when everything in it is durable: so a checkpoint never
/// speaks for records that a power cut could still take. Batches are kept until they are durable; when a sync fails,
/// the segment is abandoned and they are written again to a new one, because after a failed sync nobody knows which
/// pages the kernel still has (a second sync may "succeed" without them).
final class SpoolWriter {
    struct Active {
        let file: SpoolFile
        let generation: UInt64
        /// Id of its first record.
        let first: UInt64
        let size: Int
        /// Where the next frame goes.
        var offset: Int
    }

    let core: SpoolCore
    var active: Active?
    /// Segments that hold no durable record and were abandoned: removed once a later one stands.
    var discarded: [UInt64] = []
    /// Generations of the spare files and their sizes.
    var spares: [(generation: UInt64, size: Int)] = []
    var nextGeneration: UInt64
    /// Where the durable records end; behind it lies what a recovery skipped, until the first record of this run.
    var previousEnd: UInt64
    /// As of the last durable frame: what the next checkpoint says.
    var durablePositions: [SourceKey: [UInt8]]
    /// Taken from the queue, not durable; the first `written` are in the active segment.
    private var pending: [PendingBatch] = []
    private var written = 0
    private var writtenBytes = 0
    private var unsyncedSince: UInt64?
    /// Nothing behind the last frame tells yet that it is durable; when a commit frame shall.
    private var markAt: UInt64?
    private var consecutiveFailures = 0
    private var retryAt: UInt64?
    /// Files that could not be removed yet, and the bytes that count for each.
    var leftovers: [(name: String, size: Int)] = []
    /// The disk knows that the last segment that went is gone; whether it knows of those of an earlier process is not known.
    var areRemovalsSettled = false
    /// When what could not be removed is tried again; nil when there is nothing.
    var removeAgainAt: UInt64?
    /// The last file that was to be removed is still there, which was told.
    var isRemovalFailing = false
    let reclaimer: Reclaimer
    private var encoder = FrameEncoder()

    init(core: SpoolCore, nextGeneration: UInt64, previousEnd: UInt64, positions: [SourceKey: [UInt8]]) {
        self.core = core
        self.nextGeneration = nextGeneration
        self.previousEnd = previousEnd
        durablePositions = positions
        reclaimer = Reclaimer(core.directory, hasThreads: core.configuration.environment.hasThreads)
    }

    enum Failure: Error {
        case file(SpoolFileError)
        /// `maximumSize` is reached.
        case full
        /// The file system would have less than `minimumFree`.
        case reserve(UInt64)
    }

    /// What the spool's thread does.
    func run() {
        core.mark.work()
        defer { core.mark.rest() }
        while perform(waitForWork()) { core.mark.work() }
    }

    /// The same piece by piece, for who has no thread.
    func step() -> StepResult<UInt64> {
        let work = core.monitor.withLock { nextWork() }
        if case .wait(let deadline) = work { return .wait(until: deadline) }
        return perform(work) ? .again : .ended
    }

    // MARK: - What to do next

    private enum Work {
        case write(mustSync: Bool), release(flush: UInt64?), mark, close, abandoned
        case wait(until: UInt64?)
    }

    private func waitForWork() -> Work {
        core.monitor.lock()
        defer { core.monitor.unlock() }
        while true {
            let work = nextWork()
            guard case .wait(let deadline) = work else { return work }
            core.state.isWriterWaiting = true
            core.mark.rest()
            core.work.wait(until: deadline)
            core.mark.work()
            core.state.isWriterWaiting = false
        }
    }

    /// With the monitor locked.
    private func nextWork() -> Work {
        if core.state.phase == .abandoned { return .abandoned }
        let closing = core.state.phase == .closing
        let now = core.clocks.nanoseconds()
        if core.state.releaseChanged || (!closing && removeAgainAt.map { now >= $0 } ?? false) {
            core.state.releaseChanged = false
            if core.state.trouble != nil { retryAt = nil }
            return .release(flush: nil)
        }
        let mayTry = retryAt.map { now >= $0 } ?? true
        // In trouble, closing makes one more attempt and then gives up.
        if closing && !mayTry { return .close }
        takeGroup()
        let flushing = core.state.flushWanted > core.state.flushDone
        let due = closing || flushing || syncIsDue(now)
        if mayTry, written < pending.count || (written > 0 && due) { return .write(mustSync: due) }
        if pending.isEmpty {
            if closing { return .close }
            if flushing { return .release(flush: core.state.flushWanted) }
            if let markAt, now >= markAt { return .mark }
        }
        let next = (mayTry ? (written > 0 ? syncDeadline : nil) : retryAt) ?? .max
        let deadline = min(next, removeAgainAt ?? .max, pending.isEmpty ? markAt ?? .max : .max)
        return .wait(until: deadline == .max ? nil : deadline)
    }

    /// False when that was the last.
    private func perform(_ work: Work) -> Bool {
        switch work {
        case .wait: break
        case .abandoned:
            finish()
            return false
        case .close:
            writeCommitFrame()
            closeActive()
            finish()
            return false
        case .release(let flush):
            recycleReleased()
            if let flush {
                reclaimer.wait()
                writeCommitFrame()
                answerFlush(flush)
            }
        case .mark: writeCommitFrame()
        case .write(let mustSync):
            do throws(Failure) {
                try writePending(mustSync: mustSync)
                succeeded()
            } catch {
                failed(error)
            }
        }
        return true
    }

    /// Moves waiting batches to `pending`, as many as make a group. With the monitor locked.
    private func takeGroup() {
        guard written == pending.count, core.state.queued > 0 else { return }
        var bytes = 0
        var head = core.state.queueHead
        while head < core.state.queue.count, bytes < core.configuration.groupByteLimit {
            let batch = core.state.queue[head]
            if bytes > 0, bytes + batch.length > core.configuration.groupByteLimit { break }
            bytes += batch.length
            pending.append(batch)
            head += 1
        }
        if head == core.state.queue.count {
            core.state.queue.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 4096 {
            core.state.queue.removeFirst(head)
            head = 0
        }
        core.state.queueHead = head
        core.state.queueBytes -= bytes
        core.space.broadcast()
    }

    private var syncDeadline: UInt64? {
        guard case .interval(let interval) = core.sync, let since = unsyncedSince else { return nil }
        return since + interval.nanosecondsClamped
    }

    private func syncIsDue(_ now: UInt64) -> Bool {
        guard case .interval = core.sync else { return true }
        if let deadline = syncDeadline, now >= deadline { return true }
        if writtenBytes >= core.configuration.unsyncedByteLimit { return true }
        // Batches held for a rewrite must not starve the pool that they come from.
        return pending[..<written].last.map { $0.batch.isPoolStarving(holding: written) } ?? false
    }

    // MARK: - Writing

    private func writePending(mustSync: Bool) throws(Failure) {
        while written < pending.count {
            try ensureRoom(for: pending[written].length)
            guard var active else { preconditionFailure("a segment was just opened") }
            var count = 0
            var bytes = 0
            let limit = core.configuration.writePieceLimit
            for batch in pending[written...] {
                if active.offset + bytes + batch.length > active.size || bytes >= limit { break }
                bytes += batch.length
                count += 1
            }
            let frames = pending[written..<(written + count)]
            markAt = nil
            do throws(SpoolFileError) {
                let done = try encoder.write(
                    frames, generation: active.generation, committed: core.monitor.withLock { core.state.committed },
                    to: active.file, at: active.offset)
                precondition(done == bytes, "frames took \(done) bytes, not \(bytes)")
            } catch {
                // Without space the same bytes are tried at the same place again; any other failure costs the segment.
                if error.isNoSpace { giveSparesBack() } else { abandonActive() }
                throw .file(error)
            }
            written += count
            if written < pending.count, core.sync == .always {
                active.file.startWriting(at: active.offset, count: bytes)
            }
            active.offset += bytes
            self.active = active
            writtenBytes += bytes
            if unsyncedSince == nil { unsyncedSince = core.clocks.nanoseconds() }
        }
        if mustSync || syncIsDue(core.clocks.nanoseconds()) { try commitWritten() }
    }

    /// Makes what is written durable (unless the policy is never to), and tells.
    private func commitWritten() throws(Failure) {
        guard written > 0, let active else { return }
        if core.sync != .never {
            do throws(SpoolFileError) {
                try active.file.sync()
            } catch {
                abandonActive()
                throw .file(error)
            }
        }
        for batch in pending[..<written] {
            guard let position = batch.batch.position else { continue }
            durablePositions[position.source] = position.value.isEmpty ? nil : position.value
        }
        let end = pending[written - 1].endSequence
        if end > active.first { previousEnd = end }
        core.monitor.lock()
        core.state.committed = end
        let last = core.state.segments.count - 1
        core.state.segments[last].end = end
        core.state.segments[last].limit = active.offset
        core.state.counters.groups += 1
        core.state.counters.bytesCommitted += UInt64(writtenBytes)
        core.monitor.unlock()
        core.commit.broadcast()
        for batch in pending[..<written] { batch.batch.recycle() }
        pending.removeFirst(written)
        written = 0
        writtenBytes = 0
        unsyncedSince = nil
        markAt = core.clocks.nanoseconds() + Self.markNanoseconds
        core.configuration.onCommit?(end)
    }

    /// How long nothing is written before a commit frame is: the next frame tells the same.
    private static var markNanoseconds: UInt64 { 1_000_000_000 }

    /// Tells a later recovery that everything before is durable, where no later frame does. A hint: it is overwritten by the
    /// next frame and its failure does not matter.
    private func writeCommitFrame() {
        guard markAt != nil else { return }
        markAt = nil
        guard let active, written == 0, active.offset + FrameHeader.size <= active.size else { return }
        let committed = core.monitor.withLock { core.state.committed }
        let header = FrameHeader(
            kind: .commit, generation: active.generation, firstSequence: committed, committed: committed)
        withUnsafeTemporaryAllocation(byteCount: FrameHeader.size, alignment: 8) { bytes in
            header.encode(into: bytes.baseAddress!)
            try? active.file.write(UnsafeRawBufferPointer(bytes), at: active.offset)
        }
    }

    private func ensureRoom(for length: Int) throws(Failure) {
        if let active, active.offset + length <= active.size { return }
        if active != nil {
            try commitWritten()
            active = nil
            core.monitor.withLock { core.state.segments[core.state.segments.count - 1].isSealed = true }
            recycleReleased()
        }
        try openSegment(first: pending[written].firstSequence, room: length)
        recycleReleased()
    }

    /// After a failed write or sync: nothing in the active segment beyond what was committed may be trusted, so
    /// everything that is not durable goes to a new one.
    private func abandonActive() {
        guard let active else { return }
        markAt = nil
        core.monitor.withLock {
            let last = core.state.segments.count - 1
            core.state.segments[last].isSealed = true
            if core.state.segments[last].end == core.state.segments[last].first { discarded.append(active.generation) }
        }
        self.active = nil
        written = 0
        writtenBytes = 0
        unsyncedSince = nil
    }

    // MARK: - Trouble

    private func succeeded() {
        consecutiveFailures = 0
        retryAt = nil
        let had = core.monitor.withLock {
            let had = core.state.trouble
            if had != nil {
                core.state.trouble = nil
                core.space.broadcast()
            }
            return had
        }
        if let had, had != .full { core.logger.notice("the spool takes records again", metadata: ["was": "\(had)"]) }
    }

    private func failed(_ failure: Failure) {
        consecutiveFailures += 1
        let trouble: SpoolTrouble
        switch failure {
        case .full:
            trouble = .full
            retryAt = .max
        case .reserve(let bytes):
            trouble = .noSpace(
                "the file system of \(core.directory.path) would have less than \(bytes >> 10) KiB left: free some space "
                    + "on it, or lower minimum_free in [spool]")
            retryAt = core.clocks.nanoseconds() + core.configuration.retryInterval.nanosecondsClamped
        case .file(let error):
            trouble = error.isNoSpace ? .noSpace(error.description) : .failing(error.description)
            // One failure is answered with a new segment at once, a repeated one with patience.
            let isFirst = consecutiveFailures == 1 && !error.isNoSpace
            let wait = isFirst ? 0 : core.configuration.retryInterval.nanosecondsClamped
            retryAt = core.clocks.nanoseconds() + wait
        }
        let isNew = core.monitor.withLock {
            if failure.isFile { core.state.counters.writeFailures += 1 }
            let isNew = core.state.trouble != trouble
            core.state.trouble = trouble
            return isNew
        }
        guard isNew else { return }
        switch trouble {
        case .full: core.logger.notice("the spool is full: waiting for outputs to acknowledge")
        case .noSpace(let message), .failing(let message):
            core.logger.error("the spool cannot write; trying again", metadata: ["error": "\(message)"])
        }
    }

    // MARK: - The end

    private func closeActive() {
        // The commit frame need not be durable, but then a recovery after a power cut knows more.
        if let active, core.sync != .never { try? active.file.sync() }
        let waiting = core.monitor.withLock { Array(core.state.queue[core.state.queueHead...]) }
        let records = (pending + waiting).reduce(0) { $0 + $1.records }
        guard records > 0 else { return }
        core.logger.error(
            "records could not be stored before the spool closed; inputs with positions read them again",
            metadata: ["records": "\(records)"])
    }

    private func finish() {
        active = nil
        reclaimer.wait()
        core.monitor.withLock {
            core.state.phase = .stopped
            for batch in core.state.queue[core.state.queueHead...] { pending.append(batch) }
            core.state.queue = []
            core.state.queueHead = 0
            core.state.queueBytes = 0
            core.space.broadcast()
            core.commit.broadcast()
        }
        for batch in pending { batch.batch.recycle() }
        pending = []
    }

    private func answerFlush(_ number: UInt64) {
        core.monitor.withLock {
            core.state.flushDone = number
            core.commit.broadcast()
        }
    }
}

extension SpoolWriter.Failure {
    var isFile: Bool { if case .file = self { true } else { false } }
}

extension Duration {
    /// Nanoseconds, at most a year.
    var nanosecondsClamped: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0 else { return 0 }
        return UInt64(min(seconds, 31_536_000)) * 1_000_000_000 + UInt64(max(0, attoseconds) / 1_000_000_000)
    }
}
