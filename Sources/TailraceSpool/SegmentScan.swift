/// What one pass over a segment found; decides nothing.
struct SegmentScan {
    struct Hole: Equatable {
        /// The damaged bytes.
        var range: Range<Int>
        /// The id that should have come here.
        var expected: UInt64
        /// The id of the frame behind the damage; nil when nothing follows.
        var next: UInt64?
        /// Where the last frame in it ends that has a whole header; nil when none has.
        var framesEnd: Int?

        /// No record is missing: only positions or a commit frame were hit.
        var isHarmless: Bool { next == expected }
    }

    /// Id of the first whole records or commit frame.
    var firstFrame: UInt64?
    /// Id after the last whole frame.
    var end: UInt64
    /// Bytes up to the end of the last whole frame.
    var validEnd = 0
    /// Bytes up to the end of the last frame whose records were all durable when the last whole frame was written.
    private var provenEnd = 0
    /// Whole frames behind them: where each ends, and the id after its last record.
    private var unproven: [(end: Int, sequence: UInt64)] = []
    /// Everything below was durable when the last whole frame was written.
    var durable: UInt64
    /// The highest id that any whole header speaks of, plus one.
    var claimed: UInt64
    var holes: [Hole] = []
    /// Records in whole frames.
    var records: UInt64 = 0
    var hasCheckpoint = false
    var positions: [SourceKey: [UInt8]]

    /// Whole frames that may have come no further than the page cache.
    var unprovenBytes: Range<Int>? { provenEnd < validEnd ? provenEnd..<validEnd : nil }

    /// The first damage that no later frame proves to have been durable before.
    var firstUncommittedHole: Hole? { holes.first { $0.expected >= durable && !$0.isHarmless } }

    static func run(
        _ file: SpoolFile, generation: UInt64, first: UInt64?, limit: Int, positions: [SourceKey: [UInt8]],
        _ cursor: FrameCursor
    ) throws(SpoolFileError) -> SegmentScan {
        var scan = SegmentScan(end: first ?? 0, durable: first ?? 0, claimed: first ?? 0, positions: positions)
        var isFirstKnown = first != nil
        cursor.open(file, generation: generation, offset: min(SegmentHeader.size, limit), limit: limit)
        defer { cursor.close() }
        var checkpoint: [SourceKey: [UInt8]] = [:]
        var pieces: UInt64 = 0
        var hole: Hole?
        while true {
            switch try cursor.next(minimum: first ?? 0) {
            case .damaged(let range, let header):
                hole = Hole(
                    range: (hole?.range.lowerBound ?? range.lowerBound)..<range.upperBound, expected: scan.end,
                    framesEnd: header == nil ? hole?.framesEnd : range.upperBound)
                if let header { scan.claimed = max(scan.claimed, header.endSequence) }
            case .end:
                if let hole { scan.holes.append(hole) }
                return scan
            case .frame(let header, let payload):
                if header.endSequence < scan.end { continue }
                if !isFirstKnown {
                    isFirstKnown = true
                    hole?.expected = header.firstSequence
                }
                if var found = hole {
                    found.next = header.firstSequence
                    scan.holes.append(found)
                    hole = nil
                }
                scan.validEnd = cursor.offset
                scan.durable = max(scan.durable, header.committed)
                scan.prove(cursor.offset, header.endSequence)
                scan.claimed = max(scan.claimed, header.endSequence, header.committed)
                scan.end = header.endSequence
                scan.records += UInt64(header.recordCount)
                switch header.kind {
                case .commit: scan.firstFrame = scan.firstFrame ?? header.firstSequence
                case .checkpoint:
                    let isInOrder = header.baseOffset == pieces
                    let isWhole = Checkpoint.decode(payload, into: &checkpoint)
                    if isInOrder && isWhole { pieces += 1 }
                    if header.isLastPiece {
                        scan.finishCheckpoint(checkpoint, isComplete: isInOrder && isWhole)
                    }
                case .records:
                    if scan.firstFrame == nil {
                        scan.firstFrame = header.firstSequence
                        // Records before the end of the checkpoint: its last piece is damaged.
                        if !scan.hasCheckpoint { scan.finishCheckpoint(checkpoint, isComplete: false) }
                    }
                    let frame = SpoolFrame(header: header, payload: payload, startIndex: 0)
                    if let position = frame.position {
                        scan.positions[position.source] = position.value.isEmpty ? nil : position.value
                    }
                }
            }
        }
    }

    /// A frame ends at `end` and before the id `sequence`.
    private mutating func prove(_ end: Int, _ sequence: UInt64) {
        unproven.append((end, sequence))
        let proven = unproven.prefix { $0.sequence <= durable }
        guard let last = proven.last else { return }
        provenEnd = last.end
        unproven.removeFirst(proven.count)
    }

    private mutating func finishCheckpoint(_ checkpoint: [SourceKey: [UInt8]], isComplete: Bool) {
        if isComplete {
            positions = checkpoint
            hasCheckpoint = true
        } else {
            positions.merge(checkpoint) { $1 }
        }
    }

    /// Whether the segment begins with a whole header and a whole checkpoint; reads no further.
    static func hasCheckpoint(
        _ file: SpoolFile, _ generation: UInt64, _ cursor: FrameCursor
    ) throws(SpoolFileError) -> Bool {
        let size = try file.size()
        guard size >= SegmentHeader.size else { return false }
        let bytes = try file.read(SegmentHeader.size, at: 0)
        guard case .header(let header) = bytes.withUnsafeBytes({ SegmentHeader.decode($0) }),
            header.generation == generation
        else { return false }
        cursor.open(file, generation: generation, offset: SegmentHeader.size, limit: size)
        defer { cursor.close() }
        var pieces: UInt64 = 0
        while case .frame(let frame, _) = try cursor.next(minimum: 0), frame.kind == .checkpoint {
            guard frame.baseOffset == pieces else { return false }
            if frame.isLastPiece { return true }
            pieces += 1
        }
        return false
    }
}
