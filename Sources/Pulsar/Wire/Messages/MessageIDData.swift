/// Where a message is: the ledger and the entry in it, and the message in the entry.
package struct MessageIDData: ProtobufMessage {
    /// Unsigned on the wire, where -1 is the highest number.
    package var ledgerID: Int64
    /// As `ledgerID`.
    package var entryID: Int64
    package var partition: Int32?
    package var batchIndex: Int32?
    /// A bit that is set: the message with that index in the batch is not acknowledged yet.
    package var ackSet: [Int64]
    package var batchSize: Int32?
    /// None or one: a struct cannot hold itself.
    private var firstChunk: [MessageIDData]

    /// Where the first chunk of a message in chunks is.
    package var firstChunkMessageID: MessageIDData? {
        get { firstChunk.first }
        set { firstChunk = newValue.map { [$0] } ?? [] }
    }

    package init(
        ledgerID: Int64, entryID: Int64, partition: Int32? = nil, batchIndex: Int32? = nil, ackSet: [Int64] = [],
        batchSize: Int32? = nil, firstChunkMessageID: MessageIDData? = nil
    ) {
        self.ledgerID = ledgerID
        self.entryID = entryID
        self.partition = partition
        self.batchIndex = batchIndex
        self.ackSet = ackSet
        self.batchSize = batchSize
        firstChunk = firstChunkMessageID.map { [$0] } ?? []
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var ledgerID: Int64?
        var entryID: Int64?
        var partition: Int32?
        var batchIndex: Int32?
        var ackSet: [Int64] = []
        var batchSize: Int32?
        var firstChunkMessageID: MessageIDData?
        while let field = try reader.next() {
            switch field.number {
            case 1: ledgerID = field.int64
            case 2: entryID = field.int64
            case 3: partition = field.int32
            case 4: batchIndex = field.int32
            case 5: if let value = field.int64 { ackSet.append(value) }
            case 6: batchSize = field.int32
            case 7: firstChunkMessageID = try field.message()
            default: break
            }
        }
        self.init(
            ledgerID: try required(ledgerID, "MessageIdData.ledgerId"),
            entryID: try required(entryID, "MessageIdData.entryId"), partition: partition, batchIndex: batchIndex,
            ackSet: ackSet, batchSize: batchSize, firstChunkMessageID: firstChunkMessageID)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, ledgerID)
        sink.field(2, entryID)
        sink.field(3, partition)
        sink.field(4, batchIndex)
        sink.fields(5, ackSet)
        sink.field(6, batchSize)
        sink.field(7, firstChunkMessageID)
    }
}
