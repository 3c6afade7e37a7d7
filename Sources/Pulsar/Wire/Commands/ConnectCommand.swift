/// CONNECT: the first command of a client. Its descriptions leave the credentials out.
package struct ConnectCommand: ProtobufMessage {
    /// Free text.
    package var clientVersion: String
    /// The numbers that came before `authMethodName`; not sent any more.
    package var authMethod: UInt64?
    /// A secret.
    package var authData: [UInt8]?
    /// The highest that the client knows.
    package var protocolVersion: Int32?
    package var authMethodName: String?
    /// `host:port` of the broker that is wanted behind a proxy.
    package var proxyToBrokerURL: String?
    package var originalPrincipal: String?
    /// A secret; sent by proxies, as the other two `original` fields.
    package var originalAuthData: String?
    package var originalAuthMethod: String?
    package var featureFlags: FeatureFlags?

    package init(
        clientVersion: String, authMethod: UInt64? = nil, authData: [UInt8]? = nil, protocolVersion: Int32? = nil,
        authMethodName: String? = nil, proxyToBrokerURL: String? = nil, originalPrincipal: String? = nil,
        originalAuthData: String? = nil, originalAuthMethod: String? = nil, featureFlags: FeatureFlags? = nil
    ) {
        self.clientVersion = clientVersion
        self.authMethod = authMethod
        self.authData = authData
        self.protocolVersion = protocolVersion
        self.authMethodName = authMethodName
        self.proxyToBrokerURL = proxyToBrokerURL
        self.originalPrincipal = originalPrincipal
        self.originalAuthData = originalAuthData
        self.originalAuthMethod = originalAuthMethod
        self.featureFlags = featureFlags
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var clientVersion: String?
        var authMethod: UInt64?
        var authData: [UInt8]?
        var protocolVersion: Int32?
        var authMethodName: String?
        var proxyToBrokerURL: String?
        var originalPrincipal: String?
        var originalAuthData: String?
        var originalAuthMethod: String?
        var featureFlags: FeatureFlags?
        while let field = try reader.next() {
            switch field.number {
            case 1: clientVersion = field.string
            case 2: authMethod = field.uint64
            case 3: authData = field.bytes
            case 4: protocolVersion = field.int32
            case 5: authMethodName = field.string
            case 6: proxyToBrokerURL = field.string
            case 7: originalPrincipal = field.string
            case 8: originalAuthData = field.string
            case 9: originalAuthMethod = field.string
            case 10: featureFlags = try field.message()
            default: break
            }
        }
        self.init(
            clientVersion: try required(clientVersion, "CONNECT.client_version"), authMethod: authMethod,
            authData: authData, protocolVersion: protocolVersion, authMethodName: authMethodName,
            proxyToBrokerURL: proxyToBrokerURL, originalPrincipal: originalPrincipal,
            originalAuthData: originalAuthData, originalAuthMethod: originalAuthMethod, featureFlags: featureFlags)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, clientVersion)
        sink.field(2, authMethod)
        sink.field(3, authData)
        sink.field(4, protocolVersion)
        sink.field(5, authMethodName)
        sink.field(6, proxyToBrokerURL)
        sink.field(7, originalPrincipal)
        sink.field(8, originalAuthData)
        sink.field(9, originalAuthMethod)
        sink.field(10, featureFlags)
    }
}

extension ConnectCommand: CustomStringConvertible, CustomReflectable {
    package var description: String {
        "CONNECT from \(clientVersion), authentication \(authMethodName ?? "not said")"
    }

    package var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
