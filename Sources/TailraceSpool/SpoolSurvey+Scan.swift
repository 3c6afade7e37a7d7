// Which segments are read through, and what follows for the ids and ends of all.

extension SpoolSurvey {
    mutating func scan(_ progress: Progress?) throws(SpoolFileError) {
        guard !segments.isEmpty else { return }
        let cursor = FrameCursor()
        // The newest segment that can stand alone, and whatever has to be read to know its ids.
        var start = segments.count - 1
        while start > 0, try !hasCheckpoint(segments[start], cursor) { start -= 1 }
        let total = segments.reduce(0) { $0 + $1.fileSize }
        var done = 0
        for index in segments.indices {
            let isNextUnknown = index + 1 < segments.count && segments[index + 1].header == nil
            guard depth == .everything || index >= start || segments[index].header == nil || isNextUnknown else {
                continue
            }
            let scan: SegmentScan
            do throws(SpoolFileError) {
                scan = try scanSegment(index, positions: index >= start ? positions : [:], cursor)
            } catch {
                guard error.isMissing, isShared else { throw error }
                continue
            }
            if index >= start { positions = scan.positions }
            claimed = max(claimed, scan.claimed)
            if segments[index].first == nil { segments[index].first = scan.firstFrame }
            segments[index].scan = scan
            segments[index].scan?.positions = [:]
            done += segments[index].fileSize
            progress?(done, total)
        }
        if isShared { try forgetReleased() }
        settleEnds()
        settleTail()
    }

    private func hasCheckpoint(_ segment: Segment, _ cursor: FrameCursor) throws(SpoolFileError) -> Bool {
        do throws(SpoolFileError) {
            return try SegmentScan.hasCheckpoint(directory.open(segment.name, .read), segment.generation, cursor)
        } catch {
            guard error.isMissing, isShared else { throw error }
            return false
        }
    }

    private mutating func scanSegment(
        _ index: Int, positions: [SourceKey: [UInt8]], _ cursor: FrameCursor
    ) throws(SpoolFileError) -> SegmentScan {
        let segment = segments[index]
        let file = try directory.open(segment.name, .read)
        func run(limit: Int) throws(SpoolFileError) -> SegmentScan {
            try SegmentScan.run(
                file, generation: segment.generation, first: segment.first, limit: limit, positions: positions, cursor)
        }
        var scan = try run(limit: segment.fileSize)
        guard index == segments.count - 1 else { return scan }
        if isShared, !scan.holes.isEmpty {
            // A frame may have been met half written, and one behind it whole a moment later. What the first look
            // knows to be durable is not being written any more when the second one comes.
            let durable = scan.durable
            scan = try run(limit: segment.fileSize)
            scan.durable = durable
        }
        guard let hole = scan.firstUncommittedHole else { return scan }
        cut = try bytesToCut(file, segment, hole, scan)
        if scan.validEnd > hole.range.lowerBound {
            // Rule 4: again, up to the damage.
            let claims = scan.claimed
            scan = try run(limit: hole.range.lowerBound)
            scan.claimed = claims
        }
        return scan
    }

    /// What is going to be cut, as far as it is known to be more than zeros and stale bytes.
    private func bytesToCut(
        _ file: SpoolFile, _ segment: Segment, _ hole: SegmentScan.Hole, _ scan: SegmentScan
    ) throws(SpoolFileError) -> Range<Int>? {
        let start = hole.range.lowerBound
        var end = max(scan.validEnd, hole.framesEnd ?? start)
        if end == start, try beginsLikeFrame(file, segment.generation, at: start) {
            end = min(hole.range.upperBound, start + FrameHeader.size)
        }
        return end > start ? start..<end : nil
    }

    /// Whether a header of this generation was begun at `offset`.
    private func beginsLikeFrame(
        _ file: SpoolFile, _ generation: UInt64, at offset: Int
    ) throws(SpoolFileError) -> Bool {
        let bytes = try file.read(16, at: offset)
        return bytes.withUnsafeBytes { bytes in
            if bytes.count == 16, let base = bytes.baseAddress {
                return base.load(at: 8, as: UInt64.self) == generation
            }
            // A file that was cut ends in as much of a header; a segment that is full, in what was there before.
            return withUnsafeBytes(of: FrameHeader.magic.littleEndian) { magic in
                !bytes.isEmpty && zip(bytes, magic).allSatisfy(==)
            }
        }
    }

    /// A segment that was recycled while it was read looked damaged; its name went before its bytes.
    private mutating func forgetReleased() throws(SpoolFileError) {
        let names = Set(try directory.names())
        segments.removeAll { !names.contains($0.name) }
    }

    /// Gives every segment its first id and its end.
    private mutating func settleEnds() {
        guard !segments.isEmpty else { return }
        // Without the first header, what the outputs still want tells where the spool began.
        if segments[0].header == nil {
            let next = segments.dropFirst().lazy.compactMap { $0.header?.previousEnd ?? $0.first }.first
            let first = segments[0].first ?? next ?? 0
            segments[0].first = min(first, floor ?? first)
        }
        var previousEnd: UInt64 = 0
        for index in segments.indices {
            let scan = segments[index].scan
            // A segment without header and frames is empty, and begins where the one before ended.
            let first = max(segments[index].first ?? previousEnd, index == 0 ? 0 : segments[index - 1].first ?? 0)
            segments[index].first = first
            if index + 1 < segments.count {
                // Rule 2; without a header, the next segment's first frame tells; without that, the own frames.
                let next = segments[index + 1]
                let end = next.header?.previousEnd ?? next.first ?? scan?.claimed ?? first
                segments[index].end = max(first, end)
            } else {
                segments[index].end = max(first, scan?.end ?? first)
            }
            previousEnd = segments[index].end ?? previousEnd
        }
    }

    /// The last segment counts up to its last frame; without any, the file is left as it is, for people to look at.
    private mutating func settleTail() {
        guard let last = segments.indices.last, let scan = segments[last].scan, scan.validEnd > 0 else { return }
        segments[last].limit = min(segments[last].limit, scan.validEnd)
    }
}
