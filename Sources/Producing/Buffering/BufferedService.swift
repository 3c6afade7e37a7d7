/// How one transmission of a batch ended, with the service's own kind of error.
@usableFromInline
package enum AttemptEnd<Failure: Error>: Sendable {
    /// The service has it, durably.
    case accepted
    case failed(Failure, Prospect)

    /// What may come of the same batch later.
    @usableFromInline
    package enum Prospect: Equatable, Sendable {
        /// The service does not have it. `after` is the wait that the service asked for.
        case retriable(after: Duration? = nil)
        /// The service works and takes less than it is sent: wait, and go on. Does not count as an attempt.
        case throttled(after: Duration)
        /// The service may have it or not; sending it again may store it twice.
        case unknown
        /// No attempt will end otherwise.
        case permanent
    }
}

/// Something that takes batches for numbered partitions, and says in its own words what became of them.
@usableFromInline
package protocol BufferedService: Sendable {
    associatedtype Batch: Sendable
    associatedtype Failure: Error

    /// Sends `batch` to `partition` and returns at once.
    ///
    /// `completion` is called exactly once, on any thread, within the service's own deadline; after that the batch must
    /// not reach the service any more. For one partition, batches must reach the service in the order of these calls.
    func send(_ batch: Batch, partition: Int, completion: @escaping @Sendable (AttemptEnd<Failure>) -> Void)
}
