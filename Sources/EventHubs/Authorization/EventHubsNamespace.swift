internal import Transports

extension EndpointAuthority {
    /// Of `scheme://host[:port][/...]`.
    init(uri: String) throws(Mistake) {
        let bytes = Array(uri.utf8)
        guard let scheme = bytes.firstIndex(of: UInt8(ascii: ":")), scheme > 0,
            bytes[(scheme + 1)...].starts(with: "//".utf8)
        else { throw Mistake(what: "has no scheme; it begins with sb://") }
        try self.init(bytes[(scheme + 3)...].prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") })
    }
}

/// How a namespace may be named.
enum EventHubsNamespace {
    /// The domain of namespaces in the public cloud.
    static let publicDomain = "servicebus.windows.net"

    /// A URI's host, a host with or without port, or the bare name of a namespace in the public cloud.
    static func place(_ namespace: String) throws(EventHubsError) -> (host: String, port: Int?) {
        do throws(EndpointAuthority.Mistake) {
            if namespace.contains("://") {
                let authority = try EndpointAuthority(uri: namespace)
                return (authority.host, authority.port)
            }
            let bytes = Array(namespace.utf8)
            guard bytes.allSatisfy({ $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }) else {
                throw EndpointAuthority.Mistake(what: "has a path but no scheme; a URI begins with sb://")
            }
            // An IPv6 address has more colons than a host with its port.
            if bytes.first != UInt8(ascii: "["), bytes.count(where: { $0 == UInt8(ascii: ":") }) > 1 {
                return (namespace, nil)
            }
            let authority = try EndpointAuthority(bytes[...])
            let isBareName = authority.port == nil && !authority.host.contains(".") && authority.host != "localhost"
            guard isBareName else { return (authority.host, authority.port) }
            return ("\(authority.host).\(publicDomain)", nil)
        } catch {
            throw EventHubsError(
                .invalidArgument,
                "the namespace \(error.what); give its name (contoso), its host (contoso.\(publicDomain)) or sb://host:port/"
            )
        }
    }
}
