/// What became of a batch: each event that was taken is in exactly one of these.
package struct BufferedResult<Batch: Sendable, Failure: Error>: Sendable {
    package let partition: Int
    package let batch: Batch
    package let events: Int
    /// Nil: the service has it.
    package let failure: Failure?
}

/// Who is told, for one partition in the order of its events.
package struct BufferedCallbacks<Batch: Sendable, Failure: Error>: Sendable {
    /// Before anything else happens in the partition: no batch behind this one is given to the service until it returns.
    /// Returns at once, and may be called on a connection's thread.
    package var settled: (@Sendable (BufferedResult<Batch, Failure>) -> Void)?
    /// May take its time, on a task of its own: the events count as buffered until it returns.
    package var call: (@Sendable (BufferedResult<Batch, Failure>) -> Void)?
    /// Returns at once, and may be called on a connection's thread; after `call`.
    package var observe: (@Sendable (BufferedResult<Batch, Failure>) -> Void)?

    package init(
        settled: (@Sendable (BufferedResult<Batch, Failure>) -> Void)? = nil,
        call: (@Sendable (BufferedResult<Batch, Failure>) -> Void)? = nil,
        observe: (@Sendable (BufferedResult<Batch, Failure>) -> Void)? = nil
    ) {
        self.settled = settled
        self.call = call
        self.observe = observe
    }
}
