internal import OpenSSLTransport

/// The times in a JSON web token; its signature is for the service to check.
package struct JWT {
    package let expiry: Int64

    package init?(_ token: String) {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        var payload = String(parts[1].map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
        payload += String(repeating: "=", count: (4 - payload.utf8.count % 4) % 4)
        guard let bytes = Base64.decode(payload), let expiry = (try? JSONValue(bytes))?["exp"]?.integer else {
            return nil
        }
        self.expiry = expiry
    }
}
