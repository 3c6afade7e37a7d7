/// PARTITIONED_METADATA: how many partitions has a topic?
package struct PartitionedMetadataCommand: ProtobufMessage {
    package var topic: String
    package var requestID: UInt64
    package var originalPrincipal: String?
    /// A secret; sent by proxies.
    package var originalAuthData: String?
    package var originalAuthMethod: String?

    package init(
        topic: String, requestID: UInt64, originalPrincipal: String? = nil, originalAuthData: String? = nil,
        originalAuthMethod: String? = nil
    ) {
        self.topic = topic
        self.requestID = requestID
        self.originalPrincipal = originalPrincipal
        self.originalAuthData = originalAuthData
        self.originalAuthMethod = originalAuthMethod
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var topic: String?
        var requestID: UInt64?
        var originalPrincipal: String?
        var originalAuthData: String?
        var originalAuthMethod: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: topic = field.string
            case 2: requestID = field.uint64
            case 3: originalPrincipal = field.string
            case 4: originalAuthData = field.string
            case 5: originalAuthMethod = field.string
            default: break
            }
        }
        self.init(
            topic: try required(topic, "PARTITIONED_METADATA.topic"),
            requestID: try required(requestID, "PARTITIONED_METADATA.request_id"), originalPrincipal: originalPrincipal,
            originalAuthData: originalAuthData, originalAuthMethod: originalAuthMethod)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, topic)
        sink.field(2, requestID)
        sink.field(3, originalPrincipal)
        sink.field(4, originalAuthData)
        sink.field(5, originalAuthMethod)
    }
}

/// PARTITIONED_METADATA_RESPONSE.
package struct PartitionedMetadataResponseCommand: ProtobufMessage {
    /// 0: the topic is not partitioned.
    package var partitions: UInt32?
    package var requestID: UInt64
    package var response: PartitionedMetadataResult?
    package var error: ServerError?
    package var message: String?

    package init(
        partitions: UInt32? = nil, requestID: UInt64, response: PartitionedMetadataResult? = nil,
        error: ServerError? = nil, message: String? = nil
    ) {
        self.partitions = partitions
        self.requestID = requestID
        self.response = response
        self.error = error
        self.message = message
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var requestID: UInt64?
        var partitions: UInt32?
        var response: PartitionedMetadataResult?
        var error: ServerError?
        var message: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: partitions = field.uint32
            case 2: requestID = field.uint64
            case 3: response = field.value()
            case 4: error = field.value()
            case 5: message = field.string
            default: break
            }
        }
        self.init(
            partitions: partitions, requestID: try required(requestID, "PARTITIONED_METADATA_RESPONSE.request_id"),
            response: response, error: error, message: message)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, partitions)
        sink.field(2, requestID)
        sink.field(3, response)
        sink.field(4, error)
        sink.field(5, message)
    }
}

extension PartitionedMetadataCommand: CustomStringConvertible, CustomReflectable {
    package var description: String { "PARTITIONED_METADATA \(requestID) of \(topic)" }

    package var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
