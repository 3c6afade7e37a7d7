package import NIOCore
package import OpenSSLTransport

/// The way to a peer: which address to connect to, through what, and how long each step may take.
package struct Route: Sendable {
    /// Where the TCP connection ends, seen from the peer's side: the peer itself, or what stands in for it.
    package var host: String
    package var port: Int
    /// Nil: plain text.
    package var tls: TLSContext?
    /// The name that the certificate must bear.
    package var serverName: String
    /// Nil: the bytes go straight over TCP or TLS.
    package var webSocket: WebSocketRoute?
    package var proxy: HTTPProxy?
    /// Name resolution and TCP.
    package var connectTimeout: Duration = .seconds(10)
    /// Proxy, TLS and WebSocket together.
    package var handshakeTimeout: Duration = .seconds(20)
    /// How long sent bytes may stay unacknowledged before the kernel gives the connection up (TCP_USER_TIMEOUT); nil:
    /// the kernel's own patience, some 15 minutes.
    package var stallTimeout: Duration?
    /// Makes the TCP connection, to the peer or to its proxy; nil: a socket does. For simulations of a network: what travels
    /// over the channel, and every deadline but that of connecting, is this library's.
    package var connector: Connector?

    /// A connection to `host` and `port`, active, on `eventLoop`; fails when `timeout` has passed.
    package typealias Connector =
        @Sendable (
            _ host: String, _ port: Int, _ timeout: TimeAmount, _ eventLoop: any EventLoop
        ) -> EventLoopFuture<any Channel>

    package init(host: String, port: Int, tls: TLSContext? = nil, serverName: String? = nil) {
        self.host = host
        self.port = port
        self.tls = tls
        self.serverName = serverName ?? host
    }

    /// For messages and for CONNECT.
    package var place: String { HostPort.text(host, port) }
}

/// What a WebSocket server is asked for.
package struct WebSocketRoute: Hashable, Sendable {
    /// The absolute path of the request.
    package var path: String
    /// The sub-protocol that the server must agree to.
    package var subprotocol: String
    /// The value of `Host`.
    package var host: String

    package init(path: String, subprotocol: String, host: String) {
        self.path = path
        self.subprotocol = subprotocol
        self.host = host
    }
}

/// A forward proxy that is asked to `CONNECT`. The connection to it is plain TCP.
package struct HTTPProxy: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    package var host: String
    package var port: Int
    /// Basic authentication, when either is given.
    package var user: String?
    package var password: String?

    package init(host: String, port: Int, user: String? = nil, password: String? = nil) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
    }

    package var place: String { HostPort.text(host, port) }
    var hasCredentials: Bool { user != nil || password != nil }
    /// The value of `Proxy-Authorization` (Basic, RFC 7617); nil without user and password.
    var authorization: String? {
        hasCredentials ? "Basic " + Base64.encode("\(user ?? ""):\(password ?? "")".utf8) : nil
    }
    /// Without the password.
    package var description: String { (user.map { "\($0)@" } ?? "") + place }
    package var debugDescription: String { description }
}

/// A host and a port in one word.
package enum HostPort {
    /// `host:port`, with an IPv6 address in brackets.
    package static func text(_ host: String, _ port: Int) -> String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Nothing that could end a line or a word of a request, and not nothing.
    static func isSound(_ host: String) -> Bool {
        !host.isEmpty && host.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }
}
