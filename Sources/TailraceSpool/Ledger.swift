import Glibc
package import Logging

/// What one output has had acknowledged, on disk. Updates reach the page cache at once and the disk soon after, on a
/// thread of the ledger's own.
///
/// After a power cut the ledger may be `syncInterval` old: records may be sent twice, none is lost.
package final class Ledger: Sendable {
    /// How the ledger was found.
    package enum Origin: Equatable, Sendable {
        case created
        case read
        /// No slot could be read: begun anew at the spool's first id; the old file was kept under another name.
        case rebuilt(kept: String)
    }

    package let origin: Origin
    /// Of its thread.
    package var mark: StageMark { core.mark }
    private let core: LedgerCore
    private let worker: Worker

    private init(origin: Origin, core: LedgerCore, worker: Worker) {
        self.origin = origin
        self.core = core
        self.worker = worker
    }

    deinit { close() }

    /// Opens or makes the ledger `name` (a file name ending in ".ledger") in the spool's directory.
    ///
    /// `firstSequence` is the spool's first id: where a new ledger begins, and where one begins anew that cannot be
    /// read any more (rather twice than never).
    package static func open(
        directory path: String, name: String, firstSequence: UInt64,
        syncInterval: Duration = .milliseconds(20), environment: SpoolEnvironment = SpoolEnvironment(), logger: Logger
    ) throws(SpoolError) -> Ledger {
        guard name.hasSuffix(".ledger"), !name.contains("/") else {
            throw .configuration("\(name) is no name for a ledger: it must end in .ledger and have no slash")
        }
        let directory = SpoolDirectory(path: path, disk: environment.disk)
        let found = try read(directory, name)
        do throws(SpoolFileError) {
            if var (file, contents) = found, let state = contents.state {
                if contents.damagedSlots > 0 {
                    logger.warning(
                        "the ledger has damaged slots; the newest whole one counts",
                        metadata: ["ledger": "\(file.path)", "slots": "\(contents.damagedSlots)"])
                }
                if contents.version < LedgerFormat.version {
                    (file, contents) = try upgrade(directory, name, contents)
                    logger.notice(
                        "the ledger's format was upgraded",
                        metadata: ["ledger": "\(file.path)", "version": "\(contents.version)"])
                }
                // After a kill the page cache alone may have it, and after a failed sync for good. Only what is on the disk
                // may be the one good copy.
                try file.write(
                    LedgerFormat.encode(state, revision: contents.revision), at: contents.slot * LedgerFormat.slotSize)
                try file.sync()
                let core = LedgerCore(
                    file: file, state: state, revision: contents.revision, durable: contents.slot,
                    interval: syncInterval, clocks: environment.clocks, logger: logger)
                return start(core, .read, hasThread: environment.hasThreads)
            }
            var origin = Origin.created
            if let (file, contents) = found, contents.damagedSlots > 0 {
                let kept = keptName(name, try directory.names())
                try directory.link(name, as: kept)
                try directory.unlink(name)
                origin = .rebuilt(kept: kept)
                logger.error(
                    "the ledger cannot be read; it begins anew at the spool's first record: duplicates, no loss",
                    metadata: ["ledger": "\(file.path)", "kept": "\(kept)", "first": "\(firstSequence)"])
            }
            let file = try directory.open(name, .createOrOpen)
            try file.preallocate(LedgerFormat.fileSize)
            let state = LedgerState(floor: firstSequence)
            try file.write(LedgerFormat.encode(state, revision: 1), at: 0)
            try file.sync()
            try directory.sync()
            let core = LedgerCore(
                file: file, state: state, revision: 1, durable: 0, interval: syncInterval, clocks: environment.clocks,
                logger: logger)
            return start(core, origin, hasThread: environment.hasThreads)
        } catch {
            throw .file(error)
        }
    }

    /// The ledger as it lies there; nil when there is none.
    private static func read(
        _ directory: SpoolDirectory, _ name: String
    ) throws(SpoolError) -> (SpoolFile, LedgerFormat.Contents)? {
        let file: SpoolFile
        do throws(SpoolFileError) {
            file = try directory.open(name, .readWrite)
        } catch {
            guard error.code == ENOENT else { throw .file(error) }
            return nil
        }
        return (file, try LedgerFormat.read(file))
    }

    private static func keptName(_ name: String, _ names: [String]) -> String {
        var number = 1
        while names.contains("\(number).\(name).damaged") { number += 1 }
        return "\(number).\(name).damaged"
    }

    private static func start(_ core: LedgerCore, _ origin: Origin, hasThread: Bool) -> Ledger {
        let worker = hasThread ? Worker(thread: "ledger") { core.syncUntilClosed() } : Worker { core.step() }
        return Ledger(origin: origin, core: core, worker: worker)
    }

    /// Without a thread (`SpoolEnvironment.hasThreads`): does a piece of the thread's work.
    package func step() -> StepResult<UInt64> { worker.step() }

    package var state: LedgerState { core.monitor.withLock { core.state } }

    /// Failed writes and syncs so far.
    package var failures: UInt64 { core.monitor.withLock { core.failures } }

    /// Stores `state`: in the page cache when this returns, on disk within `syncInterval` and a sync. When it throws,
    /// the state counts in memory and goes out with the next update.
    package func update(_ state: LedgerState) throws(SpoolError) { try core.update(state) }

    /// From now on `tell` is told the floor that is on the disk: at once, and whenever another one has got there, on the
    /// ledger's thread. Must not block. Only what is below may be given up: a power cut takes what was not synced.
    package func tellDurable(_ tell: @escaping @Sendable (_ floor: UInt64) -> Void) { core.tellDurable(tell) }

    /// Waits until the last update is on disk; false when the disk refuses or the time is over.
    @discardableResult
    package func flush(timeoutMilliseconds: Int = 10_000) -> Bool {
        core.flush(timeoutMilliseconds, by: worker)
    }

    /// Syncs and stops the thread. Idempotent; an update after it throws `.closed`.
    package func close() {
        core.stop()
        worker.join()
    }
}
