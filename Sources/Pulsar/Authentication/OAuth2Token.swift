internal import Transports

/// An access token, and how long it is good.
struct OAuth2Token: CachedToken, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let value: String
    let expiry: Int64
    let refreshAfter: Int64?

    var description: String { "token until \(UTCTime.text(expiry))" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }

    static func error(_ failure: TokenFailure, _ who: String) -> PulsarError {
        switch failure {
        case .tooManyScopes(let limit): PulsarError(.invalidConfiguration, "tokens for more than \(limit) scopes")
        case .timeout(let limit): PulsarError(.credentialsUnavailable, "the \(who) got no token within \(limit.text)")
        case .provider(let error):
            error as? PulsarError ?? PulsarError(.credentialsUnavailable, "the \(who) got no token: \(error)")
        case .notAToken:
            PulsarError(.credentialsUnavailable, "the \(who) got something that cannot be a token")
        case .ended(let expiry, let now):
            PulsarError(
                .credentialsUnavailable,
                "the \(who) got a token that ended at \(UTCTime.text(expiry)); it is \(UTCTime.text(now)) by this machine's"
                    + " clock: check both")
        }
    }
}
