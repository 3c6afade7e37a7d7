/// Chooses the partition of each message: by its key when it has one, otherwise as its mode says.
///
/// The ordering key never routes, as in the C++ client.
package struct MessageRouter<Message>: Sendable {
    package enum Mode: Sendable {
        /// All messages without a key go to one partition, which is chosen at random when the router is made.
        case single
        /// The next partition for each message without a key, from a random one on.
        case roundRobin
        /// Stays on a partition while its batch fills, so that batches do not become partitions times smaller.
        case roundRobinByBatch(BatchSpan)
        /// A partition index from a message and the number of partitions; the key counts for nothing.
        case custom(@Sendable (Message, Int) -> Int)
    }

    /// What one batch holds at most: with the message that reaches one of these the next partition begins.
    package struct BatchSpan: Sendable {
        package var messages: Int
        /// Of payload.
        package var bytes: Int
        package var time: Duration

        package init(messages: Int, bytes: Int, time: Duration) {
            self.messages = messages
            self.bytes = bytes
            self.time = time
        }
    }

    package let hashing: PulsarHashing
    /// More than at first when the topic has grown; keys then land elsewhere.
    package var partitions: Int { didSet { precondition(partitions > 0) } }
    private let mode: Mode
    /// The partition of the last message without a key.
    private var cursor: Int
    /// What has gone to it since it is its turn.
    private var messages = 0
    private var bytes = 0
    private var begin: ContinuousClock.Instant?

    package init(
        _ mode: Mode, hashing: PulsarHashing, partitions: Int, using random: inout some RandomNumberGenerator
    ) {
        precondition(partitions > 0)
        self.mode = mode
        self.hashing = hashing
        self.partitions = partitions
        cursor = .random(in: 0..<partitions, using: &random)
    }

    package init(_ mode: Mode, hashing: PulsarHashing, partitions: Int) {
        var random = SystemRandomNumberGenerator()
        self.init(mode, hashing: hashing, partitions: partitions, using: &random)
    }

    /// - Parameters:
    ///   - key: the partition key; an empty one is none.
    ///   - size: bytes of payload.
    /// - Throws: `invalidMessage` when the custom function names a partition that is not there.
    package mutating func partition(
        of message: Message, key: String?, size: Int, now: ContinuousClock.Instant
    ) throws(PulsarError) -> Int {
        if case .custom(let choose) = mode {
            let index = choose(message, partitions)
            guard (0..<partitions).contains(index) else {
                throw PulsarError(
                    .invalidMessage,
                    "the routing function chose partition \(index) of a topic that has \(partitions): it must return 0 to \(partitions - 1)"
                )
            }
            return index
        }
        if let key, !key.isEmpty { return hashing.partition(of: key, count: partitions) }
        return next(size, now)
    }

    private mutating func next(_ size: Int, _ now: ContinuousClock.Instant) -> Int {
        switch mode {
        case .single, .custom: break
        case .roundRobin: cursor = (cursor + 1) % partitions
        case .roundRobinByBatch(let span):
            let begin = begin ?? now
            if messages >= span.messages || size >= span.bytes - bytes || now - begin >= span.time, messages > 0 {
                cursor = (cursor + 1) % partitions
                messages = 0
                bytes = 0
            }
            if messages == 0 { self.begin = now }
            messages += 1
            bytes += size
        }
        return cursor
    }
}
