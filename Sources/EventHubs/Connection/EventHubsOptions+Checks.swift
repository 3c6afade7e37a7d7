extension EventHubsOptions {
    /// What this library calls itself to the service.
    static let product = "tailrace/1"
    /// Characters of the connection's `user-agent`, as the Python reference has it.
    static let longestUserAgent = 512

    /// The connection's `user-agent`.
    var wholeUserAgent: String { userAgent.map { "\($0) \(Self.product)" } ?? Self.product }

    /// Finds everything that is wrong before a client is made.
    ///
    /// - Throws: `EventHubsError` with code `invalidArgument`.
    func check() throws(EventHubsError) {
        let length = wholeUserAgent.unicodeScalars.count
        guard length <= Self.longestUserAgent else {
            throw EventHubsError(
                .invalidArgument,
                "the user agent has \(length) characters with \"\(Self.product)\"; at most \(Self.longestUserAgent) are"
                    + " allowed, shorten userAgent")
        }
        let durations = [
            ("connectTimeout", connectTimeout), ("handshakeTimeout", handshakeTimeout),
            ("attachTimeout", attachTimeout),
            ("requestTimeout", requestTimeout), ("sendTimeout", sendTimeout), ("idleTimeout", idleTimeout),
            ("socketTimeout", socketTimeout ?? .seconds(1)),
        ]
        for (name, duration) in durations where duration < .milliseconds(1) {
            throw EventHubsError(.invalidArgument, "\(name) is \(duration); it must be 1 ms or longer")
        }
        try proxy?.check()
    }
}

extension EventHubsProxy {
    /// - Throws: `EventHubsError` with code `invalidArgument`.
    func check() throws(EventHubsError) {
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") }) else {
            throw EventHubsError(
                .invalidArgument, "the proxy's host is no name or address; give it without a scheme")
        }
        guard (1...65535).contains(port) else {
            throw EventHubsError(.invalidArgument, "the proxy's port is \(port); it must be from 1 to 65535")
        }
        guard user?.contains(":") != true else {
            throw EventHubsError(
                .invalidArgument, "the proxy's user name has a colon in it, which Basic authentication cannot carry")
        }
    }
}
