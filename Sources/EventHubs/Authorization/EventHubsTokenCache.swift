package import Transports

/// The tokens of an `EventHubsTokenProvider`.
package typealias EventHubsTokenCache = TokenCache<EventHubsToken>

extension EventHubsToken: CachedToken {}

extension TokenCache<EventHubsToken> {
    /// - Parameter fetchLimit: for one fetch, with the provider's own retries.
    package convenience init(_ provider: any EventHubsTokenProvider, fetchLimit: Duration = .seconds(120)) {
        // A provider that does not describe itself would show what it holds.
        let description = (provider as? any CustomStringConvertible)?.description ?? "\(type(of: provider))"
        self.init(description, fetchLimit: fetchLimit) { failure in
            Self.error(failure, description)
        } provider: { scope in
            try await provider.token(scope: scope)
        }
    }

    private static func error(_ failure: TokenFailure, _ provider: String) -> EventHubsError {
        switch failure {
        case .tooManyScopes(let limit): EventHubsError(.invalidArgument, "tokens for more than \(limit) scopes")
        case .timeout(let limit):
            EventHubsError(.timeout, "getting a token from \(provider): no answer within \(limit.text)")
        case .provider(let error):
            error as? EventHubsError
                ?? EventHubsError(.connectFailed, "the token provider gave no token: \(error)")
        case .notAToken: EventHubsError(.unauthorized, "the token provider gave something that cannot be a token")
        case .ended(let expiry, let now):
            EventHubsError(
                .connectFailed,
                "the token provider gave a token that ended at \(UTCTime.text(expiry)); it is \(UTCTime.text(now)) by this"
                    + " machine's clock: check both")
        }
    }
}
