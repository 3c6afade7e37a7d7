package import Transports

/// Where an event hub is, and how to get in.
package struct EventHubEndpoint: Sendable {
    /// The namespace: what AMQP and tokens name, whatever the way there.
    package var host: String
    package var hub: String
    /// The way there.
    package var route: Route
    package var credential: EventHubsCredential

    package init(host: String, hub: String, route: Route, credential: EventHubsCredential) {
        self.host = host
        self.hub = hub
        self.route = route
        self.credential = credential
    }

    /// - Parameter eventHubName: may be left out when the string has `EntityPath`; both may not be given and differ.
    package init(
        _ string: EventHubsConnectionString, eventHubName: String? = nil,
        options: EventHubsOptions = EventHubsOptions()
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
        let route = try Route(
            to: string.host, port: string.port, usesTLS: !string.usesDevelopmentEmulator, options: options)
        self.init(host: string.host, hub: hub, route: route, credential: try EventHubsCredential(string))
    }

    /// - Parameters:
    ///   - namespace: the name alone (`contoso` is `contoso.servicebus.windows.net`), the host, or a URI of the form
    ///     `sb://host[:port]/`, whose host is taken as it is.
    ///   - usesTLS: false for the emulator: plain TCP.
    package init(
        namespace: String, eventHubName: String, credential: EventHubsCredential, usesTLS: Bool = true,
        options: EventHubsOptions = EventHubsOptions()
    ) throws(EventHubsError) {
        guard !eventHubName.isEmpty else { throw EventHubsError(.invalidArgument, "the event hub's name is empty") }
        let (host, port) = try EventHubsNamespace.place(namespace)
        let route = try Route(to: host, port: port, usesTLS: usesTLS, options: options)
        self.init(host: host, hub: eventHubName, route: route, credential: credential)
    }

    /// What tokens are made for: the hub and everything below it.
    package var audience: String { "sb://\(host)/\(hub)" }
}
