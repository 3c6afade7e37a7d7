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

    /// A record was given up, which has no number: numbers and ids must not drift apart, whatever happens next. Should
    /// the disk refuse, a crash now would make duplicates.
    func noteGivenUp(_ now: ContinuousClock.Instant) {
        saveLedger(now)
        if !ledger.isBehind { ledger.flush(timeoutMilliseconds: 5000) }
    }

    /// Another producer goes on with our numbers, so that the next run must not believe them.
    func forgetProducer(_ partition: Int) {
        if ledger.forgetProducer(partition) { saveLedger(parts.clocks.instant()) }
    }
}
