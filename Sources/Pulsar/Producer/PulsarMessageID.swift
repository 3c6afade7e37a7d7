/// Where a message is stored: what consumers know it by.
public struct PulsarMessageID: Hashable, Sendable, CustomStringConvertible {
    /// The ledger of the broker's storage; -1: see `isDuplicate`.
    public var ledgerID: Int64
    /// The entry in the ledger, which a batch shares; -1: see `isDuplicate`.
    public var entryID: Int64
    /// The partition of the topic; -1: the topic has none.
    public var partition: Int
    /// The place in the batch; -1: it was sent alone.
    public var batchIndex: Int
    /// Messages in the batch; 0: it was sent alone.
    public var batchSize: Int
    /// Of a message in chunks: the entry of the first one.
    public var firstChunk: FirstChunk?

    /// The entry that the first chunk of a message is in.
    public struct FirstChunk: Hashable, Sendable {
        public var ledgerID: Int64
        public var entryID: Int64
    }

    public init(ledgerID: Int64, entryID: Int64, partition: Int = -1, batchIndex: Int = -1, batchSize: Int = 0) {
        self.ledgerID = ledgerID
        self.entryID = entryID
        self.partition = partition
        self.batchIndex = batchIndex
        self.batchSize = batchSize
    }

    /// The broker had stored a message with this id of this producer before, and did not store it again: a success. Where
    /// the first one is, it does not say.
    public var isDuplicate: Bool { ledgerID == -1 && entryID == -1 }

    /// As the official clients write it: `(ledger,entry,partition,batch index)`.
    public var description: String {
        let last = "(\(ledgerID),\(entryID),\(partition),\(batchIndex))"
        guard let firstChunk else { return last }
        return "(\(firstChunk.ledgerID),\(firstChunk.entryID),\(partition),-1);\(last)"
    }
}
