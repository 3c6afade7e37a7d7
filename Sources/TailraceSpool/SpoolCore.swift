internal import Logging
import Synchronization

/// A segment as everybody but the writer sees it.
struct SegmentInfo: Equatable, Sendable {
    let generation: UInt64
    /// Where the ids before it end: from here up to `first` no id ever had a record.
    let previousEnd: UInt64
    /// Id of its first record.
    var first: UInt64
    /// Id after its last durable record.
    var end: UInt64
    /// Bytes that may be read.
    var limit: Int
    /// Bytes on disk.
    var size: Int
    /// Nothing will be added any more.
    var isSealed: Bool
}

/// What the spool's threads share: guarded by `monitor`, never across a system call.
struct SpoolState {
    enum Phase { case open, closing, abandoned, stopped }

    var phase = Phase.open
    var queue: [PendingBatch] = []
    /// Index of the first waiting batch in `queue`.
    var queueHead = 0
    var queueBytes = 0
    var nextSequence: UInt64
    var committed: UInt64
    var released: UInt64
    var segments: [SegmentInfo]
    var spareBytes = 0
    /// As of the last append.
    var positions: [SourceKey: [UInt8]]
    var positionBytes: Int
    var trouble: SpoolTrouble?
    var isWriterWaiting = false
    /// Raised by `flush()`; the writer answers by setting `flushDone`.
    var flushWanted: UInt64 = 0
    var flushDone: UInt64 = 0
    var releaseChanged = false
    /// Ids of what lay here at the start and has not been read since.
    var unverified: Range<UInt64> = 0..<0
    var counters = SpoolStatistics()

    var queued: Int { queue.count - queueHead }
    var bytesOnDisk: Int { segments.reduce(spareBytes) { $0 + $1.size } }
    var firstSequence: UInt64 { segments.first?.first ?? committed }
    /// Bytes that some output has not acknowledged yet, as if all records of a segment were of the same length.
    var unreleasedBytes: Int {
        var bytes = 0
        for segment in segments.reversed() {
            guard segment.end > released else { break }
            // Nothing but positions.
            guard segment.end > segment.first else { continue }
            let share = Double(segment.end - max(released, segment.first)) / Double(segment.end - segment.first)
            bytes += Int(share * Double(segment.limit))
        }
        return bytes
    }
    /// Records below had their segments removed.
    var removedEnd: UInt64 { segments.first?.previousEnd ?? committed }

    /// Whether records from `sequence` on are gone. Ids that a recovery skipped may lie before the first segment: no record
    /// is missing for who has read up to them.
    func isReleased(_ sequence: UInt64) -> Bool { sequence < firstSequence && sequence < released }

    mutating func setPosition(_ position: SourcePosition) {
        let old = positions[position.source].map { Checkpoint.size(key: position.source, value: $0) } ?? 0
        positions[position.source] = position.value.isEmpty ? nil : position.value
        let new = position.value.isEmpty ? 0 : Checkpoint.size(key: position.source, value: position.value)
        positionBytes += new - old
    }
}

/// The shared part of a spool: state, its monitor and conditions, and what never changes.
final class SpoolCore: @unchecked Sendable {
    /// As at the start; what may change since is `settings`.
    let configuration: SpoolConfiguration
    let limits: SpoolConfiguration.Limits
    let settings: Mutex<Settings>
    struct Settings {
        var maximumSize: Int
        var sync: SyncPolicy
        var minimumFree: UInt64?
    }
    var maximumSize: Int { settings.withLock { $0.maximumSize } }
    var sync: SyncPolicy { settings.withLock { $0.sync } }
    var minimumFree: UInt64? { settings.withLock { $0.minimumFree } }
    let directory: SpoolDirectory
    let quarantine: Quarantine
    let logger: Logger
    let clocks: Clocks

    let monitor = Monitor()
    /// The writer waits here.
    let work: Monitor.Condition
    /// Appenders wait here.
    let space: Monitor.Condition
    /// Readers and flushes wait here.
    let commit: Monitor.Condition
    /// Of the thread that writes.
    let mark = StageMark("spool")
    /// Who verifies waits here, for the end.
    let stopping: Monitor.Condition
    /// Only with `monitor` locked.
    var state: SpoolState

    init(
        configuration: SpoolConfiguration, limits: SpoolConfiguration.Limits, directory: SpoolDirectory,
        quarantine: Quarantine, logger: Logger, state: SpoolState
    ) {
        self.configuration = configuration
        clocks = configuration.environment.clocks
        self.limits = limits
        settings = Mutex(
            Settings(
                maximumSize: limits.maximumSize, sync: configuration.sync, minimumFree: configuration.minimumFree))
        self.directory = directory
        self.quarantine = quarantine
        self.logger = logger
        self.state = state
        work = Monitor.Condition(monitor)
        space = Monitor.Condition(monitor)
        commit = Monitor.Condition(monitor)
        stopping = Monitor.Condition(monitor)
    }

    /// With the monitor locked: wakes the writer if it sleeps.
    func wakeWriter() {
        if takeWriterWaiting() { work.signal() }
    }

    /// With the monitor locked: whether the writer sleeps and is to be woken, once the monitor is free: woken before, it would
    /// wait for it and have to be woken again.
    func takeWriterWaiting() -> Bool {
        defer { state.isWriterWaiting = false }
        return state.isWriterWaiting
    }
}
