internal import Transports

/// A connection string of an Event Hubs namespace, taken apart.
///
/// `Endpoint=sb://<host>[:port]/;SharedAccessKeyName=<name>;SharedAccessKey=<key>[;EntityPath=<hub>]`, or with a ready
/// `SharedAccessSignature` in place of name and key. Keys of the string are case-insensitive, unknown ones are ignored.
public struct EventHubsConnectionString: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
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

    private static func authority(of endpoint: String) throws(EventHubsError) -> (host: String, port: Int?) {
        do throws(EndpointAuthority.Mistake) {
            let authority = try EndpointAuthority(uri: endpoint)
            return (authority.host, authority.port)
        } catch {
            throw malformed("Endpoint \(error.what)")
        }
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
    public var customMirror: Mirror { Mirror(self, children: []) }
}
