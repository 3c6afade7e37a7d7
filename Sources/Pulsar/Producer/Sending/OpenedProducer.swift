/// What a broker said when it took a producer.
package struct OpenedProducer: Hashable, Sendable {
    /// The one that was asked for, or the broker's choice.
    package var name: String
    /// The highest id that the broker has stored under this name; -1: none, or it does not deduplicate.
    package var lastSequenceID: Int64
    /// Put into the metadata of each message when it is not empty.
    package var schemaVersion: [UInt8]
    /// Bytes of metadata and payload that the broker takes in one SEND.
    package var maximumMessageSize: Int

    package init(name: String, lastSequenceID: Int64, schemaVersion: [UInt8] = [], maximumMessageSize: Int) {
        self.name = name
        // Any number of a broker's: below none there is nothing.
        self.lastSequenceID = max(lastSequenceID, -1)
        self.schemaVersion = schemaVersion
        self.maximumMessageSize = maximumMessageSize
    }
}
