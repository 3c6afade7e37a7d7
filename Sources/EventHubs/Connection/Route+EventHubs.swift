package import Transports

extension Route {
    /// Section 2 of the protocol notes.
    private static let webSocketPath = "/$servicebus/websocket"
    private static let webSocketProtocol = "AMQPWSB10"

    /// The way to a namespace.
    ///
    /// - Parameters:
    ///   - namespace: its host, without port.
    ///   - port: of the namespace's endpoint; nil: the transport's default. A custom endpoint has its own.
    /// - Throws: `EventHubsError` with code `invalidArgument` for options that cannot be used; no IO but reading files.
    package init(
        to namespace: String, port: Int?, usesTLS: Bool, options: EventHubsOptions
    ) throws(EventHubsError) {
        try options.check()
        var address: (host: String, port: Int?) = (namespace, port)
        if let text = options.customEndpoint {
            do throws(EndpointAuthority.Mistake) {
                let custom = try EndpointAuthority(customEndpoint: text)
                address = (custom.host, custom.port)
            } catch {
                throw EventHubsError(
                    .invalidArgument, "customEndpoint \(error.what); its form is sb://host[:port] or host[:port]")
            }
        }
        let usual =
            switch (options.transport, usesTLS) {
            case (.amqp, true): 5671
            case (.amqp, false): 5672
            case (.webSocket, true): 443
            case (.webSocket, false): 80
            }
        let tls = usesTLS ? try options.tls.makeContext() : nil
        self.init(host: address.host, port: address.port ?? usual, tls: tls)
        if options.transport == .webSocket {
            // The port belongs to Host unless it is the scheme's own (RFC 9110 section 7.2).
            let isDefault = self.port == usual
            let bare = host.contains(":") ? "[\(host)]" : host
            webSocket = WebSocketRoute(
                path: Self.webSocketPath, subprotocol: Self.webSocketProtocol,
                host: isDefault ? bare : HostPort.text(host, self.port))
        }
        proxy = options.proxy?.proxy
        connectTimeout = min(options.connectTimeout, options.socketTimeout ?? options.connectTimeout)
        handshakeTimeout = options.handshakeTimeout
        stallTimeout = options.socketTimeout
    }
}

extension EndpointAuthority {
    /// `[scheme://]host[:port]`
    fileprivate init(customEndpoint text: String) throws(Mistake) {
        if text.contains("://") {
            try self.init(uri: text)
        } else {
            try self.init(Array(text.utf8).prefix { $0 != UInt8(ascii: "/") })
        }
    }
}

extension EventHubsError {
    /// What `Dialer.dial` failed with.
    init(dialling error: any Error) {
        guard let error = error as? DialError, error.isPermanent else {
            self.init(.connectFailed, "\(error)")
            return
        }
        // No retry can mend these.
        self.init(error.step == .proxy ? .unauthorized : .invalidArgument, error.message)
    }
}
