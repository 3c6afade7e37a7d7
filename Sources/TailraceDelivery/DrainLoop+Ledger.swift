internal import Logging
internal import Producing
internal import TailraceSpool

// What the ledger hears.
extension DrainLoop {
    var floor: UInt64 {
        var floor = min(cursor, laggards.floor ?? .max)
        for partition in hasRecords.indices {
            if let item = engine.oldest(of: partition) {
                floor = min(floor, item.tag.first)
            } else if let span = open.span(partition) {
                floor = min(floor, span.first)
            }
        }
        return floor
    }

    func saveLedger(_ now: ContinuousClock.Instant) {
        let floor = floor
        statistics.floor = floor
        do {
            try ledger.save(floor: floor, now: now)
        } catch {
            statistics.localFailures += 1
            log(now, .error, "cannot write the ledger; acknowledged records stay in the spool", "\(error)")
        }
    }

    /// A record was given up, which has no number: numbers and ids must not drift apart, whatever happens next. So nothing
    /// is sent to the partition before the ledger's disk knows.
    func noteGivenUp(_ partition: Int) {
        engine.hold(partition)
        if heldPartitions.isEmpty { noteAgainAt = parts.clocks.instant() }
        heldPartitions.insert(partition)
    }

    /// Lets partitions go on in which records were given up, once the ledger's disk knows.
    func releaseHeld(_ now: ContinuousClock.Instant) {
        guard !heldPartitions.isEmpty, now >= noteAgainAt else { return }
        if ledger.isBehind { saveLedger(now) }
        guard !ledger.isBehind, ledger.flush(timeoutMilliseconds: Self.noteMilliseconds) else {
            noteAgainAt = parts.clocks.instant().advanced(by: Self.noteInterval)
            return
        }
        for partition in heldPartitions.sorted() { engine.resume(partition, now: now) }
        heldPartitions = []
    }

    /// How long the disk is waited for, which keeps the other partitions waiting too; and how often it is asked again.
    private static var noteMilliseconds: Int { 100 }
    private static var noteInterval: Duration { .milliseconds(50) }

    /// Another producer goes on with our numbers, so that the next run must not believe them.
    func forgetProducer(_ partition: Int) {
        if ledger.forgetProducer(partition) { saveLedger(parts.clocks.instant()) }
    }
}
