internal import NIOCore
internal import Producing

/// Encodes the messages of one topic into batches, straight into the bytes that are sent, and numbers them.
package struct MessageBatchBuilder: BatchBuilder {
    /// When a batch is complete.
    package struct Limits: Sendable {
        /// 1: every message goes alone.
        package var messages: Int
        /// Of payloads. A larger message goes alone.
        package var bytes: Int
        package var isKeyBased: Bool
        package var isChunked: Bool

        package init(messages: Int = 1, bytes: Int = 131_072, isKeyBased: Bool = false, isChunked: Bool = false) {
            self.messages = messages
            self.bytes = bytes
            self.isKeyBased = isKeyBased
            self.isChunked = isChunked
        }
    }

    /// Messages in batch layout that go together: all of them, or those of one key.
    private struct Group {
        var payload = BatchPayload()
        var waiters: [SendWaiter] = []
        /// Of its first message, for brokers, which do not look into batches.
        var partitionKey: String?
        var orderingKey: String?

        /// Notes who waits for the message that was added last. While nobody does, there is no list.
        mutating func wait(_ completion: SendCompletion?, expected: Int) {
            if waiters.isEmpty {
                guard completion != nil else { return }
                waiters.reserveCapacity(max(expected, payload.count))
                for _ in 0..<(payload.count - 1) { waiters.append(SendWaiter(completion: nil)) }
            }
            waiters.append(SendWaiter(completion: completion))
        }
    }

    /// A message that goes by itself.
    private struct Single {
        let message: PulsarMessage
        let completion: SendCompletion?
        let id: UInt64
        let deliverAt: Int64?
    }

    private let encoder: SendEncoder
    private let limits: Limits
    private let clock: @Sendable () -> UInt64
    /// The next id of a message that brings none.
    private var nextID: UInt64
    private var single: Single?
    private var groups: [Group] = []
    /// The places in `groups`; with key-based batching only.
    private var places: [String: Int] = [:]
    package private(set) var count = 0
    package private(set) var size = 0
    /// Bytes of the open batch as they go into the frame.
    private var encodedSize = 0
    private var lastID: UInt64 = 0
    private var publishTime: UInt64 = 0
    /// Of the open batch's first message: all of them go to the same clusters.
    private var disablesReplication = false
    private var replicationClusters: [String] = []
    /// Of the batch before: the next one is likely to be like it.
    private var lastSize = 0
    private var lastCount = 0

    /// - Parameters:
    ///   - firstID: of the first message that brings none.
    ///   - clock: milliseconds since 1970, UTC.
    package init(
        _ encoder: SendEncoder, _ limits: Limits, firstID: UInt64,
        clock: @escaping @Sendable () -> UInt64 = { WallClock.milliseconds }
    ) {
        self.encoder = encoder
        self.limits = limits
        self.clock = clock
        nextID = firstID
    }

    package var isFull: Bool { single != nil || count >= limits.messages || size >= limits.bytes }

    package mutating func add(_ item: OutgoingMessage) throws(PulsarError) -> Bool {
        let message = item.message
        let id = message.sequenceID ?? nextID
        guard id <= UInt64(Int64.max) else {
            throw PulsarError(.invalidMessage, "the sequence id \(id) is above \(Int64.max), the largest one")
        }
        guard single == nil else { return false }
        let isAlone = limits.messages < 2 || message.deliverAt != nil || message.deliverAfter != nil
        if isAlone {
            guard count == 0, encoder.mayFit(message, isChunked: limits.isChunked) else { return false }
            publishTime = clock()
            single = Single(
                message: message, completion: item.completion, id: id,
                deliverAt: message.deliveryTime(now: publishTime))
        } else {
            guard try addToBatch(item, id) else { return false }
        }
        count += 1
        size += message.size
        lastID = id
        nextID = max(nextID, id + 1)
        return true
    }

    private mutating func addToBatch(_ item: OutgoingMessage, _ id: UInt64) throws(PulsarError) -> Bool {
        let message = item.message
        let bound = BatchPayload.bound(message)
        if count > 0 {
            guard id > lastID, count < limits.messages, size + message.size <= limits.bytes,
                encodedSize + bound <= encoder.maximumBatchSize, message.disablesReplication == disablesReplication,
                message.replicationClusters == replicationClusters
            else { return false }
        } else {
            guard encoder.mayFit(message, isChunked: false) else { return false }
            publishTime = clock()
            disablesReplication = message.disablesReplication
            replicationClusters = message.replicationClusters
        }
        let place = place(message)
        let before = groups[place].payload.bytes.readableBytes
        groups[place].payload.append(message, id: id)
        encodedSize += groups[place].payload.bytes.readableBytes - before
        groups[place].wait(item.completion, expected: limits.isKeyBased ? 0 : lastCount)
        return true
    }

    /// The place in `groups` of the batch that the message goes into, which is made if need be.
    private mutating func place(_ message: PulsarMessage) -> Int {
        if limits.isKeyBased {
            let key = message.sharingKey ?? message.routingKey ?? ""
            if let place = places[key] { return place }
            places[key] = groups.count
        } else if !groups.isEmpty {
            return 0
        }
        var group = Group(partitionKey: message.routingKey, orderingKey: message.sharingKey)
        if !limits.isKeyBased, lastCount > 0 {
            // With some room for the batch that is a little larger.
            group.payload.reserveCapacity(lastSize + lastSize / 8)
        }
        groups.append(group)
        return groups.count - 1
    }

    package func tooLarge(_ item: OutgoingMessage) -> PulsarError { encoder.tooBig(item.message.size) }

    package mutating func seal() -> OutgoingBatch {
        precondition(count > 0)
        defer {
            (lastSize, lastCount) = (encodedSize, count)
            (count, size, encodedSize) = (0, 0, 0)
            single = nil
            groups.removeAll(keepingCapacity: true)
            places.removeAll(keepingCapacity: true)
        }
        if let single { return OutgoingBatch([part(single)]) }
        return OutgoingBatch(groups.map { part($0) })
    }

    private func part(_ single: Single) -> OutgoingBatch.Part {
        let waiters = single.completion.map { [SendWaiter(completion: $0)] } ?? []
        do throws(PulsarError) {
            let sends = try encoder.seal(
                single.message, id: single.id, deliverAt: single.deliverAt, publishTime: publishTime,
                isChunked: limits.isChunked)
            return OutgoingBatch.Part(
                sends: sends, messages: 1, isBatch: false, waiters: waiters, failure: nil)
        } catch {
            return OutgoingBatch.Part(sends: [], messages: 1, isBatch: false, waiters: waiters, failure: error)
        }
    }

    private func part(_ group: Group) -> OutgoingBatch.Part {
        do throws(PulsarError) {
            let send = try encoder.seal(
                group.payload, partitionKey: group.partitionKey, orderingKey: group.orderingKey,
                replicateTo: PulsarMessage.replicateTo(replicationClusters, disablesReplication),
                publishTime: publishTime)
            return OutgoingBatch.Part(
                sends: [send], messages: group.payload.count, isBatch: true, waiters: group.waiters,
                failure: nil)
        } catch {
            return OutgoingBatch.Part(
                sends: [], messages: group.payload.count, isBatch: true, waiters: group.waiters, failure: error)
        }
    }
}
