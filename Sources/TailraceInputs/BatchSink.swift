package import TailraceSpool

/// Where an input's batches go: the agent puts the spool behind it, tests put a fake.
///
/// An input calls it from its own thread. Both calls may wait; closing the sink ends every wait, so closing it is part
/// of stopping an input that is held back by a full spool.
package protocol BatchSink: AnyObject, Sendable {
    /// An empty batch to fill, or nil when none became free within `timeoutMilliseconds` (or the sink is closed): the
    /// input looks after its other duties and asks again.
    func take(timeoutMilliseconds: Int) -> RecordBatch?

    /// Passes a batch on. It may hold no records and only a position. Waits while the spool is full; ownership passes
    /// in every case. False when the sink is closed: the batch is lost with its position, the input ends.
    func append(_ batch: RecordBatch) -> Bool

    /// What is ahead of a batch that is passed on now.
    var prospect: SinkProspect { get }
}

/// What an input knows of what comes after it, to be in no greater hurry than that.
package struct SinkProspect: Equatable, Sendable {
    /// About how many bytes were passed on and stored, but not delivered yet.
    package var backlog: Int
    /// How long what is passed on may wait until the disk is told to keep it; before that it is not delivered.
    package var syncInterval: Duration

    package init(backlog: Int = 0, syncInterval: Duration = .zero) {
        self.backlog = backlog
        self.syncInterval = syncInterval
    }

    /// Renames and new files are seen as late as lines.
    static let longestGathering = Duration.milliseconds(200)

    /// How long what comes by and by, and can be read again, may gather before it is passed on: half of the interval, so that
    /// with the sync after the second half it is durable within all of it. Sooner it would only make more writes of it.
    var gathering: Duration { min(syncInterval / 2, Self.longestGathering) }
}
