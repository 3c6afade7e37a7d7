/// One request, and all of it.
package struct HTTPRequest: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var method: String
    package var url: HTTPURL
    /// Besides `Host`, `Connection`, `User-Agent` and `Content-Length`, which are set by themselves.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(
        _ method: String, _ url: HTTPURL, headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }

    /// Neither header fields nor body: both may hold secrets.
    package var description: String { "\(method) \(url)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// One response, and all of it.
package struct HTTPResponse: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first field of that name, whatever its case.
    package subscript(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// Neither header fields nor body: both may hold secrets.
    package var description: String { "HTTP status \(status), \(body.count) bytes" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why there is no response: where, what, and what to do. Contains nothing of header fields and bodies.
package struct HTTPError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// The request cannot be sent as it is; nothing was.
        case invalidRequest
        /// No connection: name, TCP, proxy or TLS.
        case connect
        /// Not all of it was done within the deadline.
        case timeout
        /// The response has more bytes than allowed.
        case tooLarge
        /// What came is no HTTP.
        case malformed
        /// The connection ended before the response did.
        case closed
        case cancelled
    }

    package var kind: Kind
    package var message: String
    /// Trying again is of no use before somebody changes the configuration.
    package var isPermanent: Bool

    package init(_ kind: Kind, _ message: String, isPermanent: Bool? = nil) {
        self.kind = kind
        self.message = message
        self.isPermanent = isPermanent ?? (kind == .invalidRequest)
    }

    package var description: String { message }
}
