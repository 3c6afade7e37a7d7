/// What lies in a spool's directory, and what the rules of `Recovery.swift` make of it. Changes nothing.
///
/// A start, the list of positions, `spool verify` and whatever else looks at a spool see it through this one pair of eyes.
struct SpoolSurvey {
    /// Gets the bytes read so far and those in all.
    typealias Progress = (_ done: Int, _ total: Int) -> Void

    enum Depth {
        /// As much as a start needs: the newest segment that can stand alone, and what follows it.
        case newest
        /// Every byte.
        case everything
    }

    /// One segment file and what is known of it.
    struct Segment {
        let generation: UInt64
        let fileSize: Int
        /// Nil when it is damaged.
        let header: SegmentHeader?
        /// Id of its first record, and the id after its last durable one; nil while nothing tells.
        var first: UInt64?
        var end: UInt64?
        /// Bytes that may be read.
        var limit: Int
        /// What reading it through found, without its positions; nil when it was not read.
        var scan: SegmentScan?

        var name: String { SegmentName.segment(generation) }
    }

    /// How often a living spool is looked at again that changed too fast.
    static let maximumAttempts = 10

    let directory: SpoolDirectory
    let depth: Depth
    /// Another process may be writing, and segments may go while they are looked at.
    let isShared: Bool
    /// Ascending; all have a first id and an end when the survey is done.
    var segments: [Segment] = []
    /// As of the last durable frame.
    var positions: [SourceKey: [UInt8]] = [:]
    /// The highest id that a frame or a header speaks of, plus one.
    var claimed: UInt64 = 0
    /// What rule 4 cuts from the last segment, as far as it is more than zeros and stale bytes.
    var cut: Range<Int>?
    private(set) var ledgers: [(name: String, contents: LedgerFormat.Contents)] = []
    /// Spare and half-made segments: they hold nothing that counts.
    private(set) var leftovers: [String] = []
    private(set) var foreignFiles: [String] = []

    /// - Parameter progress: called after each segment that was read through.
    init(
        _ directory: SpoolDirectory, depth: Depth, isShared: Bool, progress: Progress? = nil
    ) throws(SpoolError) {
        self.directory = directory
        self.depth = depth
        self.isShared = isShared
        var attempt = 1
        while try !look(progress), attempt < Self.maximumAttempts { attempt += 1 }
    }

    /// False when the newest segment went while it was looked for: what was seen is no spool that ever was.
    private mutating func look(_ progress: Progress?) throws(SpoolError) -> Bool {
        (segments, ledgers, leftovers, foreignFiles) = ([], [], [], [])
        (positions, claimed, cut) = ([:], 0, nil)
        let names = try SpoolError.wrapping { () throws(SpoolFileError) in try directory.names() }.sorted()
        for name in names { try note(name) }
        try SpoolError.wrapping { () throws(SpoolFileError) in try scan(progress) }
        let newest = names.last { SegmentName.generation($0, suffix: ".spool") != nil }
        return newest == nil || newest == segments.last?.name
    }

    /// Over all ledgers: the lowest floor.
    var floor: UInt64? { ledgers.lazy.compactMap { $0.contents.state?.floor }.min() }

    /// Over all ledgers: one more than the highest id that is known to have been used.
    var highestInLedgers: UInt64 { ledgers.lazy.compactMap { $0.contents.state?.highestSequence }.max() ?? 0 }

    /// Segments whose header or checkpoint is damaged, as far as was looked.
    var damagedSegments: [String] {
        segments.filter { $0.header == nil || $0.scan?.hasCheckpoint == false }.map(\.name)
    }

    private mutating func note(_ name: String) throws(SpoolError) {
        if let generation = SegmentName.generation(name, suffix: ".spool"), generation < .max {
            try noteSegment(generation)
        } else if SegmentName.generation(name, suffix: ".spare") != nil
            || SegmentName.generation(name, suffix: ".new") != nil
        {
            noteLeftover(name)
        } else if name.hasSuffix(".ledger") {
            if let file = try open(name) { ledgers.append((name, try LedgerFormat.read(file))) }
        } else if name != "lock", name != "quarantine", !name.hasSuffix(".ledger.damaged"),
            !name.hasSuffix(Ledger.unfinishedSuffix)
        {
            foreignFiles.append(name)
        }
    }

    private mutating func noteSegment(_ generation: UInt64) throws(SpoolError) {
        let name = SegmentName.segment(generation)
        guard let file = try open(name) else { return }
        let (size, bytes) = try SpoolError.wrapping { () throws(SpoolFileError) in
            (try file.size(), try file.read(SegmentHeader.size, at: 0))
        }
        var header: SegmentHeader?
        switch bytes.withUnsafeBytes({ SegmentHeader.decode($0) }) {
        case .newer(let version): throw .newerVersion(path: file.path, version: version)
        case .header(let decoded) where decoded.generation == generation: header = decoded
        case .header, .damaged: break
        }
        segments.append(
            Segment(
                generation: generation, fileSize: size, header: header, first: header?.firstSequence, limit: size))
    }

    /// A file that does not begin like a segment, or like none written yet, is somebody else's, whatever its name.
    private mutating func noteLeftover(_ name: String) {
        let bytes: [UInt8]
        do throws(SpoolFileError) {
            bytes = try directory.open(name, .read).read(MemoryLayout.size(ofValue: SegmentHeader.magic), at: 0)
        } catch {
            if !error.isMissing { foreignFiles.append(name) }
            return
        }
        let isOurs = bytes.allSatisfy { $0 == 0 } || withUnsafeBytes(of: SegmentHeader.magic) { $0.starts(with: bytes) }
        if isOurs { leftovers.append(name) } else { foreignFiles.append(name) }
    }

    /// Nil when the file has gone since the directory was listed.
    private func open(_ name: String) throws(SpoolError) -> SpoolFile? {
        do throws(SpoolFileError) {
            return try directory.open(name, .read)
        } catch {
            guard error.isMissing, isShared else { throw .file(error) }
            return nil
        }
    }
}
