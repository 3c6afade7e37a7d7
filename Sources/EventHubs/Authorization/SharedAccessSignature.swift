internal import OpenSSLTransport
internal import Transports

/// A shared access signature: the token that proves knowledge of a key without sending it.
package struct SharedAccessSignature: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// What goes to the service. A secret until it expires.
    package let token: String
    /// Seconds since 1970; nil: the token does not say.
    package let expiry: Int64?

    /// Signs access to `resource` (such as `sb://host/hub`, which covers everything below) until `expiry`.
    package init(resource: String, keyName: String, key: String, expiry: Int64) {
        let encoded = FormEncoding.text(resource)
        let signature = Base64.encode(
            HMACSHA256.authenticate(message: "\(encoded)\n\(expiry)".utf8, key: key.utf8))
        token =
            "SharedAccessSignature sr=\(encoded)&sig=\(FormEncoding.text(signature))&se=\(expiry)"
            + "&skn=\(FormEncoding.text(keyName))"
        self.expiry = expiry
    }

    /// A token made elsewhere; only its expiry (`se`) is read.
    package init(token: String) throws(EventHubsError) {
        let prefix = "SharedAccessSignature "
        guard token.hasPrefix(prefix), token.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
            throw EventHubsError(
                .invalidConnectionString,
                "the shared access signature cannot be used: it does not begin with \"SharedAccessSignature sr=\"")
        }
        var expiry: Int64?
        for field in token.dropFirst(prefix.count).split(separator: "&") where field.hasPrefix("se=") {
            guard let seconds = Int64(field.dropFirst(3)), seconds >= 0 else {
                throw EventHubsError(
                    .invalidConnectionString,
                    "the shared access signature cannot be used: its expiry (se) is no number of seconds")
            }
            expiry = seconds
        }
        self.token = token
        self.expiry = expiry
    }

    package var description: String { "SharedAccessSignature until \(expiry.map(String.init) ?? "an unknown time")" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
