internal import AMQP

/// What the service tells about an event hub.
public struct EventHubProperties: Hashable, Sendable {
    public var name: String
    /// Milliseconds since 1970.
    public var createdAt: Int64
    /// In the service's order, which is the order that partition keys are hashed into.
    public var partitionIDs: [String]
}

/// What the service tells about one partition.
public struct PartitionProperties: Hashable, Sendable {
    public var eventHubName: String
    public var id: String
    /// Of the oldest event that is still there.
    public var beginningSequenceNumber: Int64
    /// Of the newest event; -1 before there was one.
    public var lastEnqueuedSequenceNumber: Int64
    /// Of the newest event: text, not always a number.
    public var lastEnqueuedOffset: String
    /// Milliseconds since 1970; nil before there was an event.
    public var lastEnqueuedTime: Int64?
    public var isEmpty: Bool
}

extension EventHubProperties {
    init(_ answer: AMQPMessage) throws(EventHubsError) {
        let fields = try ManagementFields(answer, "asking for the event hub's properties")
        name = try fields.text("name")
        createdAt = try fields.timestamp("created_at")
        guard case .array(let ids)? = fields.map[string: "partition_ids"] else { throw fields.missing("partition_ids") }
        partitionIDs = ids.compactMap(\.text)
        guard partitionIDs.count == ids.count, !ids.isEmpty else { throw fields.missing("partition_ids") }
    }
}

extension PartitionProperties {
    /// Year 1, with which the service says "never".
    private static let never: Int64 = -62_135_596_800_000

    init(_ answer: AMQPMessage) throws(EventHubsError) {
        let fields = try ManagementFields(answer, "asking for a partition's properties")
        eventHubName = try fields.text("name")
        id = try fields.text("partition")
        beginningSequenceNumber = try fields.integer("begin_sequence_number")
        lastEnqueuedSequenceNumber = try fields.integer("last_enqueued_sequence_number")
        lastEnqueuedOffset = try fields.text("last_enqueued_offset")
        let time = try fields.timestamp("last_enqueued_time_utc")
        lastEnqueuedTime = time == Self.never ? nil : time
        guard case .boolean(let isEmpty)? = fields.map[string: "is_partition_empty"] else {
            throw fields.missing("is_partition_empty")
        }
        self.isEmpty = isEmpty
    }
}

/// The map in an answer of `$management`.
private struct ManagementFields {
    let map: AMQPMap
    let doing: String

    init(_ answer: AMQPMessage, _ doing: String) throws(EventHubsError) {
        try answer.checkStatus(doing)
        guard case .value(.map(let map)) = answer.body else {
            throw EventHubsError(.protocolViolation, "\(doing): the answer holds no map")
        }
        self.map = map
        self.doing = doing
    }

    func missing(_ key: String) -> EventHubsError {
        EventHubsError(.protocolViolation, "\(doing): the answer's \(key) is missing or of another type")
    }

    func text(_ key: String) throws(EventHubsError) -> String {
        guard let text = map[string: key]?.text else { throw missing(key) }
        return text
    }

    func integer(_ key: String) throws(EventHubsError) -> Int64 {
        guard let value = map[string: key]?.integer else { throw missing(key) }
        return Int64(value)
    }

    func timestamp(_ key: String) throws(EventHubsError) -> Int64 {
        guard case .timestamp(let milliseconds)? = map[string: key] else { throw missing(key) }
        return milliseconds
    }
}
