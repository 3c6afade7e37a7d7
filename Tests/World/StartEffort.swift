import TailraceSpool

/// What a start costs the disk. It is bounded by what lies open, however much lies in the spool: of closed segments nothing
/// but the head is read.
struct StartEffort {
    /// Bytes read of a segment that counts: it is looked at, read through, perhaps again up to a hole, and written again.
    private static let readings = 6
    /// Bytes read of a ledger: by the spool and by the ledger, which look for what an older version wrote when nothing is there.
    private static let ledgerReadings = 3
    /// Calls for each file, and for all else.
    private static let callsPerFile = 12
    private static let calls = 60

    private let disk: SimulatedDisk
    private let callsBefore: Int
    private let bytesBefore: Int
    private let isQuiet: Bool
    private let files: Int
    private let largest: Int
    private let ledgers: Int

    /// A start is about to begin.
    init(_ disk: SimulatedDisk) {
        self.disk = disk
        callsBefore = disk.calls
        bytesBefore = disk.bytesRead
        isQuiet = disk.trouble.isNone
        let names = disk.names(in: WorldLife.spoolDirectory)
        func sizes(_ suffix: String) -> [Int] {
            names.filter { $0.hasSuffix(suffix) }.map { disk.contents("\(WorldLife.spoolDirectory)/\($0)")?.count ?? 0 }
        }
        files = names.count
        largest = sizes(".spool").max() ?? 0
        ledgers = sizes(".ledger").reduce(0, +)
    }

    /// What was too much of it, now that the start is over.
    func excess() -> String? {
        let bytes = disk.bytesRead - bytesBefore
        let allowed = Self.readings * largest + files * SegmentHeader.size + Self.ledgerReadings * ledgers
        if bytes > allowed { return "the start has read \(bytes) bytes of \(files) files, more than \(allowed)" }
        let calls = disk.calls - callsBefore
        let allowedCalls = Self.calls + files * Self.callsPerFile
        if isQuiet, calls > allowedCalls { return "the start took \(calls) calls for \(files) files" }
        return nil
    }
}
