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

    /// About how many bytes were passed on and stored, but not delivered yet.
    var backlog: Int { get }
}

extension BatchSink {
    /// Nobody knows.
    package var backlog: Int { 0 }
}
