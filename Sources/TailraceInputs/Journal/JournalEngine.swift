import Glibc
internal import Logging

/// The journal input's thread: starts journalctl, takes its entries, and starts it again from the last one when it ends.
final class JournalEngine {
    let configuration: JournalConfiguration
    let limits: JournalLimits
    let arguments: JournalArguments
    let shared: JournalShared
    let logger: Logger
    let stored: [UInt8]?
    /// This run of the agent in the journal, when systemd started it.
    private let invocation: [UInt8]

    var batches: JournalBatches
    var statistics = JournalStatistics()
    private var parser = JournalExportParser()
    private let entry: JournalEntry
    private var record: JournalRecord
    private var complaints: JournalComplaints
    private let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 4096)

    private var sequence = JournalSequence()
    /// Entries up to this one have been read; nil once another one came.
    private var resumed: JournalCursor?
    private var hasSeenResumed = false
    var lastSeen: JournalCursor?
    /// Failures in a row without a new entry.
    var failures = 0
    /// The entry in whose middle the reader ended last, and how many times in a row.
    private var partial: (cursor: [UInt8], count: Int) = ([], 0)
    var watch: JournalWatch

    init(
        _ configuration: JournalConfiguration, limits: JournalLimits, stored: [UInt8]?, batches: JournalBatches,
        shared: JournalShared, logger: Logger
    ) {
        self.configuration = configuration
        self.limits = limits
        self.stored = stored
        self.batches = batches
        self.shared = shared
        var logger = logger
        logger[metadataKey: "input"] = "\(configuration.name)"
        self.logger = logger
        arguments = JournalArguments(configuration, machine: JournalAccess.machineID())
        entry = JournalEntry(maximumMessage: configuration.maximumLine)
        record = JournalRecord(configuration.fields)
        complaints = JournalComplaints(logger)
        watch = JournalWatch(limits)
        invocation = getenv("INVOCATION_ID").map { Array(String(cString: $0).utf8) } ?? []
    }

    deinit { chunk.deallocate() }

    /// Why following a reader has come to an end.
    enum End: Equatable {
        /// The input was stopped, or the sink is closed.
        case stopped
        case failed(String)
    }

    func run() {
        checkAccess()
        guard begin() else { return }
        while !shared.stops {
            let before = statistics.entries
            let end = followOnce()
            guard case .failed(let reason) = end else { break }
            failures = statistics.entries > before ? 1 : failures + 1
            statistics.restarts += 1
            passOnPartialEntry()
            guard batches.flush() else { break }
            let complaint = complaints.finish()
            let text = complaint.map { "\(reason): \($0)" } ?? reason
            shared.publish(trouble: failures > 1 ? text : nil)
            publish()
            logger.warning("journalctl is started again from the last entry", metadata: ["reason": "\(text)"])
            checkAccess()
            pause(backoff)
        }
        _ = batches.flush()
        publish()
    }

    var backoff: Duration {
        var wait = limits.minimumBackoff
        for _ in 1..<max(2, failures) where wait < limits.maximumBackoff { wait *= 2 }
        return min(wait, limits.maximumBackoff)
    }

    /// Waits, but not longer than until a stop.
    func pause(_ duration: Duration) {
        let deadline = ContinuousClock.now.advanced(by: duration)
        while !shared.stops, ContinuousClock.now < deadline {
            var polled = pollfd(fd: shared.wake.descriptor, events: Int16(POLLIN), revents: 0)
            shared.mark.rest()
            poll(&polled, 1, Self.milliseconds(until: deadline))
            shared.mark.work()
        }
    }

    static func milliseconds(until deadline: ContinuousClock.Instant) -> Int32 {
        let left = ContinuousClock.now.duration(to: deadline)
        guard left > .zero else { return 0 }
        let (seconds, attoseconds) = left.components
        return Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
    }

    func publish() {
        statistics.junkLines = parser.junkLines
        shared.publish(statistics)
    }

    func checkAccess() {
        switch JournalAccess.check(configuration) {
        case .granted: shared.publish(accessTrouble: nil)
        case .troubled(let text):
            if shared.state.accessTrouble != text { logger.warning("the journal cannot be read in whole: \(text)") }
            shared.publish(accessTrouble: text)
        }
    }

    // MARK: Following

    private func followOnce() -> End {
        parser = JournalExportParser()
        entry.reset()
        if let position = batches.position { countGapOfFiltered(position) }
        let position = batches.position ?? .head
        // By time when the cursor means nothing to us, or nothing to journald again and again.
        let byTime =
            position.kind != .head && position.realtime > 0
            && (position.entry == nil || failures > 0 && failures % limits.failuresBeforeTime == 0)
        resumed = position.kind == .after ? position.entry : nil
        hasSeenResumed = false
        if let resumed {
            lastSeen = resumed
            _ = sequence.note(resumed)
        }
        if byTime {
            logger.warning("the cursor is of no use; the journal is read on by time")
            if position.entry == nil { statistics.gaps += 1 }
        }
        let child: JournalChild
        do throws(JournalChild.Failure) {
            child = try JournalChild(configuration.program, arguments.follow(from: position, byTime: byTime))
        } catch {
            return .failed(error.description)
        }
        statistics.process = child.process
        watch.start()
        publish()
        let end = follow(child)
        if end == .stopped { child.end() }
        complaints.read(from: child)
        statistics.process = 0
        return end
    }

    private func follow(_ child: JournalChild) -> End {
        while true {
            if shared.stops { return .stopped }
            // A place without records is stored at once: what comes after it must not be lost to a kill.
            if batches.isEmpty, batches.needsFlush {
                guard batches.flush() else { return .stopped }
            }
            var polled = [child.output, child.errors, shared.wake.descriptor].map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            let gathered = batches.started?.advanced(by: max(limits.gatherInterval, batches.gathering))
            shared.mark.rest()
            let count = poll(&polled, 3, Self.milliseconds(until: gathered ?? watch.next))
            shared.mark.work()
            if count > 0, polled[1].revents & Int16(POLLIN) != 0 { complaints.read(from: child) }
            if count > 0, polled[0].revents != 0 {
                if let end = readOnce(child) { return end }
                publish()
            }
            if let gathered, ContinuousClock.now >= gathered || count == 0 {
                guard batches.flush() else { return .stopped }
                publish()
            }
            if let end = watchOver() { return end }
        }
    }

    private func readOnce(_ child: JournalChild) -> End? {
        let count = read(child.output, chunk.baseAddress, chunk.count)
        if count < 0, errno == EAGAIN || errno == EINTR { return nil }
        guard count > 0 else { return .failed("journalctl \(child.ending())") }
        watch.heard()
        statistics.bytes &+= UInt64(count)
        var rest = UnsafeRawBufferPointer(rebasing: chunk[..<count])
        while true {
            let progress = parser.parse(rest, into: entry)
            switch progress {
            case .needsMore: return nil
            case .broken(let text): return .failed("journalctl wrote \(text)")
            case .complete(let consumed), .incomplete(let consumed):
                var isWhole = false
                if case .complete = progress { isWhole = true }
                guard take(isWhole: isWhole) else { return .stopped }
                entry.reset()
                rest = UnsafeRawBufferPointer(rebasing: rest[consumed...])
            }
        }
    }

    /// The entry in whose middle readers end again and again is passed on as far as it can be read.
    private func passOnPartialEntry() {
        guard let cursor = entry.value(.cursor), !cursor.isEmpty else { return }
        let isSame = partial.cursor.elementsEqual(cursor)
        partial = isSame ? (partial.cursor, partial.count + 1) : (Array(cursor), 1)
        guard partial.count >= limits.failuresInEntry else { return }
        partial = ([], 0)
        _ = take(isWhole: false)
    }

    // MARK: Entries

    /// Passes the entry on. False when the sink is closed or the input stopped.
    private func take(isWhole: Bool) -> Bool {
        guard !entry.isEmpty else { return true }
        let text = entry.value(.cursor)
        let cursor = text.flatMap { JournalCursor($0) }
        if let cursor, !isNew(cursor) { return true }
        let realtime = entry.value(.realtime).flatMap { DecimalDigits.number($0) } ?? cursor?.realtime ?? 0
        defer { if let text { batches.move(to: text, realtime: realtime) } }
        if let cursor {
            defer { lastSeen = cursor }
            if let lastSeen, cursor.isRepetition(of: lastSeen) {
                statistics.repeated &+= 1
                return true
            }
        }
        if isOwn {
            statistics.own &+= 1
            return true
        }
        if let lost = JournalNotice.lostMessages(entry) { statistics.suppressed &+= lost }
        if !isWhole { statistics.incomplete &+= 1 }
        record.encode(entry, sequence: cursor?.sequence, isWhole: isWhole)
        let outcome = batches.add(
            body: entry.body, isCut: entry.messageLength > entry.body.count, attributes: record.attributes,
            hostname: entry.value(.host), wait: { held() })
        if shared.state.isHeld { shared.publish(isHeld: false) }
        guard outcome == .added else { return false }
        statistics.entries &+= 1
        statistics.lastRealtime = realtime
        if failures > 0 {
            failures = 0
            shared.publish(trouble: nil)
            checkAccess()
        }
        return true
    }

    private func held() -> Bool {
        shared.publish(isHeld: true)
        publish()
        return !shared.stops
    }

    /// False for an entry that has been read before the reader was started; notes what is missing before a new one.
    private func isNew(_ cursor: JournalCursor) -> Bool {
        if let resumed {
            if cursor.isUpTo(resumed) {
                hasSeenResumed = true
                return false
            }
            self.resumed = nil
            if !hasSeenResumed, !configuration.isFiltered, cursor.sequenceID != resumed.sequenceID {
                statistics.gaps += 1
                tellGap("unknown: the journal is another one")
            }
        }
        guard !configuration.isFiltered else { return true }
        let missing = sequence.note(cursor)
        if missing > 0 {
            statistics.gaps += 1
            statistics.missed &+= missing
            tellGap("\(missing)")
        }
        return true
    }

    private var isOwn: Bool {
        guard !invocation.isEmpty, let value = entry.value(.invocation) else { return false }
        return value.elementsEqual(invocation)
    }
}
