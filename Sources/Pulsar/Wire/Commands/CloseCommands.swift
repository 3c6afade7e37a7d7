/// CLOSE_PRODUCER: from a client, which then awaits SUCCESS; or from the broker, which gave the topic away.
package struct CloseProducerCommand: ProtobufMessage {
    package var producerID: UInt64
    /// Means nothing when it comes from a broker.
    package var requestID: UInt64
    /// From a broker: the new owner, to be asked without a LOOKUP.
    package var assignedBrokerServiceURL: String?
    package var assignedBrokerServiceURLTLS: String?

    package init(
        producerID: UInt64, requestID: UInt64, assignedBrokerServiceURL: String? = nil,
        assignedBrokerServiceURLTLS: String? = nil
    ) {
        self.producerID = producerID
        self.requestID = requestID
        self.assignedBrokerServiceURL = assignedBrokerServiceURL
        self.assignedBrokerServiceURLTLS = assignedBrokerServiceURLTLS
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var producerID: UInt64?
        var requestID: UInt64?
        var assignedBrokerServiceURL: String?
        var assignedBrokerServiceURLTLS: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: producerID = field.uint64
            case 2: requestID = field.uint64
            case 3: assignedBrokerServiceURL = field.string
            case 4: assignedBrokerServiceURLTLS = field.string
            default: break
            }
        }
        self.init(
            producerID: try required(producerID, "CLOSE_PRODUCER.producer_id"),
            requestID: try required(requestID, "CLOSE_PRODUCER.request_id"),
            assignedBrokerServiceURL: assignedBrokerServiceURL,
            assignedBrokerServiceURLTLS: assignedBrokerServiceURLTLS)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, producerID)
        sink.field(2, requestID)
        sink.field(3, assignedBrokerServiceURL)
        sink.field(4, assignedBrokerServiceURLTLS)
    }
}

/// CLOSE_CONSUMER, as CLOSE_PRODUCER.
package struct CloseConsumerCommand: ProtobufMessage {
    package var consumerID: UInt64
    /// Means nothing when it comes from a broker.
    package var requestID: UInt64
    /// From a broker: the new owner.
    package var assignedBrokerServiceURL: String?
    package var assignedBrokerServiceURLTLS: String?

    package init(
        consumerID: UInt64, requestID: UInt64, assignedBrokerServiceURL: String? = nil,
        assignedBrokerServiceURLTLS: String? = nil
    ) {
        self.consumerID = consumerID
        self.requestID = requestID
        self.assignedBrokerServiceURL = assignedBrokerServiceURL
        self.assignedBrokerServiceURLTLS = assignedBrokerServiceURLTLS
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var consumerID: UInt64?
        var requestID: UInt64?
        var assignedBrokerServiceURL: String?
        var assignedBrokerServiceURLTLS: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: consumerID = field.uint64
            case 2: requestID = field.uint64
            case 3: assignedBrokerServiceURL = field.string
            case 4: assignedBrokerServiceURLTLS = field.string
            default: break
            }
        }
        self.init(
            consumerID: try required(consumerID, "CLOSE_CONSUMER.consumer_id"),
            requestID: try required(requestID, "CLOSE_CONSUMER.request_id"),
            assignedBrokerServiceURL: assignedBrokerServiceURL,
            assignedBrokerServiceURLTLS: assignedBrokerServiceURLTLS)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, consumerID)
        sink.field(2, requestID)
        sink.field(3, assignedBrokerServiceURL)
        sink.field(4, assignedBrokerServiceURLTLS)
    }
}
