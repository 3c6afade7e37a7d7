internal import Transports

/// An HTTP forward proxy that connections are made through, with the `CONNECT` method.
///
/// It works with both transports: the proxy is asked to connect to the very host and port that would be connected to
/// without it. (The Python reference silently turns to WebSocket on port 443 as soon as a proxy is given.) A proxy that
/// allows port 443 alone, as many do, needs `EventHubsOptions.transport = .webSocket`. The connection to the proxy itself
/// is plain TCP; TLS runs through it, so the proxy sees host, port and amounts, and nothing else.
public struct EventHubsProxy: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// A name or an address, without scheme.
    public var host: String
    /// 1 to 65535.
    public var port: Int
    /// For Basic authentication (RFC 7617), which is used when a user or a password is given; it has no colon in it.
    public var user: String?
    /// Never shown in a description, an error or a log.
    public var password: String?

    public init(host: String, port: Int, user: String? = nil, password: String? = nil) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
    }

    /// `user@host:port`, without the password.
    public var description: String { proxy.description }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["proxy": description]) }

    var proxy: HTTPProxy { HTTPProxy(host: host, port: port, user: user, password: password) }
}
