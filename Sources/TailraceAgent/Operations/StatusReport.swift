package import TailraceDelivery
package import TailraceInputs

/// How a running agent stands: the balance of every input and output, in records.
///
/// Everything is counted from the agent's start, except what the spool and the ledgers remember: their sequence ids
/// never begin anew. Records that lay in the spool at the start are `carriedOver`, not part of any input's balance.
package struct StatusReport: Equatable, Sendable {
    package var version = Version.text
    package var process: Int32 = 0
    package var host = ""
    /// Milliseconds since 1970, UTC.
    package var started: Int64 = 0
    package var now: Int64 = 0
    /// Stages and outputs that do not get on, as the watchdog found them.
    package var blocked: [String] = []
    package var configuration = ReloadHistory()
    package var spool = Spool()
    /// Those of the configuration; then those that it has no more, whose counts stay until the agent ends.
    package var inputs: [Input] = []
    package var outputs: [Output] = []

    package init() {}

    /// Whether every balance does.
    package var closes: Bool { inputs.allSatisfy { $0.unexplained == 0 } && outputs.allSatisfy { $0.unexplained == 0 } }

    package struct Spool: Equatable, Sendable {
        package var directory = ""
        /// The first id that the next record can get.
        package var nextSequence: UInt64 = 0
        /// The first id that is not durable yet.
        package var committed: UInt64 = 0
        /// The first id that some output still needs.
        package var released: UInt64 = 0
        /// Of the records from before the start, those that some output still needs.
        package var carriedOver: UInt64 = 0
        package var bytes: UInt64 = 0
        package var maximumBytes: UInt64 = 0
        package var segments = 0
        /// Of the records from before the start, those that are still to be read in the background, to find damage.
        package var unverified: UInt64 = 0
        package var quarantinedRecords: UInt64 = 0
        package var quarantinedBytes: UInt64 = 0
        /// Why nothing can be appended; nil while all is well.
        package var failure: String?

        package init() {}
    }

    /// existed = acknowledged + spooled + filtered + dropped.
    package struct Input: Equatable, Sendable {
        package var name = ""
        package var type = "file"
        /// The configuration has it no more.
        package var isRemoved = false
        /// Records read since the start.
        package var existed: UInt64 = 0
        /// Of those, the ones that every output has acknowledged or dead-lettered.
        package var acknowledged: UInt64 = 0
        /// Of those, the ones that lie in the spool, or on the way into it.
        package var spooled: UInt64 = 0
        /// The filtered ones by reason.
        package var filters: [Drop] = []
        /// Records that went along with something written over.
        package var redacted: UInt64 = 0
        /// Records that went along because a pattern reached its limits.
        package var undecided: UInt64 = 0
        /// Records that went no further, by reason: all that the input knows, also those of none so far.
        package var drops: [Drop] = []
        /// Bytes that are known to have existed and could not be read: a file truncated or removed before its end.
        package var lostBytes: UInt64 = 0
        /// What else happened since the start, and how much there is now. File inputs share one thread: the first tells for all.
        package var events: [InputReport.Count] = []
        package var levels: [InputReport.Count] = []
        /// Bytes of the records read since the start, without line ends.
        package var bytes: UInt64 = 0
        /// Of the records that existed, those that are the agent's own and tell of losses.
        package var notices: UInt64 = 0
        /// Bytes in the files that are not read yet.
        package var lagBytes: UInt64 = 0
        package var files = 0
        /// The sources with the most unread bytes, and those in trouble; at most `maximumSources`.
        package var sources: [Source] = []

        package static let maximumSources = 100

        package init() {}

        package var filtered: UInt64 { filters.reduce(0) { $0 &+ $1.records } }
        package var dropped: UInt64 { drops.reduce(0) { $0 &+ $1.records } }

        /// What the balance leaves unexplained: 0, or a bug.
        package var unexplained: Int64 {
            Int64(bitPattern: existed &- acknowledged &- spooled &- filtered &- dropped)
        }
    }

    package struct Drop: Equatable, Sendable {
        package var reason: String
        package var records: UInt64

        package init(reason: String, records: UInt64) {
            self.reason = reason
            self.records = records
        }
    }

    package struct Source: Equatable, Sendable {
        package var path = ""
        package var condition = ""
        /// Bytes.
        package var size: UInt64 = 0
        package var offset: UInt64 = 0

        package init() {}
        package var lag: UInt64 { size > offset ? size - offset : 0 }
    }

    /// spooled = acknowledged + in flight + waiting + dead-lettered + dropped: by sequence id since the spool began.
    package struct Output: Equatable, Sendable {
        package var name = ""
        package var type = "eventhubs"
        /// Such as "connected", "connecting", "waiting to connect again".
        package var state = ""
        package var lastError: String?
        /// Milliseconds since 1970 of the last error.
        package var lastErrorTime: Int64?
        package var guarantee = ""
        /// Records that the spool ever took, but those that are for another output.
        package var spooled: UInt64 = 0
        package var acknowledged: UInt64 = 0
        package var inFlight: UInt64 = 0
        package var waiting: UInt64 = 0
        package var deadLettered: UInt64 = 0
        /// Records lost to damage of the disk, or refused for good and impossible to keep.
        package var dropped: UInt64 = 0
        /// Batches that were sent again because their first outcome was unknown.
        package var resent: UInt64 = 0
        package var partitions: [Partition] = []
        /// What became of the records that its service refused, since the start.
        package var deadLetters = DeadLetterCounts()

        package init() {}

        package var unexplained: Int64 {
            Int64(bitPattern: spooled &- acknowledged &- inFlight &- waiting &- deadLettered &- dropped)
        }

        package var backlog: UInt64 { inFlight &+ waiting }
        package var settled: UInt64 { acknowledged &+ deadLettered &+ dropped }
    }

    package struct Partition: Equatable, Sendable {
        package var id = ""
        /// The last sequence id that the service confirmed with everything before it for this partition.
        package var lastAcknowledged: UInt64?
        /// Records that the service confirmed since the output last connected, or went over to another routing.
        package var acknowledgedRecords: UInt64 = 0
        /// Why the last attempt failed; nil once one did not.
        package var trouble: String?
        /// The others go on without it.
        package var isSlow = false
        /// Of its records those that were passed over meanwhile, and are read from the spool again once it has room.
        package var passedOver: UInt64 = 0

        package init() {}
    }
}
