import Glibc
internal import Logging

/// The ledger's state and its three slots; see `LedgerFormat.swift` for why there are three.
final class LedgerCore: @unchecked Sendable {
    /// How long to wait after a failed sync.
    static let retryNanoseconds: UInt64 = 1_000_000_000

    private let file: SpoolFile
    private let interval: UInt64
    private let clocks: Clocks
    private let logger: Logger
    let monitor = Monitor()
    let mark = StageMark("ledger")
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
    /// The floors in these slots.
    private var durableFloor: UInt64
    private var syncingFloor: UInt64 = 0
    private var dirtyFloor: UInt64 = 0
    /// Told the floor that is on the disk, whenever it has got there.
    private var onDurable: (@Sendable (_ floor: UInt64) -> Void)?
    /// A thread is writing the dirty slot.
    private var isWriting = false
    /// The state has changed since the last write began.
    private var isStale = false
    private var isStopping = false
    private var flushesWaiting = 0
    /// Our thread sleeps until something changes: while it sleeps until a time, no write wakes it.
    private var isThreadWaiting = false
    /// When the next sync may begin. Of the thread alone.
    private var earliest: UInt64 = 0

    init(
        file: SpoolFile, state: LedgerState, revision: UInt64, durable: Int, interval: Duration, clocks: Clocks,
        logger: Logger
    ) {
        self.file = file
        self.state = state
        self.revision = revision
        durableSlot = durable
        durableFloor = state.floor
        self.interval = interval.nanosecondsClamped
        self.clocks = clocks
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
                    if isThreadWaiting || flushesWaiting > 0 { changed.broadcast() }
                    return nil
                }
                isStale = false
                revision += 1
                let slot = dirtySlot ?? (0..<LedgerFormat.slotCount).first { $0 != durableSlot && $0 != syncingSlot }
                guard let slot else { preconditionFailure("three slots, of which two are taken") }
                dirtySlot = slot
                dirtyFloor = state.floor
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

    func flush(_ timeoutMilliseconds: Int, by worker: Worker) -> Bool {
        let deadline = clocks.nanoseconds() + UInt64(max(0, timeoutMilliseconds)) * 1_000_000
        monitor.withLock {
            flushesWaiting += 1
            changed.broadcast()
        }
        worker.settle()
        return monitor.withLock {
            while worker.hasThread, !isDurable, !isStopping, clocks.nanoseconds() < deadline {
                changed.wait(until: deadline)
            }
            flushesWaiting -= 1
            return isDurable
        }
    }

    func tellDurable(_ tell: @escaping @Sendable (_ floor: UInt64) -> Void) {
        let floor = monitor.withLock {
            onDurable = tell
            return durableFloor
        }
        tell(floor)
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
        defer { mark.rest() }
        while perform(waitForWork()) { mark.work() }
    }

    /// The same piece by piece, for who has no thread.
    func step() -> StepResult<UInt64> {
        let work = monitor.withLock { nextWork() }
        if case .wait(let deadline) = work { return .wait(until: deadline) }
        return perform(work) ? .again : .ended
    }

    private enum Work {
        case sync(mustWrite: Bool, isLast: Bool)
        case wait(until: UInt64?)
        /// The ledger is closed and all is done.
        case end
    }

    private func waitForWork() -> Work {
        monitor.lock()
        defer { monitor.unlock() }
        while true {
            let work = nextWork()
            guard case .wait(let deadline) = work else { return work }
            mark.rest()
            isThreadWaiting = deadline == nil
            changed.wait(until: deadline)
            isThreadWaiting = false
            mark.work()
        }
    }

    /// With the monitor locked.
    private func nextWork() -> Work {
        let hasWork = dirtySlot != nil || isStale
        if isStopping && !hasWork { return .end }
        let isHurried = isStopping || (flushesWaiting > 0 && failures == 0)
        // Also before there is something: as a rule there soon is, and nobody need wake us for it.
        guard isHurried || clocks.nanoseconds() >= earliest else { return .wait(until: earliest) }
        guard hasWork && !isWriting else { return .wait(until: nil) }
        let mustWrite = isStale
        if mustWrite { isWriting = true }
        return .sync(mustWrite: mustWrite, isLast: isStopping)
    }

    /// False when that was the last.
    private func perform(_ work: Work) -> Bool {
        switch work {
        case .end: return false
        case .wait: return true
        case .sync(let mustWrite, let isLast):
            sync(mustWrite: mustWrite)
            return !isLast
        }
    }

    private func sync(mustWrite: Bool) {
        do throws(SpoolFileError) {
            if mustWrite { try writeWhileStale() }
            guard let slot = takeDirtySlot() else { return }
            try file.sync()
            let (floor, onDurable) = monitor.withLock {
                durableSlot = slot
                durableFloor = syncingFloor
                return (durableFloor, self.onDurable)
            }
            // Before those who wait for the sync go on.
            onDurable?(floor)
            monitor.withLock {
                syncingSlot = nil
                changed.broadcast()
            }
            earliest = clocks.nanoseconds() + interval
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
            earliest = clocks.nanoseconds() + Self.retryNanoseconds
        }
    }

    /// The slot to be synced; nothing writes to it any more.
    private func takeDirtySlot() -> Int? {
        monitor.withLock {
            while isWriting {
                isThreadWaiting = true
                changed.wait()
            }
            isThreadWaiting = false
            syncingSlot = dirtySlot
            syncingFloor = dirtyFloor
            dirtySlot = nil
            return syncingSlot
        }
    }
}
