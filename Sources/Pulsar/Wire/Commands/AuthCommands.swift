/// AUTH_CHALLENGE: the broker wants fresh credentials, in the handshake or at any time after.
package struct AuthChallengeCommand: ProtobufMessage {
    package var serverVersion: String?
    package var challenge: AuthData?
    package var protocolVersion: Int32?

    package init(serverVersion: String? = nil, challenge: AuthData? = nil, protocolVersion: Int32? = nil) {
        self.serverVersion = serverVersion
        self.challenge = challenge
        self.protocolVersion = protocolVersion
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var serverVersion: String?
        var challenge: AuthData?
        var protocolVersion: Int32?
        while let field = try reader.next() {
            switch field.number {
            case 1: serverVersion = field.string
            case 2: challenge = try field.message()
            case 3: protocolVersion = field.int32
            default: break
            }
        }
        self.init(serverVersion: serverVersion, challenge: challenge, protocolVersion: protocolVersion)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, serverVersion)
        sink.field(2, challenge)
        sink.field(3, protocolVersion)
    }
}

/// AUTH_RESPONSE: fresh credentials.
package struct AuthResponseCommand: ProtobufMessage {
    package var clientVersion: String?
    package var response: AuthData?
    package var protocolVersion: Int32?

    package init(clientVersion: String? = nil, response: AuthData? = nil, protocolVersion: Int32? = nil) {
        self.clientVersion = clientVersion
        self.response = response
        self.protocolVersion = protocolVersion
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var clientVersion: String?
        var response: AuthData?
        var protocolVersion: Int32?
        while let field = try reader.next() {
            switch field.number {
            case 1: clientVersion = field.string
            case 2: response = try field.message()
            case 3: protocolVersion = field.int32
            default: break
            }
        }
        self.init(clientVersion: clientVersion, response: response, protocolVersion: protocolVersion)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, clientVersion)
        sink.field(2, response)
        sink.field(3, protocolVersion)
    }
}

/// Credentials, or the question for them. Its descriptions leave the bytes out.
package struct AuthData: ProtobufMessage {
    package var authMethodName: String?
    /// A secret.
    package var authData: [UInt8]?

    package init(authMethodName: String? = nil, authData: [UInt8]? = nil) {
        self.authMethodName = authMethodName
        self.authData = authData
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var authMethodName: String?
        var authData: [UInt8]?
        while let field = try reader.next() {
            switch field.number {
            case 1: authMethodName = field.string
            case 2: authData = field.bytes
            default: break
            }
        }
        self.init(authMethodName: authMethodName, authData: authData)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, authMethodName)
        sink.field(2, authData)
    }
}

extension AuthData: CustomStringConvertible, CustomReflectable {
    package var description: String { "authentication \(authMethodName ?? "not said")" }

    package var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
