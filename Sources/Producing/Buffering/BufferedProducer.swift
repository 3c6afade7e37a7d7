import Synchronization

/// Buffers events per partition, and sends them in batches in the background: what the producers of all protocols share.
///
/// It chooses no partition and speaks no protocol: the builder makes batches, the service sends them, and the caller says
/// which partition an event belongs to. Every event that was taken gets exactly one result.
package final class BufferedProducer<Builder: BatchBuilder, Service: BufferedService>: Sendable
where Service.Batch == Builder.Batch, Service.Failure == Builder.Failure {
    package typealias Failure = Builder.Failure
    package typealias Runner = PartitionRunner<Builder, Service>

    /// How a flush or a close ended that did not get everything done.
    package struct Incomplete: Error, Sendable {
        /// The caller's task was cancelled; otherwise the deadline came.
        package let isCancelled: Bool
        /// Partitions that have events left, and how many.
        package let left: [(partition: Int, events: Int)]
    }

    private let service: Service
    private let limits: BufferLimits
    private let timer: EngineTimer
    private let slots: SendSlots
    private let callbacks: BufferedCallbacks<Builder.Batch, Failure>
    private let makeRandom: @Sendable () -> any RandomNumberGenerator & Sendable
    private let partitions = Mutex<[Runner]>([])

    /// - Parameters:
    ///   - maximumConcurrentSends: transmissions under way at once, over all partitions.
    ///   - random: makes the generator of each partition's jitter.
    package init(
        service: Service, limits: BufferLimits, maximumConcurrentSends: Int, timer: EngineTimer,
        callbacks: BufferedCallbacks<Builder.Batch, Failure>,
        random: @escaping @Sendable () -> any RandomNumberGenerator & Sendable = { SystemRandomNumberGenerator() }
    ) {
        self.service = service
        self.limits = limits
        self.timer = timer
        slots = SendSlots(maximumConcurrentSends)
        self.callbacks = callbacks
        makeRandom = random
    }

    /// Adds the partition with the next index. Callers that have many events for it keep it.
    @discardableResult
    package func addPartition(_ builder: Builder) -> Runner {
        partitions.withLock { partitions in
            let runner = Runner(
                index: partitions.count, builder: builder, limits: limits, service: service, timer: timer,
                slots: slots, callbacks: callbacks, random: makeRandom())
            partitions.append(runner)
            return runner
        }
    }

    package var partitionCount: Int { partitions.withLock { $0.count } }

    package func partition(_ index: Int) -> Runner { partitions.withLock { $0[index] } }

    private var all: [Runner] { partitions.withLock { $0 } }

    /// Events whose result has not been told.
    package var count: Int { all.reduce(0) { $0 + $1.count } }

    /// Sends what is here without waiting for more, and returns when the results of all events that were taken before
    /// this call have been told.
    package func flush(deadline: ContinuousClock.Instant?) async throws(Incomplete) {
        let runners = all
        let group = FlushGroup(partitions: runners.count)
        for runner in runners { runner.flush(group) }
        if let deadline { timer.schedule(deadline) { group.finish(.timedOut) } }
        let end = await group.wait()
        guard end != .done else { return }
        for runner in runners { runner.cancel(group) }
        let left = runners.map { (partition: $0.index, events: $0.count) }.filter { $0.events > 0 }
        // Done in the last moment is done.
        if left.isEmpty, end == .timedOut { return }
        throw Incomplete(isCancelled: end == .cancelled, left: left)
    }

    /// Takes nothing more; what is here is still sent.
    package func close() {
        for runner in all { runner.close() }
    }

    /// Takes nothing more and gives up: what is not in flight fails with `failure` now, what is in flight when its
    /// transmission fails, or now, with `writingOff`, when that is given.
    package func abandon(_ failure: Failure, writingOff: Failure? = nil) {
        for runner in all { runner.abandon(failure, writingOff: writingOff) }
    }
}
