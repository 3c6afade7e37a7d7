package import NIOCore
internal import Transports

/// A token as it goes on `$cbs`.
package struct AccessToken: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// How it came to be: what can be done about a refusal depends on it.
    package enum Origin: Hashable, Sendable {
        /// Signed here, with the machine's clock.
        case key
        /// Made elsewhere, and all there is.
        case signature
        /// From an issuer, whose clock may differ from this machine's: by so many seconds that this machine is ahead.
        case issuer(clockSkew: Int64?)
    }

    package let value: String
    package let origin: Origin
    /// Seconds since 1970; nil: the token does not say.
    package let expiry: Int64?
    /// Until the next one should be put; nil: there is none.
    package let renewal: Duration?

    /// What CBS calls the token's type: section 3.2 of the protocol notes.
    package var type: String {
        if case .issuer = origin { "jwt" } else { "servicebus.windows.net:sastoken" }
    }

    package var description: String { "\(type) until \(expiry.map { UTCTime.text($0) } ?? "an unknown time")" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension EventHubsCredential {
    /// False for a token made elsewhere.
    package var canRenew: Bool {
        if case .signature = kind { false } else { true }
    }

    /// A token for `audience`; fails with `EventHubsError`. Never waits on the event loop.
    ///
    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - lifetime: seconds, for tokens that are made here.
    ///   - renewing: the next token is wanted, not one that is due to be renewed.
    package func token(
        for audience: String, now: Int64, lifetime: Int64, renewing: Bool = false, on eventLoop: any EventLoop,
        executor: (any TaskExecutor)? = nil
    ) -> EventLoopFuture<AccessToken> {
        switch kind {
        case .sharedKey(let name, let key):
            let made = SharedAccessSignature(resource: audience, keyName: name, key: key, expiry: now + lifetime)
            return eventLoop.makeSucceededFuture(
                AccessToken(
                    value: made.token, origin: .key, expiry: made.expiry, renewal: .milliseconds(lifetime * 800)))
        case .signature(let signature):
            return eventLoop.makeSucceededFuture(
                AccessToken(value: signature.token, origin: .signature, expiry: signature.expiry, renewal: nil))
        case .tokens(let cache):
            return eventLoop.makeFuture(on: executor) {
                let held = try await cache.token(scope: Self.scope, renewing: renewing)
                return AccessToken(
                    value: held.token.value, origin: .issuer(clockSkew: held.token.clockSkew),
                    expiry: held.token.expiry, renewal: max(.zero, held.refresh - .now))
            }
        }
    }

    /// The service does not take this token: the next one is another, where there is another.
    package func refused(_ token: AccessToken) {
        if case .tokens(let cache) = kind { cache.refused(token.value, scope: Self.scope) }
    }
}
