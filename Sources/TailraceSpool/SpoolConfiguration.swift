/// When written records become durable, and thereby visible to readers.
package enum SyncPolicy: Equatable, Sendable {
    /// One fdatasync per group of batches, at once when idle.
    case always
    /// At most this long after a write (earlier when batches pile up): a power cut loses at most that much of what
    /// inputs without positions sent.
    case interval(Duration)
    /// Never by us: visible after the write, durable when the kernel pleases. A power cut loses records.
    case never
}

package struct SpoolConfiguration: Sendable {
    /// The spool's directory; made if missing, its parent must exist.
    package var directory: String
    /// Bytes on disk at most: segments and spares as preallocated (not the ledgers, nor the quarantine).
    package var maximumSize: UInt64 = 10 << 30
    /// Bytes of a segment. Made smaller so that four fit in `maximumSize`.
    package var segmentSize = 64 << 20
    /// Bytes of the largest frame (a batch with its index). Never more than a quarter of `maximumSize`.
    package var maximumFrameSize = 32 << 20
    package var sync = SyncPolicy.always
    /// Batches waiting for the spool thread at most.
    package var queueLimit = 1024
    /// Bytes waiting for the spool thread at most (a larger single batch is let in when nothing waits).
    package var queueByteLimit = 16 << 20
    /// Bytes gathered for one write and sync.
    package var groupByteLimit = 4 << 20
    /// A larger group is written in pieces of about so many bytes: the disk works on one while the next is copied.
    package var writePieceLimit = 1 << 20
    /// With `.interval`: written bytes whose batches are held for a rewrite until the sync; more force a sync.
    package var unsyncedByteLimit = 8 << 20
    /// Released segments kept for reuse.
    package var spareLimit = 2
    /// Bytes of all positions together; they are written at each segment's beginning.
    package var maximumPositionBytes = 16 << 20
    /// Bytes of quarantined copies kept; damage beyond is counted but not copied.
    package var maximumQuarantineSize = 256 << 20
    /// Bytes that no new segment may take from the file system. Nil: 256 MiB, but of a small file system a twentieth.
    package var minimumFree: UInt64?
    /// Bytes per second at which what lay in the spool at the start is read in the background, to find damage; 0: not at all.
    package var verificationRate = 32 << 20
    /// How long after the start that begins: what waits is sent first.
    package var verificationDelay = Duration.seconds(5)
    /// How long to wait before trying again after the disk refused.
    package var retryInterval = Duration.seconds(1)
    /// No id below this is given out (besides what the segments and ledgers in the directory say).
    package var minimumNextSequence: UInt64 = 0
    /// Called on the spool thread, once per group, with the first id that is not durable yet. Must not block.
    package var onCommit: (@Sendable (_ nextSequence: UInt64) -> Void)?
    package var environment = SpoolEnvironment()

    package init(directory: String) { self.directory = directory }

    /// Smallest `maximumSize` that works.
    package static let minimumSize: UInt64 = 256 << 10

    /// What the limits come to once they have been fitted to each other.
    struct Limits: Sendable {
        var maximumSize: Int
        var segmentSize: Int
        var frame: Int
        var positions: Int
    }

    func limits() throws(SpoolError) -> Limits {
        guard maximumSize >= Self.minimumSize else {
            throw .configuration("spool.maximum_size is \(maximumSize) bytes; at least \(Self.minimumSize) are needed")
        }
        guard maximumSize <= UInt64(Int.max), segmentSize > 0, maximumFrameSize > 0, queueLimit > 0,
            queueByteLimit > 0, groupByteLimit > 0, writePieceLimit > 0, unsyncedByteLimit > 0, spareLimit >= 0,
            maximumPositionBytes > 0, verificationRate >= 0
        else { throw .configuration("a limit of the spool is zero or too large: give it a positive value") }
        let quarter = Int(maximumSize) / 4
        // A page less than a quarter each, so that a frame and a checkpoint that both have their full size still leave
        // half of the spool to the segment before.
        let share = quarter - 4096
        return Limits(
            maximumSize: Int(maximumSize), segmentSize: max(4096, min(segmentSize, quarter) & ~4095),
            frame: min(maximumFrameSize, share, FrameHeader.maximumLength),
            positions: min(maximumPositionBytes, share))
    }
}

/// Why the spool does not take records at the moment.
package enum SpoolTrouble: Equatable, Sendable {
    /// `maximumSize` is reached; outputs have to acknowledge.
    case full
    /// The file system has no space or the quota is used up.
    case noSpace(String)
    /// A write or sync failed; it is tried again.
    case failing(String)
}

package struct SpoolStatistics: Equatable, Sendable {
    /// The first id that is still there.
    package var firstSequence: UInt64 = 0
    /// Records below were removed; ids from here up to `firstSequence` never had one.
    package var removedEnd: UInt64 = 0
    /// The id that the next record gets.
    package var nextSequence: UInt64 = 0
    package var committed: UInt64 = 0
    package var released: UInt64 = 0
    /// Segments and spares as preallocated.
    package var bytesOnDisk: UInt64 = 0
    package var maximumSize: UInt64 = 0
    package var segments = 0
    package var spares = 0
    package var queuedBatches = 0
    package var queuedBytes = 0
    package var sources = 0
    package var recordsAppended: UInt64 = 0
    package var batchesAppended: UInt64 = 0
    /// Bytes of frames made durable.
    package var bytesCommitted: UInt64 = 0
    /// Groups made durable.
    package var groups: UInt64 = 0
    /// Calls of `append` that had to wait.
    package var appendWaits: UInt64 = 0
    /// Calls of `tryAppend` that were refused.
    package var appendRefusals: UInt64 = 0
    /// Writes, syncs or segment creations that failed.
    package var writeFailures: UInt64 = 0
    /// Files that could not be removed after release.
    package var cleanupFailures: UInt64 = 0
    package var segmentsRecycled: UInt64 = 0
    /// Records that lay there at the start and that were neither read nor acknowledged since: `verificationRate`.
    package var unverified: UInt64 = 0
    /// Damage found since the start, at recovery and by readers, each place once.
    package var quarantinedBytes: UInt64 = 0
    package var quarantinedRecords: UInt64 = 0
    package var quarantinedPlaces: UInt64 = 0
    package var trouble: SpoolTrouble?

    package init() {}
}
