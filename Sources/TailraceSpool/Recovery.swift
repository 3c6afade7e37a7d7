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
//    a sync and the frame that follows it, which is a commit frame after a second, and that same group was damaged in
//    addition.
// 5. What is cut is copied to the quarantine when a whole header says that it was a frame. The file is shortened to its
//    last frame, unless it could not be copied.
// 6. The next id is above everything seen: frames kept, lost or cut, headers whose payload is damaged, segment headers,
//    ledgers, and what the caller asks for. Ids that are skipped for this are recorded in the next segment's header
//    ("previous end"), so that they are never taken for lost.
// 7. Writing goes on in a new segment, never in a recovered one.
// 8. Positions come from the newest segment with a whole checkpoint and the frames from there on. Older segments are
//    not read at the start; their damage is found by the readers, by the same rules, one of which reads all of them
//    in the background (`SpoolVerifier`).
// 9. A kill leaves frames in the page cache alone, and after a sync that failed they may be there for good. What D does not
//    prove is therefore written again to the same place and synced before anybody sees it: otherwise the next segment
//    could speak for records that a power cut then takes.
// 10. A segment whose header is damaged is read from its frames: its name tells its generation.

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

/// Carries out what a survey of the directory finds, with the directory locked.
struct Recovery {
    struct Result {
        var segments: [SegmentInfo] = []
        var positions: [SourceKey: [UInt8]] = [:]
        var nextSequence: UInt64 = 0
        /// Where the ids end that are or were there; the rest up to `nextSequence` is skipped.
        var previousEnd: UInt64 = 0
        var nextGeneration: UInt64 = 1
        /// Ids in segments that were not read, as far as some output may still want them.
        var unread: Range<UInt64> = 0..<0
        var report = RecoveryReport()
    }

    /// Bytes that are held in memory at once of those that are written again.
    static let maximumPiece = 1 << 20

    let directory: SpoolDirectory
    let quarantine: Quarantine
    let minimumNextSequence: UInt64
    /// Something is to survive a power cut.
    let isSyncing: Bool

    func run() throws(SpoolError) -> Result {
        let survey = try SpoolSurvey(directory, depth: .newest, isShared: false)
        var result = Result()
        result.positions = survey.positions
        result.report = report(of: survey)
        let isShortened = try SpoolError.wrapping { () throws(SpoolFileError) in
            for name in survey.leftovers { try directory.unlink(name) }
            // What the survey saw is what the disk has: a segment that an earlier process began, and removed when the
            // directory could not be synced, would else come back in a power cut, and say that the one before it ends where
            // it ended then.
            if isSyncing { try directory.sync() }
            return if let last = survey.segments.last { try finish(last, cut: survey.cut) } else { false }
        }
        result.segments = survey.segments.compactMap { segment in
            guard let first = segment.first, let end = segment.end else { return nil }
            return SegmentInfo(
                generation: segment.generation, previousEnd: min(segment.header?.previousEnd ?? first, first),
                first: first, end: end, limit: segment.limit,
                size: ((isShortened ? segment.limit : segment.fileSize) + 4095) & ~4095, isSealed: true)
        }
        let end = survey.segments.last?.end ?? 0
        result.nextSequence = max(
            end, survey.claimed, survey.segments.last?.header?.firstSequence ?? 0, survey.highestInLedgers,
            minimumNextSequence)
        result.previousEnd = survey.segments.isEmpty ? result.nextSequence : end
        result.nextGeneration = max(1, (survey.segments.last?.generation ?? 0) &+ 1)
        let unread = survey.segments.filter { $0.scan == nil }
        if let last = unread.last?.end, let first = unread.first?.first {
            result.unread = min(max(first, survey.floor ?? 0), last)..<last
        }
        result.report.skippedSequences = result.nextSequence - result.previousEnd
        result.report.firstSequence = result.segments.first?.first ?? result.nextSequence
        result.report.nextSequence = result.nextSequence
        return result
    }

    private func report(of survey: SpoolSurvey) -> RecoveryReport {
        var report = RecoveryReport()
        report.segments = survey.segments.count
        report.segmentsScanned = survey.segments.count { $0.scan != nil }
        report.damagedSegments = survey.damagedSegments
        report.foreignFiles = survey.foreignFiles
        report.removedLeftovers = survey.leftovers.count
        report.sources = survey.positions.count
        report.cutBytes = survey.cut?.count ?? 0
        if let scan = survey.segments.last?.scan, scan.claimed > scan.end {
            report.cutRecords = scan.claimed - scan.end
        }
        // Readers find the losses again, and quarantine them.
        report.lostRecords = survey.segments.reduce(0) { $0 + $1.lostRecords }
        return report
    }

    /// Rules 4, 5 and 9. True when the file has no bytes behind its last frame.
    private func finish(_ last: SpoolSurvey.Segment, cut: Range<Int>?) throws(SpoolFileError) -> Bool {
        let unproven = isSyncing ? last.scan?.unprovenBytes : nil
        guard cut != nil || unproven != nil || last.limit < last.fileSize else { return true }
        let file = try directory.open(last.name, .readWrite)
        let isKept = cut.map { cut in
            quarantine.copy(from: file, generation: last.generation, range: cut) != nil
                && cut.count <= Quarantine.maximumCopy
        }
        if let unproven { try makeDurable(unproven, of: file) }
        // Only saves space: the next segment's header ends this one, so it need not be durable, nor be done at all when
        // what is cut could not be copied.
        guard isKept ?? true else { return false }
        if last.limit < last.fileSize { try file.truncate(to: last.limit) }
        return true
    }

    /// In pieces, however much was never synced.
    private func makeDurable(_ range: Range<Int>, of file: SpoolFile) throws(SpoolFileError) {
        let size = min(range.count, Self.maximumPiece)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { bytes.deallocate() }
        for start in stride(from: range.lowerBound, to: range.upperBound, by: size) {
            let piece = UnsafeMutableRawBufferPointer(rebasing: bytes[..<min(size, range.upperBound - start)])
            // Not around what the disk cannot deliver: zeros must not take the place of records.
            let count = try file.read(into: piece, at: start)
            try file.write(UnsafeRawBufferPointer(rebasing: piece[..<count]), at: start)
        }
        try file.sync()
    }
}
