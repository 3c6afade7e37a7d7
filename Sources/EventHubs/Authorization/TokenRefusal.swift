internal import Transports

/// Says why the service took no token: most of all, whether this machine's clock is wrong.
enum TokenRefusal {
    /// `error` with what the token and the clock tell about it.
    ///
    /// - Parameter now: seconds since 1970 by this machine's clock.
    static func explained(_ error: EventHubsError, _ token: AccessToken?, now: Int64) -> EventHubsError {
        guard error.code == .unauthorized, let token, let hint = hint(error.message.lowercased(), token, now),
            !error.message.contains(hint)
        else { return error }
        var error = error
        error.message += "; \(hint)"
        return error
    }

    private static func hint(_ text: String, _ token: AccessToken, _ now: Int64) -> String? {
        let clock = "this machine's clock (\(UTCTime.text(now)))"
        if case .issuer(let skew?) = token.origin, abs(skew) >= ClockSkew.notable {
            return ClockSkew.text(skew)
        }
        if token.origin == .signature, let expiry = token.expiry, expiry <= now {
            return "the shared access signature ended \(now - expiry) s ago by \(clock): give a new one, or the key"
        }
        if ["not yet valid", "not valid yet", "not before", "nbf"].contains(where: text.contains) {
            return "\(clock) seems to be ahead: \(ClockSkew.remedy)"
        }
        if ["expired", "lifetime"].contains(where: text.contains) {
            guard let expiry = token.expiry, expiry > now else { return nil }
            return
                "by \(clock) the token is good for another \(expiry - now) s, so the clock is at least that much behind:"
                + " \(ClockSkew.remedy)"
        }
        return nil
    }
}
