/// Where syslog messages are taken from: an element of `listen`.
package enum SyslogAddress: Equatable, Sendable, CustomStringConvertible {
    case udp(host: String, port: Int)
    case tcp(host: String, port: Int)
    case tls(host: String, port: Int)
    /// A socket for datagrams with this path.
    case unix(path: String)
    /// What systemd listens on and passes under this name (`FileDescriptorName=` of the socket unit).
    case systemd(name: String)

    /// A path's bytes that fit in a socket's address.
    static let maximumPath = 107

    /// `udp://HOST:PORT`, `tcp://…`, `tls://…`, `unix:///PATH`, `systemd:NAME`; hosts are addresses, `*` and `[::]` are all
    /// of this machine. Nil for anything else.
    package init?(_ text: String) {
        if text.hasPrefix("systemd:") {
            let name = String(text.dropFirst(8))
            guard !name.isEmpty, name.utf8.count <= 255, !name.utf8.contains(UInt8(ascii: ":")) else { return nil }
            self = .systemd(name: name)
            return
        }
        if text.hasPrefix("unix://") {
            let path = String(text.dropFirst(7))
            guard path.hasPrefix("/"), path.utf8.count > 1, path.utf8.count <= Self.maximumPath, !path.utf8.contains(0)
            else { return nil }
            self = .unix(path: path)
            return
        }
        guard let scheme = ["udp", "tcp", "tls"].first(where: { text.hasPrefix("\($0)://") }) else { return nil }
        let rest = text.dropFirst(6)
        guard let colon = rest.lastIndex(of: ":") else { return nil }
        var host = rest[..<colon]
        guard let port = Int(rest[rest.index(after: colon)...]), (0...65535).contains(port) else { return nil }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        let name = host == "*" ? "::" : String(host)
        guard PeerAddress(name) != nil else { return nil }
        switch scheme {
        case "udp": self = .udp(host: name, port: port)
        case "tcp": self = .tcp(host: name, port: port)
        default: self = .tls(host: name, port: port)
        }
    }

    package var description: String {
        switch self {
        case .udp(let host, let port): "udp://\(Self.bracketed(host)):\(port)"
        case .tcp(let host, let port): "tcp://\(Self.bracketed(host)):\(port)"
        case .tls(let host, let port): "tls://\(Self.bracketed(host)):\(port)"
        case .unix(let path): "unix://\(path)"
        case .systemd(let name): "systemd:\(name)"
        }
    }

    private static func bracketed(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }

    /// Whether one socket can serve both: TLS is a matter of what is made of the bytes.
    func isSamePlace(as other: SyslogAddress) -> Bool {
        switch (self, other) {
        case (.tcp(let host, let port), .tls(let otherHost, let otherPort)),
            (.tls(let host, let port), .tcp(let otherHost, let otherPort)):
            host == otherHost && port == otherPort
        default: self == other
        }
    }

    package var isTLS: Bool { if case .tls = self { true } else { false } }
}
