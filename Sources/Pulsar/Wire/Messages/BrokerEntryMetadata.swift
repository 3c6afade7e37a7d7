/// What a broker adds in front of an entry for consumers that can take it.
package struct BrokerEntryMetadata: ProtobufMessage {
    /// Milliseconds since 1970.
    package var brokerTimestamp: UInt64?
    /// Of the last message of the entry, in the topic.
    package var index: UInt64?

    package init(brokerTimestamp: UInt64? = nil, index: UInt64? = nil) {
        self.brokerTimestamp = brokerTimestamp
        self.index = index
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var brokerTimestamp: UInt64?
        var index: UInt64?
        while let field = try reader.next() {
            switch field.number {
            case 1: brokerTimestamp = field.uint64
            case 2: index = field.uint64
            default: break
            }
        }
        self.init(brokerTimestamp: brokerTimestamp, index: index)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, brokerTimestamp)
        sink.field(2, index)
    }
}
