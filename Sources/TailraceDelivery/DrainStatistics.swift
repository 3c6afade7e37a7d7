/// What a drain has done since it started, and how it stands. The balance of an output:
/// `read − startedAt = alreadyAcknowledged + acknowledged + deadLettered + dropped + damaged + unused + forOthers + queued
/// + passedOver`, and what is between `read` and the spool's end waits.
package struct DrainStatistics: Equatable, Sendable {
    package struct Partition: Equatable, Sendable {
        /// Everything of this partition below this id is acknowledged (or dead-lettered).
        package var acknowledged: UInt64 = 0
        package var acknowledgedRecords: UInt64 = 0
        /// Attempts that failed in a row; 0 when the last one did not.
        package var failures = 0
        /// Why the last attempt failed; nil once one did not.
        package var trouble: String?
        /// Records that the others went past because its lane was full; nil while it keeps up.
        package var passedOver: UInt64?

        package init() {}
    }

    package var partitions: [Partition]
    /// The first id looked at.
    package var startedAt: UInt64
    /// Everything below is acknowledged (or dead-lettered) in all partitions; what the ledger and `release` are told.
    package var floor: UInt64
    /// The first id not yet put into a batch, nor passed over.
    package var read: UInt64

    /// Records that the ledger or the service said were acknowledged before the start.
    package var alreadyAcknowledged: UInt64 = 0
    /// Those of them that only the service knew of.
    package var recognised: UInt64 = 0
    package var acknowledged: UInt64 = 0
    package var acknowledgedBatches: UInt64 = 0
    /// Bytes of acknowledged batches as the service counts them.
    package var acknowledgedBytes: UInt64 = 0
    /// Records that the service refused for good, kept in the dead-letter area.
    package var deadLettered: UInt64 = 0
    /// Records that were refused for good and could not be kept either.
    package var dropped: UInt64 = 0
    /// Records that the spool lost to damage on the disk.
    package var damaged: UInt64 = 0
    /// Ids that no record ever had: a recovery of the spool skipped them.
    package var unused: UInt64 = 0
    /// Records that are for another output: dead letters of its that are sent again.
    package var forOthers: UInt64 = 0
    /// Records that were cut to fit; they are counted above as well.
    package var truncated: UInt64 = 0

    /// Records in batches: open, waiting or in flight.
    package var queued: UInt64 = 0
    /// Those of them in flight.
    package var inFlight: UInt64 = 0
    /// Bytes of those batches.
    package var queuedBytes = 0

    /// Records of slow partitions that the others went past: they are in the spool, and read again.
    package var passedOver: UInt64 = 0

    package var transmissions: UInt64 = 0
    package var retries: UInt64 = 0
    /// Retries of batches that the service may have got.
    package var unknownOutcomes: UInt64 = 0
    /// Failed attempts to read the spool or to write the ledger.
    package var localFailures: UInt64 = 0

    /// When a batch was last acknowledged or dead-lettered, or the drain started: with a backlog this must move.
    package var lastProgress: ContinuousClock.Instant

    init(partitions: Int, startedAt: UInt64, now: ContinuousClock.Instant) {
        self.partitions = Array(repeating: Partition(), count: partitions)
        self.startedAt = startedAt
        floor = startedAt
        read = startedAt
        lastProgress = now
    }

    /// Promise 7, for what this drain has read.
    package var balances: Bool {
        read - startedAt
            == alreadyAcknowledged + acknowledged + deadLettered + dropped + damaged + unused + forOthers + queued
            + passedOver
    }

    /// Durable records not yet in a batch.
    package func waiting(committed: UInt64) -> UInt64 { passedOver + (committed > read ? committed - read : 0) }
}
