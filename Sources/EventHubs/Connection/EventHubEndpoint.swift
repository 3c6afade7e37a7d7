package import OpenSSLTransport

/// Where an event hub is, and how to get in.
package struct EventHubEndpoint: Sendable {
    package var host: String
    package var port: Int
    package var hub: String
    /// Nil: plain TCP.
    package var tls: TLSContext?
    package var credential: EventHubsCredential

    package init(host: String, port: Int, hub: String, tls: TLSContext?, credential: EventHubsCredential) {
        self.host = host
        self.port = port
        self.hub = hub
        self.tls = tls
        self.credential = credential
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
        let tls = string.usesDevelopmentEmulator ? nil : try Self.tls(caFile)
        self.init(
            host: string.host, port: string.port ?? (tls == nil ? 5672 : 5671), hub: hub, tls: tls,
            credential: try EventHubsCredential(string))
    }

    /// - Parameters:
    ///   - namespace: the name alone (`contoso` is `contoso.servicebus.windows.net`), the host, or a URI of the form
    ///     `sb://host[:port]/`, whose host is taken as it is.
    ///   - usesTLS: false for the emulator: plain TCP, port 5672.
    package init(
        namespace: String, eventHubName: String, credential: EventHubsCredential, usesTLS: Bool = true,
        caFile: String? = nil
    ) throws(EventHubsError) {
        guard !eventHubName.isEmpty else { throw EventHubsError(.invalidArgument, "the event hub's name is empty") }
        let (host, port) = try EventHubsNamespace.place(namespace)
        self.init(
            host: host, port: port ?? (usesTLS ? 5671 : 5672), hub: eventHubName,
            tls: usesTLS ? try Self.tls(caFile) : nil,
            credential: credential)
    }

    private static func tls(_ caFile: String?) throws(EventHubsError) -> TLSContext {
        do throws(TLSError) {
            return try .client(trust: caFile.map(TLSTrust.file) ?? .system)
        } catch {
            throw EventHubsError(.invalidArgument, "TLS cannot be set up: \(error)")
        }
    }

    /// What tokens are made for: the hub and everything below it.
    package var audience: String { "sb://\(host)/\(hub)" }
}
