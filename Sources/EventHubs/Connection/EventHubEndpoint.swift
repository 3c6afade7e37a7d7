package import OpenSSLTransport

/// Where an event hub is, and how to get in.
package struct EventHubEndpoint: Sendable {
    package var host: String
    package var port: Int
    package var hub: String
    /// Nil: plain TCP.
    package var tls: TLSContext?
    package var tokens: TokenSource

    package init(host: String, port: Int, hub: String, tls: TLSContext?, tokens: TokenSource) {
        self.host = host
        self.port = port
        self.hub = hub
        self.tls = tls
        self.tokens = tokens
    }

    /// - Parameters:
    ///   - eventHubName: wins over the connection string's `EntityPath`; both may not be given and differ.
    ///   - usesTLS: nil: unless the string says `UseDevelopmentEmulator=true`.
    package init(
        _ string: EventHubsConnectionString, eventHubName: String? = nil, caFile: String? = nil
    ) throws(EventHubsError) {
        if let eventHubName, let own = string.eventHubName, own != eventHubName {
            throw EventHubsError(
                .invalidArgument,
                "the event hub is named \(eventHubName) by the caller and \(own) by the connection string's EntityPath;"
                    + " remove one of them")
        }
        guard let hub = eventHubName ?? string.eventHubName, !hub.isEmpty else {
            throw EventHubsError(
                .invalidArgument, "no event hub is named; add EntityPath=<name> to the connection string or name it")
        }
        var tls: TLSContext?
        if !string.usesDevelopmentEmulator {
            do throws(TLSError) {
                tls = try .client(trust: caFile.map(TLSTrust.file) ?? .system)
            } catch {
                throw EventHubsError(.invalidArgument, "TLS cannot be set up: \(error)")
            }
        }
        self.init(
            host: string.host, port: string.port ?? (tls == nil ? 5672 : 5671), hub: hub, tls: tls,
            tokens: try TokenSource(string))
    }

    /// What tokens are made for: the hub and everything below it.
    package var audience: String { "sb://\(host)/\(hub)" }
}
