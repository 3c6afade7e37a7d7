internal import NIOCore

/// How an `EventHubBufferedProducerClient` gathers events and sends them.
public struct BufferingOptions: Sendable {
    /// Events per partition that may be in the buffer, from their enqueueing until their result has been told; 1500 by
    /// default. When it is reached, what is there is sent at once, and whoever enqueues waits for room.
    public var maximumBufferLength = 1500
    /// The same limit in bytes of encoded events; 16 MiB by default. At least one batch is always allowed.
    public var maximumBufferSizeInBytes = 16 << 20
    /// The longest time that an event waits for others before it is sent, unless its partition is busy; one second by
    /// default. Nil: only full batches, large ones and flushes are sent.
    ///
    /// A batch of 64 KiB or more does not wait: it goes as soon as nothing of its partition is under way.
    public var maximumWaitTime: Duration? = .seconds(1)
    /// Batches under way at once, over all partitions; 32 by default.
    public var maximumConcurrentSends = 32
    /// Batches under way at once per partition; 1 by default, which keeps the order of events whatever happens. With more,
    /// a batch that is tried again may be stored behind a later one, unless `isIdempotent`.
    public var maximumConcurrentSendsPerPartition = 1
    /// How partition keys are hashed; `service` by default, as the service itself and all official clients but Python's do.
    public var partitioner = PartitionKeyHash.service
    /// Numbers the events, so that the service stores none of them twice when a send is tried again; false by default. The
    /// namespace must offer it: otherwise events fail with `notSupported`.
    public var isIdempotent = false
    /// Events in results that nobody has read from `results`; 20,000 by default. Beyond them the oldest results go.
    public var resultBufferLength = 20_000
    /// How long the list of partitions is believed while batches are sent; tests cannot wait for it.
    package var partitionRefreshInterval = Duration.seconds(10)
    /// Called for each batch that the service has, with its events.
    ///
    /// Callbacks of one partition come one after the other, in the order of its events, on a task of their own and never
    /// under a lock: they may call `tryEnqueue`. Their events count as buffered until they return.
    public var onSuccess: (@Sendable (BufferedSendResult) -> Void)?
    /// Called for each batch that the service did not take, or may not have taken, with the error. As `onSuccess`.
    public var onFailure: (@Sendable (BufferedSendResult) -> Void)?

    public init() {}

    func check() throws(EventHubsError) {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(EventHubsError) {
            guard !range.contains(value) else { return }
            throw EventHubsError(
                .invalidArgument, "\(name) is \(value); give \(range.lowerBound) to \(range.upperBound)")
        }
        try check("maximumBufferLength", maximumBufferLength, 1...1_000_000)
        try check("maximumBufferSizeInBytes", maximumBufferSizeInBytes, 1...(1 << 40))
        try check("maximumConcurrentSends", maximumConcurrentSends, 1...10_000)
        try check("maximumConcurrentSendsPerPartition", maximumConcurrentSendsPerPartition, 1...100)
        try check("resultBufferLength", resultBufferLength, 1...10_000_000)
        if let maximumWaitTime, maximumWaitTime < .zero {
            throw EventHubsError(.invalidArgument, "maximumWaitTime is \(maximumWaitTime); give zero or more, or nil")
        }
    }
}

/// What became of a batch of events that had been enqueued. Each of them is in exactly one result.
public struct BufferedSendResult: Sendable {
    /// As they were enqueued.
    public let events: [EventData]
    /// Where they went, or should have gone.
    public let partitionID: String
    /// Nil: the service has them. Otherwise the error of the last attempt; when its `isOutcomeUnknown` is true, the
    /// service may have them all the same.
    public let error: EventHubsError?
}
