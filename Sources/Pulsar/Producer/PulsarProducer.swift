internal import Logging
internal import NIOCore
import Synchronization

/// Publishes messages to a topic, or to all partitions of it.
///
/// ```swift
/// let producer = try await client.makeProducer(topic: "persistent://public/default/logs")
/// let id = try await producer.send(PulsarMessage("hello"))
/// try await producer.close()
/// ```
///
/// Every message that was taken gets exactly one result. Messages of one partition are stored in the order in which they
/// were taken; when a connection is lost, all that the broker has not acknowledged goes again, with the same ids, over the
/// next one. A topic's partitions are counted anew every `PulsarProducerOptions.partitionUpdateInterval`, and those that were
/// added are used from then on, so keys may move.
public final class PulsarProducer: Sendable {
    /// Told once what became of a message: where it is stored, or why it is not. Called on a task of its own, for one
    /// partition one after the other: what it does delays neither the connection nor other partitions.
    public typealias Completion = @Sendable (Result<PulsarMessageID, PulsarError>) -> Void

    let core: ProducerCore

    init(_ core: ProducerCore) { self.core = core }

    /// Dropped without `close`: what has no result fails, and the broker is told.
    deinit { core.drop() }

    // MARK: Questions

    /// The topic's full name; that of a partitioned topic has no number.
    public var topic: String { core.topic.description }

    /// The name that was chosen, or the broker's choice. With partitions each has a name of its own when the broker chooses:
    /// this is that of the first one.
    public var producerName: String { core.producerName }

    /// Partitions of the topic, as far as this producer knows; 0: the topic is not partitioned.
    public var partitionCount: Int { core.isPartitioned ? core.partitions.count : 0 }

    /// The highest sequence id that was acknowledged in any partition; before that the one that the broker had stored under
    /// this name, or `PulsarProducerOptions.initialSequenceID`; -1: none.
    ///
    /// Each partition counts for itself, so of a partitioned topic this is no point to resume from: see
    /// `lastSequenceID(partition:)`.
    public var lastSequenceID: Int64 { core.partitions.map(\.topic.lastSequenceID).max() ?? -1 }

    /// As `lastSequenceID`, of one partition; -1 when there is no such partition or it was not started yet.
    public func lastSequenceID(partition: Int) -> Int64 {
        let partitions = core.partitions
        return partitions.indices.contains(partition) ? partitions[partition].topic.lastSequenceID : -1
    }

    /// There is a connection for each partition that was started, and the brokers have taken the producer.
    public var isConnected: Bool { core.isConnected }

    /// Messages whose result was not told yet.
    public var pendingMessageCount: Int { core.partitions.reduce(0) { $0 + $1.count } }

    // MARK: Sending

    /// Sends one message, and waits for the broker's answer. With batching, for other messages too, no longer than
    /// `PulsarProducerOptions.batchingMaximumDelay`.
    ///
    /// - Returns: where it is stored. A message that the broker had already is a success: see `PulsarMessageID.isDuplicate`.
    /// - Throws: `PulsarError`: what `send(_:completion:)` throws, and why the broker does not have the message or may not
    ///   have it. `CancellationError` when the task is cancelled: a message that was taken is sent all the same.
    @discardableResult public func send(_ message: PulsarMessage) async throws -> PulsarMessageID {
        let reply = SendReply()
        try await send(message) { reply.end($0.mapError { $0 }) }
        return try await reply.value()
    }

    /// Takes one message to be sent, and returns.
    ///
    /// - Parameter completion: called once when this did not throw, and never otherwise.
    /// - Throws: `PulsarError` when the message was not taken: `queueFull` or `memoryFull` unless
    ///   `PulsarProducerOptions.blocksIfQueueFull` is set, `alreadyClosed`, `messageTooBig`, `invalidMessage`, or what ended
    ///   the producer. `CancellationError` when the task is cancelled while it waits for room.
    public func send(_ message: PulsarMessage, completion: Completion?) async throws {
        let partition = try core.partition(for: message)
        let outgoing = OutgoingMessage(message, completion: completion)
        // Waiting is for those who must: it is the slower way.
        if try partition.add(outgoing) == .taken { return }
        guard core.options.blocksIfQueueFull else { throw partition.fullError }
        try await partition.wait(outgoing)
    }

    /// Takes one message to be sent, without ever waiting for room.
    ///
    /// - Parameter completion: called once when this returns true, and never otherwise.
    /// - Returns: false when there is no room.
    /// - Throws: as `send(_:completion:)`, but for the lack of room.
    public func trySend(_ message: PulsarMessage, completion: Completion? = nil) throws(PulsarError) -> Bool {
        try core.partition(for: message).add(OutgoingMessage(message, completion: completion)) == .taken
    }

    // MARK: Ending

    /// Sends what was taken without waiting for more, and returns when the results of all of it have been told.
    ///
    /// - Parameter timeout: nil: as long as it takes, see `PulsarProducerOptions.sendTimeout`.
    /// - Throws: `PulsarError` when a message of it failed, in whatever partition: the first one's reason. `timeout` when it
    ///   was not done in time: sending goes on. `alreadyClosed`; `CancellationError`.
    public func flush(timeout: Duration? = nil) async throws {
        try await core.flush(until: timeout.map { .now.advanced(by: $0) })
    }

    /// Takes no more messages, sends what was taken, and ends the producer. May be called again, to no effect.
    ///
    /// - Parameters:
    ///   - flush: false: what has no result fails at once with `alreadyClosed`, as the official clients do.
    ///   - timeout: for flushing; what is left then fails. Nil: as long as it takes, see
    ///     `PulsarProducerOptions.sendTimeout`.
    /// - Throws: as `flush`; the producer is closed in any case.
    public func close(flush: Bool = true, timeout: Duration? = nil) async throws {
        try await core.close(flush: flush, until: timeout.map { .now.advanced(by: $0) })
    }
}
