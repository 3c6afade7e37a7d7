internal import Logging

/// Notices a reader that is silent although the journal has more: stopped, or waiting for what does not come.
struct JournalWatch {
    private let limits: JournalLimits
    private(set) var next = ContinuousClock.now
    /// The end of the journal as it was at the last look, when the reader had not come so far.
    private(set) var missing: JournalCursor?
    /// An end that was not reached by a new reader either: it will not be (a clock that ran backwards in another
    /// machine's journal), and is no reason to start one more.
    private(set) var unreachable: JournalCursor?

    init(_ limits: JournalLimits) { self.limits = limits }

    enum Duty: Equatable { case none, look, restart }

    /// A reader was started: it is looked after soon, since it may not come to begin.
    mutating func start() {
        missing = nil
        next = ContinuousClock.now.advanced(by: min(limits.stuckAfter, limits.checkInterval))
    }

    /// The reader has said something.
    mutating func heard() {
        missing = nil
        next = ContinuousClock.now.advanced(by: limits.checkInterval)
    }

    mutating func duty(at now: ContinuousClock.Instant) -> Duty {
        guard now >= next else { return .none }
        guard let missing else { return .look }
        unreachable = missing
        return .restart
    }

    /// - Parameter cursor: the end of the journal, when the reader has not come so far.
    mutating func looked(_ cursor: JournalCursor?) {
        missing = cursor == unreachable ? nil : cursor
        next = ContinuousClock.now.advanced(by: missing == nil ? limits.checkInterval : limits.stuckAfter)
    }
}

extension JournalEngine {
    /// Looks after a reader that was silent for long.
    func watchOver() -> End? {
        switch watch.duty(at: ContinuousClock.now) {
        case .none: return nil
        case .restart:
            return .failed("journalctl said nothing for \(limits.stuckAfter) although the journal has more")
        case .look:
            checkAccess()
            do throws(JournalQuery.Failure) {
                let last = try ask(arguments.last)
                let cursor = last.flatMap { $0.cursor.withUnsafeBytes { JournalCursor($0) } }
                let isBehind = cursor.map { cursor in !(lastSeen.map { cursor.isUpTo($0) } ?? false) } ?? false
                watch.looked(isBehind ? cursor : nil)
            } catch .stopped {
                return .stopped
            } catch {
                // The reader itself may be well.
                logger.warning("the end of the journal cannot be seen", metadata: ["reason": "\(error)"])
                watch.looked(nil)
            }
            return nil
        }
    }
}
