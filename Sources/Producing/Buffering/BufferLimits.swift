/// What one partition's buffer holds, and when its open batch goes.
package struct BufferLimits: Sendable {
    /// Events from their enqueueing until their result has been told.
    package var maximumEvents: Int
    /// Bytes of their batches. One batch is always allowed.
    package var maximumBytes: Int
    /// The oldest event of an open batch waits this long at most before the batch is sealed; nil: for ever.
    package var maximumWait: Duration?
    /// A batch of this size is worth a transfer of its own: it goes as soon as nothing is in its way.
    package var eagerSize: Int
    /// Batches in flight; more than one only as `Lane` describes.
    package var window: Int
    package var retry: RetryPolicy
    /// Attempts after the first, without those that the service throttled; nil: no limit.
    package var maximumRetries: Int?

    package init(
        maximumEvents: Int = 1500, maximumBytes: Int = 16 << 20, maximumWait: Duration? = .seconds(1),
        eagerSize: Int = 64 << 10, window: Int = 1, retry: RetryPolicy = RetryPolicy(), maximumRetries: Int? = nil
    ) {
        precondition(maximumEvents > 0 && maximumBytes > 0 && window > 0)
        self.maximumEvents = maximumEvents
        self.maximumBytes = maximumBytes
        self.maximumWait = maximumWait
        self.eagerSize = eagerSize
        self.window = window
        self.retry = retry
        self.maximumRetries = maximumRetries
    }
}
