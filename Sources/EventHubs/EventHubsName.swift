/// Names and numbers that Event Hubs adds to AMQP.
package enum EventHubsName {
    /// A transfer whose message is an envelope: one data section per event, each holding that event's whole message.
    package static let batchFormat: UInt32 = 0x8001_3700
    package static let partitionKey = "x-opt-partition-key"
    package static let timeout = "com.microsoft:timeout"
    package static let cbs = "$cbs"
    package static let management = "$management"
    /// Bytes of a message when the service names no limit.
    package static let fallbackMessageSize = 1_048_576

    // Idempotent publishing: a link's capability; its properties, which are events' annotations too (protocol notes, 8.1).
    package static let idempotentProducer = "com.microsoft:idempotent-producer"
    /// A long.
    package static let producerID = "com.microsoft:producer-id"
    /// A short.
    package static let producerEpoch = "com.microsoft:producer-epoch"
    /// An int.
    package static let producerSequenceNumber = "com.microsoft:producer-sequence-number"

    /// The address of a sender link.
    package static func senderAddress(hub: String, partitionID: String?) -> String {
        partitionID.map { "/\(hub)/Partitions/\($0)" } ?? "/\(hub)"
    }
}
