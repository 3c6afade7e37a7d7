internal import Transports

extension EventHubEndpoint {
    /// The way there.
    func route(_ options: EventHubsOptions) -> Route {
        var route = Route(host: host, port: port, tls: tls)
        route.connectTimeout = options.connectTimeout
        route.handshakeTimeout = options.handshakeTimeout
        return route
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
