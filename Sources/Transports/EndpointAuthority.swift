/// Host and port, as URLs and connection strings have them: `host[:port]`; an IPv6 address stands in brackets.
package struct EndpointAuthority {
    /// What is wrong, to be put after the name of the thing.
    package struct Mistake: Error {
        package let what: String

        package init(what: String) { self.what = what }
    }

    package let host: String
    package let port: Int?

    /// `host[:port]`
    package init(_ authority: ArraySlice<UInt8>) throws(Mistake) {
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
