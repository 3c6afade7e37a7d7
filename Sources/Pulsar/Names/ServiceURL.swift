internal import Transports

/// Where a cluster is reached: `pulsar://host[:port][,host[:port]...]`, or `pulsar+ssl://` for TLS.
///
/// Several hosts are tried in turn. An IPv6 address stands in brackets: `pulsar://[::1]:6650`. A path behind the hosts
/// means nothing.
public struct ServiceURL: Hashable, Sendable, CustomStringConvertible {
    /// One server.
    public struct Host: Hashable, Sendable, CustomStringConvertible {
        /// A name or an address, without brackets.
        public let name: String
        /// 1 to 65535.
        public let port: Int

        /// `host:port`, with an IPv6 address in brackets.
        public var description: String { HostPort.text(name, port) }
    }

    /// Whether connections are made with TLS.
    public let usesTLS: Bool
    /// At least one.
    public let hosts: [Host]

    /// Of `pulsar://` and of `pulsar+ssl://`.
    private static let (plainPort, securePort) = (6650, 6651)
    /// Hosts in one URL.
    static let hostLimit = 1000

    /// - Throws: `PulsarError` with code `invalidServiceURL`, which says what is allowed.
    public init(_ text: String) throws(PulsarError) {
        guard let mark = text.firstRange(of: "://") else { throw Self.refused("has no scheme") }
        switch text[..<mark.lowerBound].lowercased() {
        case "pulsar": usesTLS = false
        case "pulsar+ssl": usesTLS = true
        case "http", "https":
            throw Self.refused("is that of the web service, which this client does not ask")
        default: throw Self.refused("has a scheme that is not Pulsar's")
        }
        let authority = Array(text[mark.upperBound...].utf8).prefix {
            $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?")
        }
        let parts = authority.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard parts.count <= Self.hostLimit else { throw Self.refused("names more than \(Self.hostLimit) hosts") }
        var hosts: [Host] = []
        for part in parts {
            do throws(EndpointAuthority.Mistake) {
                let place = try EndpointAuthority(part)
                hosts.append(Host(name: place.host, port: place.port ?? (usesTLS ? Self.securePort : Self.plainPort)))
            } catch {
                throw Self.refused(error.what)
            }
        }
        self.hosts = hosts
    }

    /// One host of a URL, as a URL of its own.
    package init(_ host: Host, usesTLS: Bool) {
        hosts = [host]
        self.usesTLS = usesTLS
    }

    /// Not the URL itself: what is in front of an `@` would be a password.
    private static func refused(_ what: String) -> PulsarError {
        PulsarError(
            .invalidServiceURL,
            "the service URL \(what); its form is pulsar://host[:port] or pulsar+ssl://host[:port], with further hosts"
                + " behind commas and an IPv6 address in brackets")
    }

    /// With every port.
    public var description: String {
        "\(usesTLS ? "pulsar+ssl" : "pulsar")://\(hosts.map(\.description).joined(separator: ","))"
    }
}
