internal import Logging

/// Where a journal is begun or gone on with, and what is gone from it by then.
extension JournalEngine {
    /// Finds the place to begin at; tries until it is known. False when the input is stopped.
    func begin() -> Bool {
        if let position = stored.flatMap({ JournalPosition($0) }),
            position.entry != nil || position.realtime > 0
                || position.kind == .head
        {
            batches.begin(at: position, isStored: true)
            return true
        }
        if stored != nil {
            logger.error(
                "the stored position of the journal cannot be read; it is begun anew",
                metadata: ["since": "\(configuration.start)"])
            statistics.gaps += 1
        }
        while true {
            do throws(JournalQuery.Failure) {
                batches.begin(at: try firstPosition(), isStored: false)
                return true
            } catch .stopped {
                return false
            } catch {
                failures += 1
                shared.publish(trouble: "\(error)")
                logger.warning("the journal cannot be read yet", metadata: ["reason": "\(error)"])
                pause(backoff)
                if shared.stops { return false }
                checkAccess()
            }
        }
    }

    /// Not journalctl's own `--boot` and `--since`, which hold for all that is read: after a reboot or a change of the
    /// clock they would leave out what comes.
    private func firstPosition() throws(JournalQuery.Failure) -> JournalPosition {
        switch configuration.start {
        case .all: return .head
        case .boot:
            do throws(JournalQuery.Failure) {
                if let first = try ask(arguments.firstOfBoot) {
                    return JournalPosition(kind: .at, realtime: first.realtime, cursor: first.cursor)
                }
            } catch .stopped {
                throw .stopped
            } catch {
                // A journal without an entry of this boot is an error to journalctl, and so is a sandbox that hides the boot's
                // id: then everything that was there before is passed over, and somebody should know.
                logger.notice(
                    "journalctl does not tell where this boot begins; the journal is read from now on",
                    metadata: ["reason": "\(error)"])
            }
        case .now: break
        }
        guard let last = try ask(arguments.lastOfAll) else { return .head }
        return JournalPosition(kind: .after, realtime: last.realtime, cursor: last.cursor)
    }

    func ask(_ arguments: [String]) throws(JournalQuery.Failure) -> JournalQuery.Answer? {
        try JournalQuery.first(configuration.program, arguments, timeout: limits.queryTimeout) { shared.stops }
    }

    /// With filters, numbers tell of missing entries only where reading begins: here the filters can be left out.
    func countGapOfFiltered(_ position: JournalPosition) {
        guard configuration.isFiltered, position.kind == .after, let known = position.entry,
            let answer = try? ask(arguments.first(from: position)),
            let found = answer.cursor.withUnsafeBytes({ JournalCursor($0) }), !found.isSameEntry(as: known)
        else { return }
        let isSame = found.sequenceID == known.sequenceID && found.sequence > known.sequence
        let count = isSame ? found.sequence - known.sequence - 1 : 0
        guard !isSame || count > 0 else { return }
        statistics.gaps += 1
        statistics.missedAtMost &+= count
        tellGap(isSame ? "at most \(count)" : "unknown: the journal is another one")
        batches.begin(
            at: JournalPosition(kind: .at, realtime: answer.realtime, cursor: answer.cursor), isStored: false)
    }

    func tellGap(_ count: String) {
        logger.error(
            "entries are gone from the journal before they were read; give it more room (SystemMaxUse=), or the outputs",
            metadata: ["missing": "\(count)"])
    }
}
