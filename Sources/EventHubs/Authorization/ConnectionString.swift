/// A connection string of an Event Hubs namespace, taken apart.
///
/// `Endpoint=sb://<host>[:port]/;SharedAccessKeyName=<name>;SharedAccessKey=<key>[;EntityPath=<hub>]`, or with a ready
/// `SharedAccessSignature` in place of name and key. Keys of the string are case-insensitive, unknown ones are ignored.
public struct EventHubsConnectionString: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// The host, without port: what the service calls the fully qualified namespace.
    public var host: String
    /// From `Endpoint`; nil: the default of the transport.
    public var port: Int?
    /// `EntityPath`.
    public var eventHubName: String?
    public var sharedAccessKeyName: String?
    public var sharedAccessKey: String?
    /// A ready token; when both are given, it is used and the key is not.
    public var sharedAccessSignature: String?
    /// `UseDevelopmentEmulator=true`: plain TCP, port 5672 unless the endpoint names another.
    public var usesDevelopmentEmulator = false

    private static let form =
        "Endpoint=sb://<host>/;SharedAccessKeyName=<name>;SharedAccessKey=<key>;EntityPath=<event hub>"

    /// - Throws: `EventHubsError` with code `invalidConnectionString`, naming the part that is wrong, never its value.
    public init(_ text: String) throws(EventHubsError) {
        var values: [String: String] = [:]
        var rest = text[...]
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace || last == ";" { rest.removeLast() }
        guard !rest.isEmpty else { throw Self.malformed("it is blank") }
        for (index, part) in rest.split(separator: ";", omittingEmptySubsequences: false).enumerated() {
            guard !part.isEmpty else { throw Self.malformed("part \(index + 1) is empty (two semicolons in a row)") }
            guard let equals = part.firstIndex(of: "=") else {
                throw Self.malformed("part \(index + 1) has no \"=\"")
            }
            let key = part[..<equals].lowercased()
            let value = part[part.index(after: equals)...]
            guard !key.isEmpty else { throw Self.malformed("part \(index + 1) has no key before \"=\"") }
            guard !value.isEmpty else { throw Self.malformed("part \(index + 1) has no value after \"=\"") }
            guard values.updateValue(String(value), forKey: key) == nil else {
                throw Self.malformed("part \(index + 1) repeats a key that came before")
            }
        }
        guard let endpoint = values["endpoint"] ?? values["hostname"] else {
            throw Self.malformed("it has no Endpoint")
        }
        (host, port) = try Self.authority(of: endpoint)
        eventHubName = values["entitypath"]
        sharedAccessKeyName = values["sharedaccesskeyname"]
        sharedAccessKey = values["sharedaccesskey"]
        sharedAccessSignature = values["sharedaccesssignature"]
        switch values["usedevelopmentemulator"]?.lowercased() {
        case "true": usesDevelopmentEmulator = true
        case nil, "false": break
        default: throw Self.malformed("UseDevelopmentEmulator is neither true nor false")
        }
        if sharedAccessSignature == nil {
            guard sharedAccessKeyName != nil || sharedAccessKey != nil else {
                throw Self.malformed("it has neither SharedAccessKey nor SharedAccessSignature")
            }
            guard sharedAccessKeyName != nil else { throw Self.malformed("SharedAccessKeyName is missing") }
            guard sharedAccessKey != nil else { throw Self.malformed("SharedAccessKey is missing") }
        }
    }

    private static func malformed(_ what: String) -> EventHubsError {
        EventHubsError(.invalidConnectionString, "the connection string cannot be used: \(what); its form is \(form)")
    }

    /// Host and port of `scheme://host[:port][/...]`; an IPv6 address stands in brackets.
    private static func authority(of endpoint: String) throws(EventHubsError) -> (host: String, port: Int?) {
        let bytes = Array(endpoint.utf8)
        guard let scheme = bytes.firstIndex(of: UInt8(ascii: ":")), scheme > 0,
            bytes[(scheme + 1)...].starts(with: "//".utf8)
        else { throw malformed("Endpoint has no scheme; it begins with sb://") }
        let authority = bytes[(scheme + 3)...].prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        var host = authority
        var port: Int?
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else {
                throw malformed("the IPv6 address in Endpoint has no closing bracket")
            }
            host = authority[(authority.startIndex + 1)..<close]
            let after = authority[(close + 1)...]
            if !after.isEmpty {
                guard after.first == UInt8(ascii: ":") else { throw malformed("Endpoint has text after the address") }
                port = try number(after.dropFirst())
            }
        } else if let colon = authority.firstIndex(of: UInt8(ascii: ":")) {
            host = authority[..<colon]
            port = try number(authority[(colon + 1)...])
        }
        guard !host.isEmpty, host.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "@") }) else {
            throw malformed("Endpoint names no host")
        }
        return (String(decoding: host, as: UTF8.self), port)
    }

    private static func number(_ digits: ArraySlice<UInt8>) throws(EventHubsError) -> Int {
        guard !digits.isEmpty, digits.count <= 5, digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let value = Int(String(decoding: digits, as: UTF8.self)), (1...65535).contains(value)
        else { throw malformed("the port in Endpoint is no number from 1 to 65535") }
        return value
    }

    /// Without the key and the signature.
    public var description: String {
        var text = "Endpoint=sb://\(host)" + (port.map { ":\($0)" } ?? "") + "/"
        if let sharedAccessKeyName { text += ";SharedAccessKeyName=\(sharedAccessKeyName)" }
        if sharedAccessKey != nil { text += ";SharedAccessKey=…" }
        if sharedAccessSignature != nil { text += ";SharedAccessSignature=…" }
        if let eventHubName { text += ";EntityPath=\(eventHubName)" }
        if usesDevelopmentEmulator { text += ";UseDevelopmentEmulator=true" }
        return text
    }

    public var debugDescription: String { description }
}
