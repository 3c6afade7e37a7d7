/// CONNECTED: the broker takes the client.
package struct ConnectedCommand: ProtobufMessage {
    package var serverVersion: String
    /// The highest that the broker knows.
    package var protocolVersion: Int32?
    /// Bytes of metadata and payload together.
    package var maxMessageSize: Int32?
    package var featureFlags: FeatureFlags?

    package init(
        serverVersion: String, protocolVersion: Int32? = nil, maxMessageSize: Int32? = nil,
        featureFlags: FeatureFlags? = nil
    ) {
        self.serverVersion = serverVersion
        self.protocolVersion = protocolVersion
        self.maxMessageSize = maxMessageSize
        self.featureFlags = featureFlags
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var serverVersion: String?
        var protocolVersion: Int32?
        var maxMessageSize: Int32?
        var featureFlags: FeatureFlags?
        while let field = try reader.next() {
            switch field.number {
            case 1: serverVersion = field.string
            case 2: protocolVersion = field.int32
            case 3: maxMessageSize = field.int32
            case 4: featureFlags = try field.message()
            default: break
            }
        }
        self.init(
            serverVersion: try required(serverVersion, "CONNECTED.server_version"), protocolVersion: protocolVersion,
            maxMessageSize: maxMessageSize, featureFlags: featureFlags)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, serverVersion)
        sink.field(2, protocolVersion)
        sink.field(3, maxMessageSize)
        sink.field(4, featureFlags)
    }
}
