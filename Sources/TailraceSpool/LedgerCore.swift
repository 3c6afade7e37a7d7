import Glibc
internal import Logging

/// The ledger's state and its three slots; see `LedgerFormat.swift` for why there are three.
final class LedgerCore: @unchecked Sendable {
    /// How long to wait after a failed sync.
    static let retryNanoseconds: UInt64 = 1_000_000_000

    private let file: SpoolFile
    private let interval: UInt64
    private let logger: Logger
    let monitor = Monitor()
    private let changed: Monitor.Condition

    // Only with `monitor` locked:
    private(set) var state: LedgerState
    private(set) var failures: UInt64 = 0
    private var revision: UInt64
    /// The slot whose contents are on disk.
    private var durableSlot: Int
    /// The slot that a sync is taking to the disk.
    private var syncingSlot: Int?
    /// The slot that was written since the last sync began.
    private var dirtySlot: Int?
    /// A thread is writing the dirty slot.
    private var isWriting = false
    /// The state has changed since the last write began.
    private var isStale = false
    private var isStopping = false
    private var flushesWaiting = 0

    init(file: SpoolFile, state: LedgerState, revision: UInt64, durable: Int, interval: Duration, logger: Logger) {
        self.file = file
        self.state = state
        self.revision = revision
        durableSlot = durable
        self.interval = interval.nanosecondsClamped
        self.logger = logger
        changed = Monitor.Condition(monitor)
    }

    func update(_ state: LedgerState) throws(SpoolError) {
        guard state.partitions.count <= LedgerFormat.maximumPartitions else {
            throw .configuration(
                "\(state.partitions.count) partitions; a ledger holds up to \(LedgerFormat.maximumPartitions)")
        }
        let mustWrite = try monitor.withLock { () throws(SpoolError) in
            guard !isStopping else { throw .closed }
            self.state = state
            isStale = true
            // Whoever is writing takes this state along.
            if isWriting { return false }
            isWriting = true
            return true
        }
        if mustWrite {
            do throws(SpoolFileError) { try writeWhileStale() } catch { throw .file(error) }
        }
    }

    /// Writes until nothing newer is there. The caller has set `isWriting`.
    private func writeWhileStale() throws(SpoolFileError) {
        while true {
            let next = monitor.withLock { () -> (state: LedgerState, revision: UInt64, slot: Int)? in
                guard isStale else {
                    isWriting = false
                    changed.broadcast()
                    return nil
                }
                isStale = false
                revision += 1
                let slot = dirtySlot ?? (0..<LedgerFormat.slotCount).first { $0 != durableSlot && $0 != syncingSlot }
                guard let slot else { preconditionFailure("three slots, of which two are taken") }
                dirtySlot = slot
                return (state, revision, slot)
            }
            guard let next else { return }
            let bytes = LedgerFormat.encode(next.state, revision: next.revision)
            do throws(SpoolFileError) {
                try file.write(bytes, at: next.slot * LedgerFormat.slotSize)
            } catch {
                monitor.withLock {
                    failures += 1
                    isStale = true
                    isWriting = false
                    changed.broadcast()
                }
                throw error
            }
        }
    }

    func flush(_ timeoutMilliseconds: Int) -> Bool {
        let deadline = monotonicNanoseconds() + UInt64(max(0, timeoutMilliseconds)) * 1_000_000
        monitor.lock()
        defer { monitor.unlock() }
        flushesWaiting += 1
        changed.broadcast()
        while !isDurable, !isStopping, monotonicNanoseconds() < deadline { changed.wait(until: deadline) }
        flushesWaiting -= 1
        return isDurable
    }

    private var isDurable: Bool { dirtySlot == nil && syncingSlot == nil && !isWriting && !isStale }

    func stop() {
        monitor.withLock {
            isStopping = true
            changed.broadcast()
        }
    }

    // MARK: - The thread

    func syncUntilClosed() {
        var earliest: UInt64 = 0
        while let attempt = waitForSync(notBefore: earliest) {
            do throws(SpoolFileError) {
                if attempt.mustWrite { try writeWhileStale() }
                guard let slot = takeDirtySlot() else { continue }
                try file.sync()
                monitor.withLock {
                    durableSlot = slot
                    syncingSlot = nil
                    changed.broadcast()
                }
                earliest = monotonicNanoseconds() + interval
            } catch {
                // What the failed sync covered is not trusted: the state goes to another slot, whole.
                let isFirst = monitor.withLock {
                    if syncingSlot != nil { failures += 1 }
                    syncingSlot = nil
                    isStale = true
                    changed.broadcast()
                    return failures == 1
                }
                if isFirst {
                    logger.error("the ledger cannot be written; trying again", metadata: ["error": "\(error)"])
                }
                earliest = monotonicNanoseconds() + Self.retryNanoseconds
                if attempt.isLast { return }
            }
            if attempt.isLast { return }
        }
    }

    /// Waits until there is something to sync and it is time; nil when the ledger is closed and all is done.
    private func waitForSync(notBefore earliest: UInt64) -> (mustWrite: Bool, isLast: Bool)? {
        monitor.lock()
        defer { monitor.unlock() }
        while true {
            let hasWork = dirtySlot != nil || isStale
            if isStopping && !hasWork { return nil }
            if hasWork && !isWriting {
                let now = monotonicNanoseconds()
                let isHurried = isStopping || (flushesWaiting > 0 && failures == 0)
                if isHurried || now >= earliest {
                    let mustWrite = isStale
                    if mustWrite { isWriting = true }
                    return (mustWrite, isStopping)
                }
                changed.wait(until: earliest)
            } else {
                changed.wait()
            }
        }
    }

    /// The slot to be synced; nothing writes to it any more.
    private func takeDirtySlot() -> Int? {
        monitor.withLock {
            while isWriting { changed.wait() }
            syncingSlot = dirtySlot
            dirtySlot = nil
            return syncingSlot
        }
    }
}
