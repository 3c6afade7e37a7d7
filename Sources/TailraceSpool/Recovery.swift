import Glibc

// # Recovery rules
//
// Nothing is ever deleted to make a start succeed. The truth is in the segments; nothing else is needed to open them.
//
// 1. A file of a newer format version: refuse to start, change nothing.
// 2. The ids of a segment that is not the last end where the header of the next one says. Frames behind that were
//    written before a failed sync and were written again to the next segment: ignored.
// 3. In the last segment, D is the highest "committed" that any whole frame of it claims. Below D everything was
//    durable once: damage there is loss, is counted by the gap in the ids, copied to the quarantine and skipped.
// 4. From D on, a frame was durable only if its group's sync came back. The pages of a group that was being synced may
//    have reached the disk in any order, so the first damage from D on ends the spool: what follows is *cut*, whole
//    frames too. If a later frame of that group were kept, its position would cover the records that are missing; cut,
//    they are all read again from their source. This cuts nothing that anybody saw, unless the machine stopped between
//    a sync and the commit frame that follows it, and that same group was damaged in addition.
// 5. What is cut is copied to the quarantine when a whole header says that it was a frame. The file is shortened to its
//    last frame.
// 6. The next id is above everything seen: frames kept, lost or cut, headers whose payload is damaged, segment headers,
//    ledgers, and what the caller asks for. Ids that are skipped for this are recorded in the next segment's header
//    ("previous end"), so that they are never taken for lost.
// 7. Writing goes on in a new segment, never in a recovered one.
// 8. Positions come from the newest segment with a whole checkpoint and the frames from there on. Older segments are
//    not read at the start; their damage is found by the readers, by the same rules.
// 9. A segment whose header is damaged is read from its frames: its name tells its generation.

/// What `Spool.open` found.
package struct RecoveryReport: Equatable, Sendable {
    package var segments = 0
    /// Segments that were read through.
    package var segmentsScanned = 0
    package var firstSequence: UInt64 = 0
    package var nextSequence: UInt64 = 0
    /// Ids passed over because they may have been used.
    package var skippedSequences: UInt64 = 0
    /// Bytes and records of frames behind the last durable one that were cut.
    package var cutBytes = 0
    package var cutRecords: UInt64 = 0
    /// Records that were durable once and are damaged, as far as was seen at the start.
    package var lostRecords: UInt64 = 0
    /// Segments whose header or checkpoint was damaged.
    package var damagedSegments: [String] = []
    /// Files that are not ours: left alone.
    package var foreignFiles: [String] = []
    /// Leftovers of released or half-made segments that were removed.
    package var removedLeftovers = 0
    package var sources = 0

    package init() {}

    /// Nothing but whole segments was found.
    package var isClean: Bool {
        cutBytes == 0 && lostRecords == 0 && damagedSegments.isEmpty && skippedSequences == 0
    }
}

struct Recovery {
    struct Result {
        var segments: [SegmentInfo] = []
        var positions: [SourceKey: [UInt8]] = [:]
        var nextSequence: UInt64 = 0
        /// Where the ids end that are or were there; the rest up to `nextSequence` is skipped.
        var previousEnd: UInt64 = 0
        var nextGeneration: UInt64 = 1
        var report = RecoveryReport()
    }

    /// One segment file and what is known of it.
    private struct Found {
        let generation: UInt64
        let file: SpoolFile
        let fileSize: Int
        let header: SegmentHeader?
        var first: UInt64?
        var end: UInt64?
        var limit: Int
    }

    let directory: SpoolDirectory
    let quarantine: Quarantine
    let minimumNextSequence: UInt64

    func run() throws(SpoolError) -> Result {
        var result = Result()
        let names: [String]
        do throws(SpoolFileError) {
            names = try directory.names()
        } catch {
            throw .file(error)
        }
        var found = try openSegments(names, report: &result.report)
        let ledgers = try readLedgers(names)
        do throws(SpoolFileError) {
            try removeLeftovers(names, report: &result.report)
            try scan(&found, floor: ledgers.floor, into: &result)
        } catch {
            throw .file(error)
        }
        result.nextSequence = max(result.nextSequence, result.previousEnd, ledgers.next, minimumNextSequence)
        result.nextGeneration = max(1, (found.last?.generation ?? 0) &+ 1)
        if found.isEmpty { result.previousEnd = result.nextSequence }
        result.report.segments = found.count
        result.report.skippedSequences = result.nextSequence - result.previousEnd
        result.report.firstSequence = result.segments.first?.first ?? result.nextSequence
        result.report.nextSequence = result.nextSequence
        result.report.sources = result.positions.count
        return result
    }

    // MARK: - The directory

    private func openSegments(_ names: [String], report: inout RecoveryReport) throws(SpoolError) -> [Found] {
        var found: [Found] = []
        for name in names.sorted() {
            if let generation = SegmentName.generation(name, suffix: ".spool"), generation < .max {
                found.append(try openSegment(name, generation, report: &report))
            } else if !Self.isOurs(name) {
                report.foreignFiles.append(name)
            }
        }
        return found
    }

    private func openSegment(
        _ name: String, _ generation: UInt64, report: inout RecoveryReport
    ) throws(SpoolError) -> Found {
        let bytes: [UInt8]
        let file: SpoolFile
        let size: Int
        do throws(SpoolFileError) {
            file = try directory.open(name, .readWrite)
            size = try file.size()
            bytes = try file.read(SegmentHeader.size, at: 0)
        } catch {
            throw .file(error)
        }
        var header: SegmentHeader?
        switch bytes.withUnsafeBytes({ SegmentHeader.decode($0) }) {
        case .newer(let version): throw .newerVersion(path: directory(name), version: version)
        case .header(let decoded) where decoded.generation == generation: header = decoded
        case .header, .damaged: report.damagedSegments.append(name)
        }
        return Found(
            generation: generation, file: file, fileSize: size, header: header, first: header?.firstSequence,
            limit: size)
    }

    private static func isOurs(_ name: String) -> Bool {
        name == "lock" || name == "quarantine" || name.hasSuffix(".ledger") || name.hasSuffix(".ledger.damaged")
            || name.hasSuffix(Ledger.unfinishedSuffix) || SegmentName.generation(name, suffix: ".spare") != nil
            || SegmentName.generation(name, suffix: ".new") != nil
    }

    /// Spares and half-made segments hold nothing that counts.
    private func removeLeftovers(_ names: [String], report: inout RecoveryReport) throws(SpoolFileError) {
        for name in names
        where SegmentName.generation(name, suffix: ".spare") != nil
            || SegmentName.generation(name, suffix: ".new") != nil
        {
            try directory.unlink(name)
            report.removedLeftovers += 1
        }
    }

    /// Over all ledgers: the lowest floor, and one more than the highest id that is known to have been used.
    private func readLedgers(_ names: [String]) throws(SpoolError) -> (floor: UInt64?, next: UInt64) {
        var floor: UInt64?
        var next: UInt64 = 0
        for name in names where name.hasSuffix(".ledger") {
            guard let state = try LedgerFormat.state(in: directory, name) else { continue }
            floor = min(floor ?? .max, state.floor)
            next = max(next, state.highestSequence)
        }
        return (floor, next)
    }

    // MARK: - The segments

    private func scan(
        _ found: inout [Found], floor: UInt64?, into result: inout Result
    ) throws(SpoolFileError) {
        guard !found.isEmpty else { return }
        let cursor = FrameCursor()
        // The newest segment that can stand alone, and whatever has to be read to know its ids.
        var start = found.count - 1
        while start > 0, try !SegmentScan.hasCheckpoint(found[start].file, found[start].generation, cursor) {
            start -= 1
        }
        var claimed: UInt64 = 0
        var scans: [Int: SegmentScan] = [:]
        for index in found.indices {
            let isLast = index == found.count - 1
            let isNextUnknown = !isLast && found[index + 1].header == nil
            guard index >= start || found[index].header == nil || isNextUnknown else { continue }
            var scan = try SegmentScan.run(
                found[index].file, generation: found[index].generation, first: found[index].first,
                limit: found[index].fileSize, positions: index >= start ? result.positions : [:], cursor)
            result.report.segmentsScanned += 1
            if isLast, let hole = scan.firstUncommittedHole {
                try cut(found[index], from: hole, scan, &result.report)
                if scan.validEnd > hole.range.lowerBound {
                    // Rule 4: again, up to the damage.
                    let claims = scan.claimed
                    scan = try SegmentScan.run(
                        found[index].file, generation: found[index].generation, first: found[index].first,
                        limit: hole.range.lowerBound, positions: result.positions, cursor)
                    scan.claimed = claims
                }
            }
            if index >= start { result.positions = scan.positions }
            if !scan.hasCheckpoint, found[index].header != nil {
                result.report.damagedSegments.append(SegmentName.segment(found[index].generation))
            }
            claimed = max(claimed, scan.claimed)
            if found[index].first == nil { found[index].first = scan.firstFrame }
            scans[index] = scan
        }
        settleEnds(&found, scans, floor: floor)
        let last = found.count - 1
        if let scan = scans[last] { try finishLast(&found[last], scan, &result.report) }
        noteLosses(found, scans, &result.report)
        for segment in found {
            guard let first = segment.first, let end = segment.end else { continue }
            result.segments.append(
                SegmentInfo(
                    generation: segment.generation, first: first, end: end, limit: segment.limit,
                    size: (segment.limit + 4095) & ~4095, isSealed: true))
        }
        result.previousEnd = found[last].end ?? 0
        result.nextSequence = max(result.previousEnd, claimed, found[last].header?.firstSequence ?? 0)
    }

    /// Gives every segment its first id and its end.
    private func settleEnds(_ found: inout [Found], _ scans: [Int: SegmentScan], floor: UInt64?) {
        // Without the first header, what the outputs still want tells where the spool began.
        if found[0].header == nil {
            let next = found.dropFirst().lazy.compactMap { $0.header?.previousEnd ?? $0.first }.first
            let first = found[0].first ?? next ?? 0
            found[0].first = min(first, floor ?? first)
        }
        var previousEnd: UInt64 = 0
        for index in found.indices {
            let scan = scans[index]
            // A segment without header and frames is empty, and begins where the one before ended.
            let first = max(found[index].first ?? previousEnd, index == 0 ? 0 : found[index - 1].first ?? 0)
            found[index].first = first
            if index + 1 < found.count {
                // Rule 2; without a header, the next segment's first frame tells; without that, the own frames.
                let next = found[index + 1]
                let end = next.header?.previousEnd ?? next.first ?? scan?.claimed ?? first
                found[index].end = max(first, end)
            } else {
                found[index].end = max(first, scan?.end ?? first)
            }
            previousEnd = found[index].end ?? previousEnd
        }
    }

    /// Shortens the last segment to what counts.
    private func finishLast(
        _ segment: inout Found, _ scan: SegmentScan, _ report: inout RecoveryReport
    ) throws(SpoolFileError) {
        report.cutRecords = scan.claimed > scan.end ? scan.claimed - scan.end : 0
        // Without any whole frame the file is left as it is, for people to look at.
        guard scan.validEnd > 0, scan.validEnd < segment.fileSize else { return }
        segment.limit = scan.validEnd
        // Only saves space: the next segment's header ends this one, so it need not be durable.
        try segment.file.truncate(to: scan.validEnd)
    }

    /// Copies aside what is going to be cut, as far as it is known to be more than zeros and stale bytes.
    private func cut(
        _ segment: Found, from hole: SegmentScan.Hole, _ scan: SegmentScan, _ report: inout RecoveryReport
    ) throws(SpoolFileError) {
        let start = hole.range.lowerBound
        var end = max(scan.validEnd, hole.framesEnd ?? start)
        if end == start, try beginsLikeFrame(segment, at: start) {
            end = min(hole.range.upperBound, start + FrameHeader.size)
        }
        guard end > start else { return }
        report.cutBytes += end - start
        _ = quarantine.copy(from: segment.file, generation: segment.generation, range: start..<end)
    }

    /// Whether a header of this segment was begun at `offset`.
    private func beginsLikeFrame(_ segment: Found, at offset: Int) throws(SpoolFileError) -> Bool {
        let bytes = try segment.file.read(16, at: offset)
        return bytes.withUnsafeBytes {
            guard $0.count == 16, let base = $0.baseAddress else { return !$0.isEmpty }
            return base.load(at: 8, as: UInt64.self) == segment.generation
        }
    }

    /// What was durable once and is not there, in what was scanned. Readers find it again, and quarantine it.
    private func noteLosses(_ found: [Found], _ scans: [Int: SegmentScan], _ report: inout RecoveryReport) {
        for (index, scan) in scans {
            guard let end = found[index].end, let first = found[index].first else { continue }
            if end - first > scan.records { report.lostRecords += end - first - scan.records }
        }
    }
}
