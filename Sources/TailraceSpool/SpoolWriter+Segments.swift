import Glibc
internal import Logging

// Making, reusing and giving back segment files: on the spool thread.
extension SpoolWriter {
    /// Opens the next segment, with room for a frame of `room` bytes.
    ///
    /// The file gets its name only when its header and checkpoint are durable, so a segment in the directory is whole
    /// unless it was damaged later.
    func openSegment(first: UInt64, room: Int) throws(Failure) {
        let header = SegmentHeader(
            generation: nextGeneration, firstSequence: first, previousEnd: previousEnd,
            created: core.clocks.wallMilliseconds())
        let start = Checkpoint.encode(header, positions: durablePositions)
        let wanted = start.count + room + FrameHeader.size
        let size = max(core.limits.segmentSize, (wanted + 4095) & ~4095)
        let name = SegmentName.segment(header.generation)
        let new = SegmentName.new(header.generation)
        try keepReserve(size)
        // Whatever becomes of this attempt, the generation is used.
        nextGeneration += 1
        do throws(SpoolFileError) {
            var file = try prepareFile(named: new, size: size)
            do throws(SpoolFileError) {
                try file.write(start, at: 0)
                if core.sync != .never { try file.sync() }
                try core.directory.link(new, as: name)
                try core.directory.unlink(new)
                if core.sync != .never { try core.directory.sync() }
                // Opened by its name, so that errors tell that name.
                file = try core.directory.open(name, .readWrite)
            } catch {
                discard(new, size: size)
                discard(name, size: size)
                throw error
            }
            active = Active(
                file: file, generation: header.generation, first: first, size: size, offset: start.count)
        } catch {
            guard error.code != Self.fullMarker else { throw .full }
            throw .file(error)
        }
        core.monitor.withLock {
            core.state.segments.append(
                SegmentInfo(
                    generation: header.generation, previousEnd: header.previousEnd, first: first, end: first,
                    limit: start.count, size: size, isSealed: false))
        }
        removeDiscarded()
    }

    /// Stands for "maximumSize is reached" among errnos.
    private static var fullMarker: CInt { -1 }

    /// A new file must not take what is to be left free; one that was released takes nothing.
    private func keepReserve(_ size: Int) throws(Failure) {
        guard !spares.contains(where: { $0.size == size }) else { return }
        // What was removed does not count any more, so it must be free by now.
        reclaimer.wait()
        let minimumFree = core.minimumFree
        guard let space = core.directory.space(), !space.hasRoom(for: size, minimumFree: minimumFree) else { return }
        throw .reserve(space.reserve(minimumFree))
    }

    private func prepareFile(named name: String, size: Int) throws(SpoolFileError) -> SpoolFile {
        // A spare must be exactly as large: only segments of the usual size become spares.
        if let index = spares.firstIndex(where: { $0.size == size }) {
            // Before, a power cut might bring its old name back beside the new one, and two segments would be one file.
            try settle()
            let spare = spares.remove(at: index)
            core.monitor.withLock { core.state.spareBytes -= spare.size }
            let spareName = SegmentName.spare(spare.generation)
            do throws(SpoolFileError) {
                try core.directory.link(spareName, as: name)
                discard(spareName, size: 0)
                return try core.directory.open(name, .readWrite)
            } catch {
                discard(spareName, size: 0)
                discard(name, size: size)
                throw error
            }
        }
        while !hasSpace(for: size) {
            guard let spare = spares.popLast() else {
                throw SpoolFileError(operation: .preallocate, path: core.directory.path, code: Self.fullMarker)
            }
            core.monitor.withLock { core.state.spareBytes -= spare.size }
            discard(SegmentName.spare(spare.generation), size: spare.size)
        }
        let file = try core.directory.open(name, .createNew)
        do throws(SpoolFileError) {
            try file.preallocate(size)
        } catch {
            discard(name, size: size)
            throw error
        }
        return file
    }

    /// Where blocks that were allocated cannot be written for want of space, the file system writes to others (copy on write):
    /// spare segments are no reserve there, but what takes the space.
    func giveSparesBack() {
        while let spare = spares.popLast() {
            core.monitor.withLock { core.state.spareBytes -= spare.size }
            discard(SegmentName.spare(spare.generation), size: spare.size)
        }
    }

    private func hasSpace(for size: Int) -> Bool {
        core.monitor.withLock {
            let used = core.state.bytesOnDisk
            if used + size <= core.maximumSize { return true }
            // A spool that was made smaller than its last segment: when that segment is acknowledged, it may be
            // followed, and then goes.
            guard spares.isEmpty, core.state.segments.count <= 1 else { return false }
            return core.state.segments.allSatisfy { $0.end <= core.state.released }
        }
    }

    /// Takes away segments that every output is past, oldest first, and none before an older one: whoever opens the spool
    /// takes a hole for a loss. So that a power cut does not leave one either, the disk knows of each before the next goes.
    /// What cannot be taken away now is tried again later. The last one stays: it holds the positions.
    func recycleReleased() {
        removeAgainAt = nil
        removeLeftovers()
        var isChanged = false
        while let segment = takeReleased() {
            let isSpare =
                segment.size == core.limits.segmentSize && spares.count < core.configuration.spareLimit
                && settleRemovals() && makeSpare(segment.generation)
            guard
                isSpare || settleRemovals() && removeFile(SegmentName.segment(segment.generation), isLarge: true)
            else {
                core.monitor.withLock {
                    core.state.segments.insert(segment, at: 0)
                    core.state.spareBytes -= segment.size
                }
                tryAgainToRemove()
                break
            }
            isChanged = true
            areRemovalsSettled = false
            discarded.removeAll { $0 == segment.generation }
            if isSpare { spares.append((segment.generation, segment.size)) }
            core.monitor.withLock {
                if isSpare { core.state.counters.segmentsRecycled += 1 } else { core.state.spareBytes -= segment.size }
            }
        }
        if isChanged { settleRemovals() }
    }

    /// Makes the last removal durable. False when that fails: nothing may go before it is done.
    @discardableResult
    private func settleRemovals() -> Bool {
        do throws(SpoolFileError) {
            try settle()
            return true
        } catch {
            tellRemovalFailing(error)
            return false
        }
    }

    private func settle() throws(SpoolFileError) {
        guard !areRemovalsSettled, core.sync != .never else { return }
        try core.directory.sync()
        areRemovalsSettled = true
    }

    /// The oldest segment, when nobody needs it: from now on no reader takes it for one. Until its file is gone its bytes
    /// count.
    private func takeReleased() -> SegmentInfo? {
        core.monitor.withLock {
            guard core.state.segments.count > 1, let oldest = core.state.segments.first, oldest.isSealed,
                oldest.end <= core.state.released
            else { return nil }
            core.state.spareBytes += oldest.size
            return core.state.segments.removeFirst()
        }
    }

    private func makeSpare(_ generation: UInt64) -> Bool {
        do throws(SpoolFileError) {
            // Generations are used once, so no file of ours can have that name. One of somebody else's, which a start leaves
            // alone, would be replaced.
            try core.directory.rename(SegmentName.segment(generation), to: SegmentName.spare(generation))
            return true
        } catch {
            return false
        }
    }

    /// Removes abandoned segments without durable records; the one just opened has taken over what they knew.
    private func removeDiscarded() {
        for generation in discarded {
            let size = core.monitor.withLock { () -> Int? in
                guard let index = core.state.segments.firstIndex(where: { $0.generation == generation }) else {
                    return nil
                }
                return core.state.segments.remove(at: index).size
            }
            if let size { discard(SegmentName.segment(generation), size: size) }
        }
        discarded = []
    }

    /// Removes a file that nobody needs: now, or later when the disk refuses. Until then its bytes count.
    private func discard(_ name: String, size: Int) {
        guard !removeFile(name) else { return }
        leftovers.append((name, size))
        core.monitor.withLock { core.state.spareBytes += size }
        tryAgainToRemove()
    }

    private func removeLeftovers() {
        let found = leftovers
        leftovers = []
        for (name, size) in found {
            core.monitor.withLock { core.state.spareBytes -= size }
            discard(name, size: size)
        }
    }

    private func tryAgainToRemove() {
        removeAgainAt = core.clocks.nanoseconds() + core.configuration.retryInterval.nanosecondsClamped
    }

    /// False when the file is still there.
    ///
    /// - Parameter isLarge: its blocks may be given back later.
    private func removeFile(_ name: String, isLarge: Bool = false) -> Bool {
        do throws(SpoolFileError) {
            if isLarge { try reclaimer.unlink(name) } else { try core.directory.unlink(name) }
        } catch {
            guard !error.isMissing else { return true }
            tellRemovalFailing(error)
            return false
        }
        isRemovalFailing = false
        return true
    }

    /// Counts each time, and tells the first one in a row.
    private func tellRemovalFailing(_ error: SpoolFileError) {
        core.monitor.withLock { core.state.counters.cleanupFailures += 1 }
        if !isRemovalFailing {
            core.logger.warning("a file of the spool could not be removed", metadata: ["error": "\(error)"])
        }
        isRemovalFailing = true
    }
}
