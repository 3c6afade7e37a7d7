/// TOPIC_MIGRATED: the topic lives on in another cluster.
package struct TopicMigratedCommand: ProtobufMessage {
    /// The id of the producer or consumer.
    package var resourceID: UInt64
    package var resourceType: ResourceType
    package var brokerServiceURL: String?
    package var brokerServiceURLTLS: String?

    package init(
        resourceID: UInt64, resourceType: ResourceType, brokerServiceURL: String? = nil,
        brokerServiceURLTLS: String? = nil
    ) {
        self.resourceID = resourceID
        self.resourceType = resourceType
        self.brokerServiceURL = brokerServiceURL
        self.brokerServiceURLTLS = brokerServiceURLTLS
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var resourceID: UInt64?
        var resourceType: ResourceType?
        var brokerServiceURL: String?
        var brokerServiceURLTLS: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: resourceID = field.uint64
            case 2: resourceType = field.value()
            case 3: brokerServiceURL = field.string
            case 4: brokerServiceURLTLS = field.string
            default: break
            }
        }
        self.init(
            resourceID: try required(resourceID, "TOPIC_MIGRATED.resource_id"),
            resourceType: try required(resourceType, "TOPIC_MIGRATED.resource_type"),
            brokerServiceURL: brokerServiceURL, brokerServiceURLTLS: brokerServiceURLTLS)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, resourceID)
        sink.field(2, resourceType)
        sink.field(3, brokerServiceURL)
        sink.field(4, brokerServiceURLTLS)
    }
}
