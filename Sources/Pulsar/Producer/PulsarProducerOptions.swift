/// Who else may produce to a topic.
public enum PulsarAccessMode: Sendable, Hashable, CaseIterable {
    /// Anyone.
    case shared
    /// Nobody else; opening fails with `producerBusy` or `producerFenced` where there is another producer.
    case exclusive
    /// Nobody else; opening waits until the others are gone, without limit.
    case waitForExclusive
    /// Nobody else; the others are thrown out, and fail with `producerFenced`.
    case exclusiveWithFencing
}

/// Where messages without a key go, and whether keys count at all.
public enum PulsarRouting: Sendable {
    /// Keys by their hash; all others to one partition, which is chosen at random when the producer is made.
    case singlePartition
    /// Keys by their hash; the others to all partitions in turns: with batching, a batch each.
    case roundRobin
    /// What the function says: an index from 0 up to the number of partitions, which is the second argument. Called on the
    /// caller's thread, for each message.
    case custom(@Sendable (PulsarMessage, Int) -> Int)
}

/// Everything about a producer that can be chosen. The defaults are those of the official Python client where that has one.
public struct PulsarProducerOptions: Sendable {
    /// What goes into one batch.
    public enum BatchingType: Sendable, Hashable {
        /// Messages in the order in which they come.
        case standard
        /// Messages of one key each, for Key_Shared subscriptions: the ordering key if there is one, else the partition
        /// key. Batches of several keys grow side by side and go together, so the ids within one have gaps and those of the
        /// next begin lower: a broker that deduplicates would take messages for repetitions. Don't use it there.
        case keyBased
    }

    /// How long opening goes on when a broker refuses for a reason that may pass, such as another connection that still
    /// counts as this producer's own after a crash.
    public enum OpeningPatience: Sendable, Hashable {
        /// As long as the client's operation timeout.
        case operationTimeout
        /// For ever, also where credentials or rights are refused.
        case unlimited
    }

    /// Unique among the connected producers of the topic; nil or empty: the broker chooses. With deduplication this is who
    /// the broker remembers ids of: choose one, and the same one after a restart.
    public var name: String?
    /// The first id is one above this; nil: one above what the broker has stored under the name, or 0. The broker's word
    /// counts for nothing when this is set.
    public var initialSequenceID: UInt64?
    /// For the broker's answer, from the moment when a message's batch is complete; zero: for ever, as deduplication needs.
    public var sendTimeout: Duration = .seconds(30)
    /// Of payloads; of whole batches with batching.
    public var compression: PulsarCompression = .none
    /// Nil: payloads are bytes of which brokers know nothing.
    public var schema: PulsarSchema?
    /// Nil: payloads are not encrypted.
    public var encryption: PulsarEncryption?
    /// Messages of one partition without a result; zero: no limit.
    public var maximumPendingMessages = 1000
    /// Messages of all partitions without a result: each partition has its share; zero: no limit.
    public var maximumPendingMessagesAcrossPartitions = 50_000
    /// Bytes of one partition's messages without a result. One message may go beyond.
    public var maximumPendingBytes = 64 << 20
    /// Bytes of one partition's batches on their way to the broker without its answer; one batch may go beyond. What is
    /// above it waits here: on its way it would only fill queues, beyond what the caches of a broker hold. On a long way
    /// this is what bounds the rate: 4 MiB for 100 ms of answers are 40 MB a second.
    public var maximumBytesInFlight = 4 << 20
    /// Whether `send` waits for room; otherwise it fails with `queueFull` or `memoryFull`.
    public var blocksIfQueueFull = false
    /// Whether several messages make one batch. `send` then takes up to `batchingMaximumDelay` longer.
    public var isBatchingEnabled = false
    /// Messages in one batch; at least 2.
    public var batchingMaximumMessages = 1000
    /// Bytes of payloads in one batch. A larger message goes alone.
    public var batchingMaximumBytes = 131_072
    /// The first message of a batch waits this long at most.
    public var batchingMaximumDelay: Duration = .milliseconds(10)
    public var batchingType: BatchingType = .standard
    /// Whether a payload that is larger than the broker takes is sent in parts; not together with batching.
    public var isChunkingEnabled = false
    public var routing: PulsarRouting = .roundRobin
    /// How keys become partitions. All producers of a topic must have the same.
    public var hashing: PulsarHashing = .boost
    /// Whether partitions are opened only when the first message comes to them; with `PulsarAccessMode.shared` only.
    public var startsPartitionsLazily = false
    /// What brokers list beside the producer.
    public var properties: [String: String] = [:]
    public var accessMode: PulsarAccessMode = .shared
    public var openingPatience: OpeningPatience = .operationTimeout
    /// How often the number of partitions is asked for.
    public var partitionUpdateInterval: Duration = .seconds(60)

    public init() {}

    /// - Throws: `PulsarError` with code `invalidConfiguration`.
    func check() throws(PulsarError) {
        func refuse(_ text: String) throws(PulsarError) { throw PulsarError(.invalidConfiguration, text) }
        if maximumPendingMessages < 0 {
            try refuse("maximumPendingMessages is \(maximumPendingMessages): it must be 1 or more, or 0 for no limit")
        }
        if maximumPendingMessagesAcrossPartitions < 0 {
            try refuse(
                "maximumPendingMessagesAcrossPartitions is \(maximumPendingMessagesAcrossPartitions): it must be 1 or more,"
                    + " or 0 for no limit")
        }
        if maximumPendingBytes < 1 {
            try refuse("maximumPendingBytes is \(maximumPendingBytes): it must be 1 or more")
        }
        if maximumBytesInFlight < 1 {
            try refuse("maximumBytesInFlight is \(maximumBytesInFlight): it must be 1 or more")
        }
        if batchingMaximumMessages < 2 {
            try refuse(
                "batchingMaximumMessages is \(batchingMaximumMessages): it must be 2 or more; to send each message alone,"
                    + " leave isBatchingEnabled false")
        }
        if batchingMaximumBytes < 1 {
            try refuse("batchingMaximumBytes is \(batchingMaximumBytes): it must be 1 or more")
        }
        if isBatchingEnabled, isChunkingEnabled {
            try refuse("batching and chunking exclude each other: choose one")
        }
        if startsPartitionsLazily, accessMode != .shared {
            try refuse(
                "startsPartitionsLazily is for the access mode shared: the others hold every partition from the start")
        }
        if let complaint = schema?.complaint { try refuse("schema: \(complaint)") }
        if let complaint = encryption?.complaint { try refuse("encryption: \(complaint)") }
        if let initialSequenceID, initialSequenceID >= UInt64(Int64.max) {
            try refuse("initialSequenceID is \(initialSequenceID): it must be below \(Int64.max)")
        }
        let times = [
            ("sendTimeout", sendTimeout, true), ("batchingMaximumDelay", batchingMaximumDelay, true),
            ("partitionUpdateInterval", partitionUpdateInterval, false),
        ]
        for (name, time, mayBeZero) in times where time < .zero || time == .zero && !mayBeZero {
            try refuse("\(name) is \(time): it must be \(mayBeZero ? "zero or more" : "more than zero")")
        }
    }

    /// Messages of one of `partitions` without a result.
    func pendingLimit(partitions: Int) -> Int {
        var limit = maximumPendingMessages == 0 ? Int.max : maximumPendingMessages
        if maximumPendingMessagesAcrossPartitions > 0 {
            limit = min(limit, maximumPendingMessagesAcrossPartitions / max(partitions, 1))
        }
        return max(limit, 1)
    }
}
