internal import TailraceSpool

/// The ledger as a drain keeps it: what was acknowledged, which numbers the service gave, what it has from the last run,
/// and when the file hears of it.
struct DrainLedger {
    /// The service numbers records: the ledger keeps count.
    let isNumbered: Bool
    private let numbering: ServiceNumbering
    private let ledger: Ledger
    /// Acknowledgements are gathered this long.
    private let interval: Duration
    /// After a write that failed.
    private let retryInterval: Duration
    private(set) var state: LedgerState
    private var resumption: Resumption
    /// The file may not know everything.
    private(set) var isBehind = false
    /// It does not, whatever the floor is: at the start, the partitions among which keys were divided just now.
    private var hasNews = true
    /// When it is to be told, if there is something else to do; and when for its own sake.
    private(set) var due: ContinuousClock.Instant
    var overdue: ContinuousClock.Instant { due.advanced(by: interval) }

    init<D: Destination>(_ parts: DrainParts<D>, now: ContinuousClock.Instant) {
        isNumbered = parts.destination.positions != nil
        numbering = parts.destination.numbering
        ledger = parts.ledger
        interval = parts.configuration.ledgerInterval
        retryInterval = parts.configuration.readRetryInterval
        state = parts.state
        resumption = parts.resumption
        due = now
    }

    /// The next id wanted of a partition.
    func acknowledged(_ partition: Int) -> UInt64 { state.partitions[partition].acknowledged }

    /// The floor may have moved: if so, the file is told when it is due.
    mutating func touch() { isBehind = true }

    private mutating func noteNews() {
        hasNews = true
        isBehind = true
    }

    /// - Parameter records: how many of those before `end` the service has numbered now.
    mutating func acknowledge(_ partition: Int, before end: UInt64, numbered records: Int) {
        state.partitions[partition].acknowledged = end
        if isNumbered {
            let number = state.partitions[partition].serviceNumber
            state.partitions[partition].serviceNumber = numbering.advanced(number, by: records)
        }
        noteNews()
    }

    /// Another producer goes on with our numbers, so that the next run must not believe them. False when there was none.
    mutating func forgetProducer(_ partition: Int) -> Bool {
        guard state.partitions[partition].producer != nil else { return false }
        state.partitions[partition].producer = nil
        state.partitions[partition].serviceNumber = ServiceNumbering.none
        noteNews()
        return true
    }

    // MARK: What the service has from the last run

    var isSkipping: Bool { !resumption.isOver }
    /// Ids from here on are not skipped.
    var skippingEnd: UInt64 { resumption.end }

    /// How many of `count` records from the id `first` on the service has; they count as acknowledged.
    mutating func skip(_ partition: Int, first: UInt64, count: Int) -> Int {
        let skipped = resumption.take(partition, first: first, count: count)
        if skipped > 0 { acknowledge(partition, before: first + UInt64(skipped), numbered: skipped) }
        return skipped
    }

    /// Ends the skipping, and says what is left of it.
    mutating func stopSkipping() -> [(partition: Int, records: Int)] {
        noteNews()
        return resumption.stop().map { partition, number, left in
            state.partitions[partition].serviceNumber = number
            return (partition, left)
        }
    }

    // MARK: The file

    /// Tells the file that every id below `floor` is acknowledged, and what else is known; if it does not know all that.
    mutating func save(floor: UInt64, now: ContinuousClock.Instant) throws {
        if hasNews || floor != state.floor {
            state.floor = floor
            noteNews()
            due = now.advanced(by: retryInterval)
            try ledger.update(state)
            hasNews = false
        }
        isBehind = false
        due = now.advanced(by: interval)
    }

    /// Waits until the disk has what the file was told.
    @discardableResult
    func flush(timeoutMilliseconds: Int) -> Bool { ledger.flush(timeoutMilliseconds: timeoutMilliseconds) }
}
