/// FLOW: more messages may come.
package struct FlowCommand: ProtobufMessage {
    package var consumerID: UInt64
    /// Added to those that are left; counted by messages, also inside batches.
    package var messagePermits: UInt32

    package init(consumerID: UInt64, messagePermits: UInt32) {
        self.consumerID = consumerID
        self.messagePermits = messagePermits
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var consumerID: UInt64?
        var messagePermits: UInt32?
        while let field = try reader.next() {
            switch field.number {
            case 1: consumerID = field.uint64
            case 2: messagePermits = field.uint32
            default: break
            }
        }
        self.init(
            consumerID: try required(consumerID, "FLOW.consumer_id"),
            messagePermits: try required(messagePermits, "FLOW.messagePermits"))
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, consumerID)
        sink.field(2, messagePermits)
    }
}

/// MESSAGE: an entry for a consumer, with its payload behind the command.
package struct MessageCommand: ProtobufMessage {
    package var consumerID: UInt64
    package var messageID: MessageIDData
    package var redeliveryCount: UInt32?
    /// A bit that is set: the message with that index in the batch is not acknowledged yet.
    package var ackSet: [Int64]
    package var consumerEpoch: UInt64?

    package init(
        consumerID: UInt64, messageID: MessageIDData, redeliveryCount: UInt32? = nil, ackSet: [Int64] = [],
        consumerEpoch: UInt64? = nil
    ) {
        self.consumerID = consumerID
        self.messageID = messageID
        self.redeliveryCount = redeliveryCount
        self.ackSet = ackSet
        self.consumerEpoch = consumerEpoch
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var consumerID: UInt64?
        var messageID: MessageIDData?
        var redeliveryCount: UInt32?
        var ackSet: [Int64] = []
        var consumerEpoch: UInt64?
        while let field = try reader.next() {
            switch field.number {
            case 1: consumerID = field.uint64
            case 2: messageID = try field.message()
            case 3: redeliveryCount = field.uint32
            case 4: if let value = field.int64 { ackSet.append(value) }
            case 5: consumerEpoch = field.uint64
            default: break
            }
        }
        self.init(
            consumerID: try required(consumerID, "MESSAGE.consumer_id"),
            messageID: try required(messageID, "MESSAGE.message_id"), redeliveryCount: redeliveryCount, ackSet: ackSet,
            consumerEpoch: consumerEpoch)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, consumerID)
        sink.field(2, messageID)
        sink.field(3, redeliveryCount)
        sink.fields(4, ackSet)
        sink.field(5, consumerEpoch)
    }
}

/// REDELIVER_UNACKNOWLEDGED_MESSAGES.
package struct RedeliverCommand: ProtobufMessage {
    package var consumerID: UInt64
    package var messageIDs: [MessageIDData]
    package var consumerEpoch: UInt64?

    package init(consumerID: UInt64, messageIDs: [MessageIDData] = [], consumerEpoch: UInt64? = nil) {
        self.consumerID = consumerID
        self.messageIDs = messageIDs
        self.consumerEpoch = consumerEpoch
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var consumerID: UInt64?
        var messageIDs: [MessageIDData] = []
        var consumerEpoch: UInt64?
        while let field = try reader.next() {
            switch field.number {
            case 1: consumerID = field.uint64
            case 2: if let value: MessageIDData = try field.message() { messageIDs.append(value) }
            case 3: consumerEpoch = field.uint64
            default: break
            }
        }
        self.init(
            consumerID: try required(consumerID, "REDELIVER_UNACKNOWLEDGED_MESSAGES.consumer_id"),
            messageIDs: messageIDs, consumerEpoch: consumerEpoch)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, consumerID)
        sink.fields(2, messageIDs)
        sink.field(3, consumerEpoch)
    }
}
