internal import OpenSSLTransport
internal import Transports

/// The name and secret of an application, from a key as the official clients take it.
struct OAuth2Key: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let clientID: String
    let clientSecret: String

    /// Bytes of a key file.
    static let sizeLimit = 64 << 10
    private static let dataPrefix = "data:application/json;base64,"

    /// - Parameter place: a path, a `file://` URL or a `data:` URL.
    init(_ place: String) throws(PulsarError) {
        if place.hasPrefix("data:") {
            guard place.hasPrefix(Self.dataPrefix) else {
                throw PulsarError(
                    .invalidConfiguration, "the OAuth 2 key is a data: URL of another form than \(Self.dataPrefix)...")
            }
            guard let bytes = Base64.decode(String(place.dropFirst(Self.dataPrefix.count))) else {
                throw PulsarError(.invalidConfiguration, "the OAuth 2 key in the data: URL is not base64")
            }
            try self.init(bytes, "the OAuth 2 key in the data: URL", .invalidConfiguration)
        } else {
            let path = place.hasPrefix("file://") ? String(place.dropFirst("file://".count)) : place
            let bytes: [UInt8]
            do throws(SmallFile.Failure) {
                bytes = try SmallFile.bytes(path, limit: Self.sizeLimit, what: "the OAuth 2 key")
            } catch {
                throw PulsarError(.credentialsUnavailable, error.message)
            }
            try self.init(bytes, "the OAuth 2 key in \(path)", .credentialsUnavailable)
        }
    }

    private init(_ bytes: [UInt8], _ what: String, _ code: PulsarError.Code) throws(PulsarError) {
        guard let json = try? JSONValue(bytes) else { throw PulsarError(code, "\(what) is no JSON") }
        guard let clientID = json["client_id"]?.text, !clientID.isEmpty, let secret = json["client_secret"]?.text,
            !secret.isEmpty
        else { throw PulsarError(code, "\(what) lacks client_id or client_secret") }
        self.clientID = clientID
        clientSecret = secret
    }

    var description: String { "key of \(clientID)" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}
