package import NIOCore

/// How a client identifies itself on the SASL layer.
package enum SASLCredential: Hashable, Sendable, CustomStringConvertible {
    /// Nobody in particular: authorisation follows elsewhere (Event Hubs: by CBS).
    case anonymous
    case plain(user: String, password: String)
    /// The transport has identified us (a TLS client certificate); `authorization`: act as somebody else.
    case external(authorization: String? = nil)

    package var mechanism: String {
        switch self {
        case .anonymous: "ANONYMOUS"
        case .plain: "PLAIN"
        case .external: "EXTERNAL"
        }
    }

    package var initialResponse: ByteBuffer {
        switch self {
        case .anonymous: ByteBuffer()
        case .plain(let user, let password): ByteBuffer(string: "\0\(user)\0\(password)")
        case .external(let authorization): ByteBuffer(string: authorization ?? "")
        }
    }

    /// Without the password.
    package var description: String {
        switch self {
        case .plain(let user, _): "PLAIN as \(user)"
        default: mechanism
        }
    }
}

/// Who a client says it is, as a server reads it.
package enum SASLIdentity: Hashable, Sendable, CustomStringConvertible {
    case anonymous(trace: String)
    /// `authorization` is empty unless the client wants to act as somebody else.
    case plain(authorization: String, user: String, password: String)
    case external(authorization: String)

    package init(mechanism: String, response: ByteBuffer) throws(SASLError) {
        let bytes = response.readableBytesView
        switch mechanism {
        // Event Hubs clients in .NET call the same thing MSSBCBS.
        case "ANONYMOUS", "MSSBCBS": self = .anonymous(trace: String(decoding: bytes, as: UTF8.self))
        case "EXTERNAL": self = .external(authorization: String(decoding: bytes, as: UTF8.self))
        case "PLAIN":
            let parts = bytes.split(separator: 0, maxSplits: 3, omittingEmptySubsequences: false)
            guard parts.count == 3 else {
                throw SASLError("a PLAIN response has three parts between two zero bytes; this one has \(parts.count)")
            }
            let texts = parts.map { String(decoding: $0, as: UTF8.self) }
            self = .plain(authorization: texts[0], user: texts[1], password: texts[2])
        default: throw SASLError("mechanism \(mechanism) is not one of ANONYMOUS, PLAIN, EXTERNAL")
        }
    }

    /// Without the password.
    package var description: String {
        switch self {
        case .anonymous: "ANONYMOUS"
        case .plain(_, let user, _): "PLAIN as \(user)"
        case .external(let authorization): "EXTERNAL as \(authorization)"
        }
    }
}

/// Why a SASL dialogue cannot go on.
package struct SASLError: Error, Hashable, Sendable, CustomStringConvertible {
    package var message: String
    /// The server's verdict, when there was one.
    package var code: SASLCode?

    package init(_ message: String, code: SASLCode? = nil) {
        self.message = message
        self.code = code
    }

    package var description: String { message }
}
