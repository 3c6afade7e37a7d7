/// Where an idempotent producer of one partition stands.
package struct PublishingState: Hashable, Sendable {
    /// Names the producer; the service gives the number or takes the client's.
    package var producerGroupID: Int64
    /// A producer with a higher level takes the partition away from those with lower ones.
    package var ownerLevel: Int16
    /// Of the last event that the service has, with everything before it; -1: none yet.
    package var lastSequenceNumber: Int32

    package init(producerGroupID: Int64, ownerLevel: Int16, lastSequenceNumber: Int32) {
        self.producerGroupID = producerGroupID
        self.ownerLevel = ownerLevel
        self.lastSequenceNumber = lastSequenceNumber
    }
}

/// How an idempotent producer begins; nil: as the service says. With all nil the service makes a new producer.
package struct PublishingOptions: Hashable, Sendable {
    package var producerGroupID: Int64?
    package var ownerLevel: Int16?
    /// The number of the last event published so far: the first one gets the next.
    package var startingSequenceNumber: Int32?

    package init(producerGroupID: Int64? = nil, ownerLevel: Int16? = nil, startingSequenceNumber: Int32? = nil) {
        self.producerGroupID = producerGroupID
        self.ownerLevel = ownerLevel
        self.startingSequenceNumber = startingSequenceNumber
    }

    var isEmpty: Bool { self == PublishingOptions() }
}

/// What is written into a batch's events: theirs is `firstNumber` and what follows it.
package struct PublishingStamp: Hashable, Sendable {
    package var producerGroupID: Int64
    package var ownerLevel: Int16
    package var firstNumber: Int32

    package init(producerGroupID: Int64, ownerLevel: Int16, firstNumber: Int32) {
        self.producerGroupID = producerGroupID
        self.ownerLevel = ownerLevel
        self.firstNumber = firstNumber
    }
}
