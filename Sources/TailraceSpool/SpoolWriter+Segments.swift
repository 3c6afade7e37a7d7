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
        // Whatever becomes of this attempt, the generation is used.
        nextGeneration += 1
        do throws(SpoolFileError) {
            var file = try prepareFile(named: new, size: size)
            do throws(SpoolFileError) {
                try file.write(start, at: 0)
                if core.configuration.sync != .never { try file.sync() }
                try core.directory.link(new, as: name)
                try core.directory.unlink(new)
                if core.configuration.sync != .never { try core.directory.sync() }
                // Opened by its name, so that errors tell that name.
                file = try core.directory.open(name, .readWrite)
            } catch {
                try? core.directory.unlink(new)
                try? core.directory.unlink(name)
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

    private func prepareFile(named name: String, size: Int) throws(SpoolFileError) -> SpoolFile {
        // A spare must be exactly as large: only segments of the usual size become spares.
        if let index = spares.firstIndex(where: { $0.size == size }) {
            let spare = spares.remove(at: index)
            core.monitor.withLock { core.state.spareBytes -= spare.size }
            let spareName = SegmentName.spare(spare.generation)
            try core.directory.link(spareName, as: name)
            try? core.directory.unlink(spareName)
            return try core.directory.open(name, .readWrite)
        }
        while !hasSpace(for: size) {
            guard let spare = spares.popLast() else {
                throw SpoolFileError(operation: .preallocate, path: core.directory.path, code: Self.fullMarker)
            }
            removeFile(SegmentName.spare(spare.generation))
            core.monitor.withLock { core.state.spareBytes -= spare.size }
        }
        let file = try core.directory.open(name, .createNew)
        do throws(SpoolFileError) {
            try file.preallocate(size)
        } catch {
            try? core.directory.unlink(name)
            throw error
        }
        return file
    }

    private func hasSpace(for size: Int) -> Bool {
        core.monitor.withLock {
            let used = core.state.bytesOnDisk
            if used + size <= core.limits.maximumSize { return true }
            // A spool that was made smaller than its last segment: when that segment is acknowledged, it may be
            // followed, and then goes.
            guard spares.isEmpty, core.state.segments.count <= 1 else { return false }
            return core.state.segments.allSatisfy { $0.end <= core.state.released }
        }
    }

    /// Takes away segments that every output is past, oldest first. The last one stays: it holds the positions.
    func recycleReleased() {
        var gone: [SegmentInfo] = []
        core.monitor.withLock {
            while core.state.segments.count > 1, core.state.segments[0].isSealed,
                core.state.segments[0].end <= core.state.released
            {
                gone.append(core.state.segments.removeFirst())
            }
            // Until the files are gone their bytes count.
            core.state.spareBytes += gone.reduce(0) { $0 + $1.size }
        }
        guard !gone.isEmpty else { return }
        for segment in gone {
            discarded.removeAll { $0 == segment.generation }
            if segment.size == core.limits.segmentSize, spares.count < core.configuration.spareLimit,
                makeSpare(segment.generation)
            {
                spares.append((segment.generation, segment.size))
                core.monitor.withLock { core.state.counters.segmentsRecycled += 1 }
            } else {
                removeFile(SegmentName.segment(segment.generation))
                core.monitor.withLock { core.state.spareBytes -= segment.size }
            }
        }
        if core.configuration.sync != .never { try? core.directory.sync() }
    }

    private func makeSpare(_ generation: UInt64) -> Bool {
        do throws(SpoolFileError) {
            try core.directory.link(SegmentName.segment(generation), as: SegmentName.spare(generation))
            try core.directory.unlink(SegmentName.segment(generation))
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
            if size != nil { removeFile(SegmentName.segment(generation)) }
        }
        discarded = []
    }

    private func removeFile(_ name: String) {
        do throws(SpoolFileError) {
            try core.directory.unlink(name)
        } catch {
            core.monitor.withLock { core.state.counters.cleanupFailures += 1 }
            core.logger.warning("a released segment could not be removed", metadata: ["error": "\(error)"])
        }
    }
}
