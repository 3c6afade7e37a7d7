/// An `http` or `https` URL, taken apart: `scheme://host[:port][/path][?query]`.
package struct HTTPURL: Hashable, Sendable, CustomStringConvertible {
    package var isSecure: Bool
    package var host: String
    package var port: Int
    /// With the query; never empty.
    package var path: String

    /// - Throws: `HTTPError` of kind `invalidRequest`. Its message shows neither path nor query.
    package init(_ text: String) throws(HTTPError) {
        let bytes = Array(text.utf8)
        let isSecure = bytes.starts(with: "https://".utf8)
        guard isSecure || bytes.starts(with: "http://".utf8) else {
            throw HTTPError(.invalidRequest, "a URL begins with neither http:// nor https://")
        }
        guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw HTTPError(.invalidRequest, "a URL contains a space or a character that is not ASCII")
        }
        let rest = bytes[(isSecure ? 8 : 7)...]
        let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        let path = rest[authority.endIndex...].prefix { $0 != UInt8(ascii: "#") }
        var host = authority
        var port: Int?
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else {
                throw HTTPError(.invalidRequest, "a URL's IPv6 address has no closing bracket")
            }
            host = authority[(authority.startIndex + 1)..<close]
            let after = authority[(close + 1)...]
            guard after.isEmpty || after.first == UInt8(ascii: ":") else {
                throw HTTPError(.invalidRequest, "a URL has text after its IPv6 address")
            }
            if !after.isEmpty { port = try Self.port(after.dropFirst()) }
        } else if let colon = authority.firstIndex(of: UInt8(ascii: ":")) {
            host = authority[..<colon]
            port = try Self.port(authority[(colon + 1)...])
        }
        guard !host.isEmpty, !authority.contains(UInt8(ascii: "@")) else {
            throw HTTPError(.invalidRequest, "a URL names no host, or a user")
        }
        self.isSecure = isSecure
        self.host = String(decoding: host, as: UTF8.self)
        self.port = port ?? (isSecure ? 443 : 80)
        let target = String(decoding: path, as: UTF8.self)
        self.path = target.hasPrefix("/") ? target : "/\(target)"
    }

    private static func port(_ digits: ArraySlice<UInt8>) throws(HTTPError) -> Int {
        guard !digits.isEmpty, digits.count <= 5, digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let value = Int(String(decoding: digits, as: UTF8.self)), (1...65535).contains(value)
        else { throw HTTPError(.invalidRequest, "a URL's port is no number from 1 to 65535") }
        return value
    }

    /// For the `Host` field: with the port unless it is the scheme's own.
    var authority: String {
        guard port == (isSecure ? 443 : 80) else { return HostPort.text(host, port) }
        return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
    }

    /// Without the query, which may be long and is for the server alone.
    package var description: String {
        "\(isSecure ? "https" : "http")://\(authority)\(path.prefix { $0 != "?" })"
    }
}
