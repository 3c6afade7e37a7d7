/// How idempotent publishing to a partition begins (protocol notes, section 8.2). With everything nil, the default, the
/// service makes a new producer; to go on as an earlier one, give what `PartitionPublishingProperties` told.
public struct PartitionPublishingOptions: Hashable, Sendable {
    /// Names the producer. Services may only take ids that they have given out themselves.
    public var producerGroupID: Int64?
    /// 0 to 32767. A producer with a higher level takes the partition away from those of the same id with lower ones.
    public var ownerLevel: Int16?
    /// The number of the last event published, 0 to 2147483647: the first event gets the next one. Nil: the service knows.
    public var startingSequenceNumber: Int32?

    public init(producerGroupID: Int64? = nil, ownerLevel: Int16? = nil, startingSequenceNumber: Int32? = nil) {
        self.producerGroupID = producerGroupID
        self.ownerLevel = ownerLevel
        self.startingSequenceNumber = startingSequenceNumber
    }
}

/// Where idempotent publishing to a partition stands.
public struct PartitionPublishingProperties: Hashable, Sendable {
    public let partitionID: String
    /// Names the producer.
    public let producerGroupID: Int64
    /// Rises by one when a batch is given up whose outcome is not known, so that it cannot be stored later.
    public let ownerLevel: Int16
    /// Of the last event that the service confirmed; nil: none yet.
    public let lastPublishedSequenceNumber: Int32?

    init(_ partitionID: String, _ state: PublishingState) {
        self.partitionID = partitionID
        producerGroupID = state.producerGroupID
        ownerLevel = state.ownerLevel
        lastPublishedSequenceNumber = state.lastSequenceNumber < 0 ? nil : state.lastSequenceNumber
    }
}

extension PublishingOptions {
    init(_ options: PartitionPublishingOptions) {
        self.init(
            producerGroupID: options.producerGroupID, ownerLevel: options.ownerLevel,
            startingSequenceNumber: options.startingSequenceNumber)
    }
}
