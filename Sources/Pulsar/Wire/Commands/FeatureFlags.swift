/// What a side can do beyond its protocol version.
package struct FeatureFlags: ProtobufMessage {
    /// The client answers AUTH_CHALLENGE after the handshake too.
    package var supportsAuthRefresh: Bool?
    /// The client can pass over `BrokerEntryMetadata`.
    package var supportsBrokerEntryMetadata: Bool?
    package var supportsPartialProducer: Bool?
    package var supportsTopicWatchers: Bool?

    package init(
        supportsAuthRefresh: Bool? = nil, supportsBrokerEntryMetadata: Bool? = nil,
        supportsPartialProducer: Bool? = nil, supportsTopicWatchers: Bool? = nil
    ) {
        self.supportsAuthRefresh = supportsAuthRefresh
        self.supportsBrokerEntryMetadata = supportsBrokerEntryMetadata
        self.supportsPartialProducer = supportsPartialProducer
        self.supportsTopicWatchers = supportsTopicWatchers
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var supportsAuthRefresh: Bool?
        var supportsBrokerEntryMetadata: Bool?
        var supportsPartialProducer: Bool?
        var supportsTopicWatchers: Bool?
        while let field = try reader.next() {
            switch field.number {
            case 1: supportsAuthRefresh = field.bool
            case 2: supportsBrokerEntryMetadata = field.bool
            case 3: supportsPartialProducer = field.bool
            case 4: supportsTopicWatchers = field.bool
            default: break
            }
        }
        self.init(
            supportsAuthRefresh: supportsAuthRefresh, supportsBrokerEntryMetadata: supportsBrokerEntryMetadata,
            supportsPartialProducer: supportsPartialProducer, supportsTopicWatchers: supportsTopicWatchers)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, supportsAuthRefresh)
        sink.field(2, supportsBrokerEntryMetadata)
        sink.field(3, supportsPartialProducer)
        sink.field(4, supportsTopicWatchers)
    }
}
