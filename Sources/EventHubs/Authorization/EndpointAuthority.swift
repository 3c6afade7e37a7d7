/// Host and port of `scheme://host[:port][/...]`; an IPv6 address stands in brackets.
struct EndpointAuthority {
    /// What is wrong, to be put after the name of the thing.
    struct Mistake: Error {
        let what: String
    }

    let host: String
    let port: Int?

    init(uri: String) throws(Mistake) {
        let bytes = Array(uri.utf8)
        guard let scheme = bytes.firstIndex(of: UInt8(ascii: ":")), scheme > 0,
            bytes[(scheme + 1)...].starts(with: "//".utf8)
        else { throw Mistake(what: "has no scheme; it begins with sb://") }
        try self.init(bytes[(scheme + 3)...].prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") })
    }

    /// `host[:port]`
    init(_ authority: ArraySlice<UInt8>) throws(Mistake) {
        var host = authority
        var port: Int?
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else {
                throw Mistake(what: "has an IPv6 address without its closing bracket")
            }
            host = authority[(authority.startIndex + 1)..<close]
            let after = authority[(close + 1)...]
            if !after.isEmpty {
                guard after.first == UInt8(ascii: ":") else { throw Mistake(what: "has text after the address") }
                port = try Self.number(after.dropFirst())
            }
        } else if let colon = authority.firstIndex(of: UInt8(ascii: ":")) {
            host = authority[..<colon]
            port = try Self.number(authority[(colon + 1)...])
        }
        guard !host.isEmpty, host.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "@") }) else {
            throw Mistake(what: "names no host")
        }
        self.host = String(decoding: host, as: UTF8.self)
        self.port = port
    }

    private static func number(_ digits: ArraySlice<UInt8>) throws(Mistake) -> Int {
        guard !digits.isEmpty, digits.count <= 5, digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let value = Int(String(decoding: digits, as: UTF8.self)), (1...65535).contains(value)
        else { throw Mistake(what: "has a port that is no number from 1 to 65535") }
        return value
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
