/// How one transmission of a batch ended. The reason is for people: it names the place, and no secrets.
package enum SendOutcome: Equatable, Sendable {
    /// The service has it, durably.
    case accepted
    /// The service (or the way to it) refused for now: throttled, busy, moved, not reachable, not authorised any more.
    /// `after` is the wait that the service asked for.
    case retry(reason: String, after: Duration? = nil)
    /// The service works and takes less than it is sent: wait at least this long. No reason for longer and longer
    /// waits, nor ever for giving up.
    case throttled(reason: String, after: Duration)
    /// The service will never take these bytes (too large, malformed). Only for what is wrong with *this* batch:
    /// anything that would befall every batch, such as a missing hub, is `retry`.
    case rejected(reason: String)
    /// The connection went, or the deadline passed, before the service told: it may have the batch or not. The batch
    /// is sent again, which is where duplicates come from with a service that does not de-duplicate.
    case unknown(reason: String)
}

/// How a batch left its lane.
package enum Settlement: Equatable, Sendable {
    case acknowledged
    case rejected(reason: String)
}

/// Something that takes batches for numbered partitions: a connection to a hub or a broker, or a test.
package protocol Service: Sendable {
    associatedtype Batch: Sendable

    /// Sends `batch` to `partition` and returns at once.
    ///
    /// `completion` is called exactly once, on any thread, within the service's own deadline: a batch whose fate is
    /// not known by then is `unknown`, and must not reach the service later. For one partition, batches must reach the
    /// service in the order of these calls.
    func send(_ batch: Batch, partition: Int, completion: @escaping @Sendable (SendOutcome) -> Void)
}
