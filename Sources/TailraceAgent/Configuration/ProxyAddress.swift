package import EventHubs

/// Reads `http://HOST:PORT`.
package enum ProxyAddress {
    package struct Failure: Error, Equatable {
        /// Never what was written: somebody may have put a password in.
        package var problem: String
        package var remedy: String
    }

    /// A user and a password are not part of it: they would end up in a file that everybody may read, or in a command
    /// line.
    package static func parse(_ text: String) throws(Failure) -> EventHubsProxy {
        let scheme = "http://"
        guard text.lowercased().hasPrefix(scheme) else {
            throw Failure(
                problem: text.contains("://") ? "is not an http proxy" : "has no scheme",
                remedy: "write \"http://HOST:PORT\"; TLS runs through the proxy all the same")
        }
        let rest = text.dropFirst(scheme.count)
        guard !rest.contains("@") else {
            throw Failure(
                problem: "holds a user or a password",
                remedy: "name the user and a file with the password apart from it")
        }
        let place = rest.hasSuffix("/") ? rest.dropLast() : rest
        guard let address = ListenAddress(String(place)), address.port > 0, !address.host.contains("/") else {
            throw Failure(problem: "is not an address with a port", remedy: "write \"http://HOST:PORT\"")
        }
        return EventHubsProxy(host: address.host, port: address.port)
    }
}
