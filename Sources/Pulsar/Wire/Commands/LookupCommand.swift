/// LOOKUP: which broker owns a topic, or one partition of it?
package struct LookupCommand: ProtobufMessage {
    package var topic: String
    package var requestID: UInt64
    /// As in the redirecting reply; false in the first question.
    package var authoritative: Bool?
    package var originalPrincipal: String?
    /// A secret; sent by proxies.
    package var originalAuthData: String?
    package var originalAuthMethod: String?
    package var advertisedListenerName: String?

    package init(
        topic: String, requestID: UInt64, authoritative: Bool? = nil, originalPrincipal: String? = nil,
        originalAuthData: String? = nil, originalAuthMethod: String? = nil, advertisedListenerName: String? = nil
    ) {
        self.topic = topic
        self.requestID = requestID
        self.authoritative = authoritative
        self.originalPrincipal = originalPrincipal
        self.originalAuthData = originalAuthData
        self.originalAuthMethod = originalAuthMethod
        self.advertisedListenerName = advertisedListenerName
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var topic: String?
        var requestID: UInt64?
        var authoritative: Bool?
        var originalPrincipal: String?
        var originalAuthData: String?
        var originalAuthMethod: String?
        var advertisedListenerName: String?
        while let field = try reader.next() {
            switch field.number {
            case 1: topic = field.string
            case 2: requestID = field.uint64
            case 3: authoritative = field.bool
            case 4: originalPrincipal = field.string
            case 5: originalAuthData = field.string
            case 6: originalAuthMethod = field.string
            case 7: advertisedListenerName = field.string
            default: break
            }
        }
        self.init(
            topic: try required(topic, "LOOKUP.topic"), requestID: try required(requestID, "LOOKUP.request_id"),
            authoritative: authoritative, originalPrincipal: originalPrincipal, originalAuthData: originalAuthData,
            originalAuthMethod: originalAuthMethod, advertisedListenerName: advertisedListenerName)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, topic)
        sink.field(2, requestID)
        sink.field(3, authoritative)
        sink.field(4, originalPrincipal)
        sink.field(5, originalAuthData)
        sink.field(6, originalAuthMethod)
        sink.field(7, advertisedListenerName)
    }
}

/// LOOKUP_RESPONSE.
package struct LookupResponseCommand: ProtobufMessage {
    package var brokerServiceURL: String?
    package var brokerServiceURLTLS: String?
    package var response: LookupResult?
    package var requestID: UInt64
    /// For the next question, after a redirect.
    package var authoritative: Bool?
    package var error: ServerError?
    package var message: String?
    /// The broker is reached through the service URL, see `ConnectCommand.proxyToBrokerURL`.
    package var proxyThroughServiceURL: Bool?

    package init(
        brokerServiceURL: String? = nil, brokerServiceURLTLS: String? = nil, response: LookupResult? = nil,
        requestID: UInt64, authoritative: Bool? = nil, error: ServerError? = nil, message: String? = nil,
        proxyThroughServiceURL: Bool? = nil
    ) {
        self.brokerServiceURL = brokerServiceURL
        self.brokerServiceURLTLS = brokerServiceURLTLS
        self.response = response
        self.requestID = requestID
        self.authoritative = authoritative
        self.error = error
        self.message = message
        self.proxyThroughServiceURL = proxyThroughServiceURL
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var requestID: UInt64?
        var brokerServiceURL: String?
        var brokerServiceURLTLS: String?
        var response: LookupResult?
        var authoritative: Bool?
        var error: ServerError?
        var message: String?
        var proxyThroughServiceURL: Bool?
        while let field = try reader.next() {
            switch field.number {
            case 1: brokerServiceURL = field.string
            case 2: brokerServiceURLTLS = field.string
            case 3: response = field.value()
            case 4: requestID = field.uint64
            case 5: authoritative = field.bool
            case 6: error = field.value()
            case 7: message = field.string
            case 8: proxyThroughServiceURL = field.bool
            default: break
            }
        }
        self.init(
            brokerServiceURL: brokerServiceURL, brokerServiceURLTLS: brokerServiceURLTLS, response: response,
            requestID: try required(requestID, "LOOKUP_RESPONSE.request_id"), authoritative: authoritative,
            error: error, message: message, proxyThroughServiceURL: proxyThroughServiceURL)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, brokerServiceURL)
        sink.field(2, brokerServiceURLTLS)
        sink.field(3, response)
        sink.field(4, requestID)
        sink.field(5, authoritative)
        sink.field(6, error)
        sink.field(7, message)
        sink.field(8, proxyThroughServiceURL)
    }
}

extension LookupCommand: CustomStringConvertible, CustomReflectable {
    package var description: String { "LOOKUP \(requestID) of \(topic)" }

    package var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
