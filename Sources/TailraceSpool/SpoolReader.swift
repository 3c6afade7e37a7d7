import Glibc
import Synchronization

/// Reads frames in order, sequentially, up to what is durable. Any number of readers may exist.
///
/// One owner at a time: `next` must not be called from two threads at once (`wake` may come from any).
package final class SpoolReader: @unchecked Sendable {
    private let core: SpoolCore
    private let cursor: FrameCursor
    /// The segment being read, as last seen; nil between segments.
    private var segment: SegmentInfo?
    /// Records below were not asked for.
    private let from: UInt64
    /// The next id that has not been seen (or counted as lost).
    private var expected: UInt64
    /// Damage found since the last whole frame, not yet counted.
    private var damage: Range<Int>?
    private let isWoken = Atomic<Bool>(false)

    init(core: SpoolCore, from: UInt64, stepsOver: Bool = false) {
        self.core = core
        cursor = FrameCursor(stepsOver: stepsOver)
        self.from = from
        expected = from
    }

    /// The id that the next frame begins with, unless it begins below what was asked for, or records were lost.
    package var nextSequence: UInt64 { expected }

    /// Ids passed over so far that no record ever had: a recovery skipped them, so that none is given out twice.
    package private(set) var unusedSequences: UInt64 = 0

    /// The next durable frame with records, or nil when there is none yet. The frame is valid until the next call.
    ///
    /// Damaged frames are skipped, counted and copied to the quarantine. Throws `.released` when the reader has fallen
    /// behind what was released.
    package func next() throws(SpoolError) -> SpoolFrame? {
        while true {
            guard try enterSegment(), let current = segment else { return nil }
            let step: FrameCursor.Step
            do throws(SpoolFileError) {
                step = try cursor.next(minimum: current.first)
            } catch {
                throw .file(error)
            }
            switch step {
            case .damaged(let range, _):
                damage = (damage?.lowerBound ?? range.lowerBound)..<range.upperBound
            case .end:
                guard try finishSegment(current) else { return nil }
            case .frame(let header, let payload):
                // What follows the end of a sealed segment was never durable; the next segment has it.
                guard header.firstSequence < current.end || header.recordCount == 0 else {
                    cursor.limit = cursor.offset
                    continue
                }
                try settleDamage(until: header.firstSequence)
                guard header.kind == .records, header.endSequence > expected else { continue }
                // The records before `from` were not asked for, nor is their loss ours to count.
                let start = header.firstSequence < expected ? Int(expected - header.firstSequence) : 0
                expected = header.endSequence
                return SpoolFrame(header: header, payload: payload, startIndex: start)
            }
        }
    }

    /// Steps over the next frame without reading its records, if `isUnwanted` says so of its context, which may be damaged.
    /// False when it does not, and when something else comes first: `next` tells what.
    package func stepOver(if isUnwanted: (_ context: UnsafeRawBufferPointer) -> Bool) throws(SpoolError) -> Bool {
        guard try enterSegment(), let current = segment, damage == nil else { return false }
        let header: FrameHeader?
        do throws(SpoolFileError) {
            header = try cursor.stepOver(minimum: current.first) { header, context in
                header.kind == .records && header.firstSequence == expected && header.endSequence <= current.end
                    && isUnwanted(context)
            }
        } catch {
            throw .file(error)
        }
        guard let header else { return false }
        expected = header.endSequence
        return true
    }

    /// Waits until something beyond what was read is durable; false when the time is over, `wake()` was called, or the
    /// spool was closed.
    package func waitForMore(timeoutMilliseconds: Int) -> Bool {
        let deadline = core.clocks.nanoseconds() + UInt64(max(0, timeoutMilliseconds)) * 1_000_000
        core.monitor.lock()
        defer { core.monitor.unlock() }
        while core.state.committed <= expected {
            if isWoken.exchange(false, ordering: .relaxed) { return false }
            guard core.state.phase == .open, core.clocks.nanoseconds() < deadline else { return false }
            core.commit.wait(until: deadline)
        }
        return true
    }

    /// Ends a wait in `waitForMore`, or the next one.
    package func wake() {
        isWoken.store(true, ordering: .relaxed)
        // Who looked before this was stored sleeps by now.
        core.monitor.withLock {}
        core.commit.broadcast()
    }

    // MARK: - Segments

    /// Makes `segment` the one that holds `expected`, with its present limits; false when that is not durable yet.
    private func enterSegment() throws(SpoolError) -> Bool {
        if let current = segment {
            // Inside a segment nobody needs the lock, until its end comes near.
            if cursor.limit - cursor.offset >= FrameHeader.size, expected < current.end { return true }
        }
        let found = try core.monitor.withLock { () throws(SpoolError) -> SegmentInfo? in
            guard expected < core.state.committed else { return nil }
            if let current = segment,
                let same = core.state.segments.first(where: { $0.generation == current.generation }),
                expected < same.end || !same.isSealed
            {
                return expected < same.end ? same : nil
            }
            guard !core.state.isReleased(expected) else {
                throw .released(wanted: expected, first: core.state.firstSequence)
            }
            if let next = core.state.segments.first(where: { $0.end > expected }) { return next }
            // No segment has them, so a recovery skipped these ids, and nothing was stored since.
            passUnused(until: core.state.committed)
            return nil
        }
        guard let found else { return false }
        if let current = segment, current.generation == found.generation {
            if cursor.limit < found.limit { cursor.limit = found.limit }
            segment = found
            return true
        }
        settleUnfinished()
        do throws(SpoolFileError) {
            let file = try core.directory.open(SegmentName.segment(found.generation), .read)
            cursor.open(file, generation: found.generation, offset: SegmentHeader.size, limit: found.limit)
        } catch {
            try throwIfReleased()
            guard error.code == ENOENT else { throw .file(error) }
            // Somebody removed the file: its records are lost, the others are not.
            segment = nil
            let missing = found.end - max(expected, found.first)
            core.quarantine.note(nil, generation: found.generation, range: 0..<0, records: missing)
            expected = found.end
            return try enterSegment()
        }
        segment = found
        // Ids that a recovery skipped lie between segments and belong to none.
        passUnused(until: found.first)
        return true
    }

    private func passUnused(until sequence: UInt64) {
        guard sequence > expected else { return }
        unusedSequences += sequence - expected
        expected = sequence
    }

    /// At the end of what may be read: true when the reader can go on (more came, or the next segment follows).
    private func finishSegment(_ current: SegmentInfo) throws(SpoolError) -> Bool {
        let now = core.monitor.withLock {
            core.state.segments.first { $0.generation == current.generation }
        }
        guard let now else {
            try throwIfReleased()
            segment = nil
            return true
        }
        if now.limit > current.limit {
            cursor.limit = now.limit
            segment = now
            return true
        }
        // Everything durable has been looked at: what is missing of it is lost.
        guard expected < now.end else { return true }
        try settleDamage(until: now.end)
        expected = max(expected, now.end)
        return true
    }

    /// A frame with ids from `sequence` is next: counts the damage before it and what it took.
    private func settleDamage(until sequence: UInt64) throws(SpoolError) {
        guard let current = segment else { return }
        let lost = sequence > expected ? sequence - expected : 0
        guard damage != nil || lost > 0 else { return }
        // What looks like damage may be a segment that was recycled while it was read.
        let isThere = core.monitor.withLock {
            core.state.segments.contains { $0.generation == current.generation }
        }
        guard isThere else {
            segment = nil
            damage = nil
            throw .released(wanted: expected, first: core.monitor.withLock { core.state.firstSequence })
        }
        let range = damage ?? cursor.offset..<cursor.offset
        damage = nil
        // Damage before the first record that was asked for is not this reader's business.
        guard lost > 0 || sequence > from else { return }
        core.quarantine.note(cursor.file, generation: current.generation, range: range, records: lost)
        expected = max(expected, sequence)
    }

    /// Damage behind the last record of a segment cost no record.
    private func settleUnfinished() {
        if let range = damage, let current = segment {
            core.quarantine.note(cursor.file, generation: current.generation, range: range, records: 0)
        }
        damage = nil
    }

    private func throwIfReleased() throws(SpoolError) {
        let (first, isReleased) = core.monitor.withLock { (core.state.firstSequence, core.state.isReleased(expected)) }
        if isReleased { throw .released(wanted: expected, first: first) }
    }
}
