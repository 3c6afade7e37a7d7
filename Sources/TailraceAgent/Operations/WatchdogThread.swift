import Glibc
internal import Logging
import Synchronization
internal import TailraceSpool

/// Looks after all stages, on a thread that waits for none of them: feeds the service manager's watchdog as long as they get
/// on, tells it how things stand, and tells the log when something is blocked.
final class WatchdogThread: Sendable {
    struct Sight: Sendable {
        var stages: [Watchdog.Stage]
        var outputs: [Watchdog.Output]
    }

    /// Milliseconds between two lines for the service manager, at least.
    private static let statusInterval: Int64 = 5_000

    private let manager: ServiceManager
    private let logger: Logger
    private let sight: @Sendable () -> Sight
    private let status: @Sendable () -> String
    private let upkeep: @Sendable () -> Void
    private let monitor = Monitor()
    private let wake: Monitor.Condition
    private let isStopping = Atomic<Bool>(false)
    private let found = Mutex<[Watchdog.Blockage]>([])
    private let thread = Mutex<pthread_t?>(nil)

    /// - Parameters:
    ///   - sight: how everybody stands now; must not wait for any stage.
    ///   - status: a line for people, shown where the service manager shows the service; the same.
    ///   - upkeep: called at every look; the same.
    init(
        _ manager: ServiceManager, logger: Logger, sight: @escaping @Sendable () -> Sight,
        status: @escaping @Sendable () -> String, upkeep: @escaping @Sendable () -> Void = {}
    ) {
        self.manager = manager
        self.logger = logger
        self.sight = sight
        self.status = status
        self.upkeep = upkeep
        wake = Monitor.Condition(monitor)
    }

    /// Who did not get on at the last look.
    var blockages: [Watchdog.Blockage] { found.withLock { $0 } }

    func start() {
        thread.withLock { $0 = DedicatedThread.start("watchdog") { self.run() } }
    }

    /// Returns when nothing more is told.
    func stop() {
        monitor.withLock {
            isStopping.store(true, ordering: .relaxed)
            wake.broadcast()
        }
        if let thread = thread.withLock({ $0.take() }) { pthread_join(thread, nil) }
    }

    private func run() {
        var watchdog = Watchdog(limit: manager.watchdogMilliseconds)
        var told: String?
        var nextStatus: Int64 = 0
        var nextLook: Int64 = 0
        while !isStopping.load(ordering: .relaxed) {
            let now = Self.milliseconds()
            if now >= nextLook {
                look(&watchdog, now)
                nextLook = now + watchdog.interval
            }
            if manager.isThere, now >= nextStatus {
                let text = blockages.first.map { "BLOCKED: \($0)" } ?? status()
                if text != told { manager.status(text) }
                told = text
                nextStatus = now + Self.statusInterval
            }
            sleep(until: manager.isThere ? min(nextLook, nextStatus) : nextLook)
        }
    }

    private func look(_ watchdog: inout Watchdog, _ now: Int64) {
        upkeep()
        let sight = sight()
        let blockages = watchdog.look(stages: sight.stages, outputs: sight.outputs, now: now)
        let before = found.withLock { found in
            defer { found = blockages }
            return found
        }
        if blockages.isEmpty {
            if manager.watchdogMilliseconds != nil { manager.feedWatchdog() }
            if !before.isEmpty { logger.notice("what was blocked gets on again") }
            return
        }
        for blockage in blockages where !before.contains(where: { $0.kind == blockage.kind }) {
            logger.error("a part of the agent is blocked", metadata: ["reason": "\(blockage)"])
        }
    }

    private func sleep(until due: Int64) {
        monitor.lock()
        defer { monitor.unlock() }
        while !isStopping.load(ordering: .relaxed), Self.milliseconds() < due {
            wake.wait(until: UInt64(due) * 1_000_000)
        }
    }

    /// Of the monotonic clock, which is the service manager's too.
    private static func milliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
