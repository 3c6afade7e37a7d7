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
        let place: EndpointAuthority
        do throws(EndpointAuthority.Mistake) {
            place = try EndpointAuthority(authority)
        } catch {
            throw HTTPError(.invalidRequest, "a URL \(error.what)")
        }
        self.isSecure = isSecure
        host = place.host
        port = place.port ?? (isSecure ? 443 : 80)
        let target = String(decoding: path, as: UTF8.self)
        self.path = target.hasPrefix("/") ? target : "/\(target)"
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
