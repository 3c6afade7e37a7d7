internal import Transports

/// A token for the service, and how long it is good.
///
/// Its value never shows in descriptions, reflections or dumps.
public struct EventHubsToken: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// What goes to the service: a secret until it expires.
    public let value: String
    /// When it ends, in seconds since 1970 by this machine's clock.
    public let expiry: Int64
    /// When a new one should be asked for, in seconds since 1970 by this machine's clock. Nil: 300 s before the expiry,
    /// or halfway to it when less than 600 s are left.
    public let refreshAfter: Int64?
    /// Seconds that this machine's clock was ahead of the clock of whoever issued the token; negative: behind; nil:
    /// not known.
    package let clockSkew: Int64?

    /// - Parameters:
    ///   - value: the bearer token, as it goes to the service.
    ///   - expiry: seconds since 1970.
    ///   - refreshAfter: seconds since 1970; nil leaves the choice to the client.
    public init(_ value: String, expiry: Int64, refreshAfter: Int64? = nil) {
        self.init(value, expiry: expiry, refreshAfter: refreshAfter, clockSkew: nil)
    }

    package init(_ value: String, expiry: Int64, refreshAfter: Int64?, clockSkew: Int64?) {
        self.value = value
        self.expiry = expiry
        self.refreshAfter = refreshAfter
        self.clockSkew = clockSkew
    }

    public var description: String { "token until \(UTCTime.text(expiry))" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["expiry": expiry]) }
}

/// Gets tokens for the service from a place that this library does not know.
///
/// ```swift
/// struct Vault: EventHubsTokenProvider {
///     func token(scope: String) async throws -> EventHubsToken {
///         let answer = try await ask(scope)
///         return EventHubsToken(answer.token, expiry: answer.expiresOn)
///     }
/// }
/// let client = try EventHubProducerClient(
///     fullyQualifiedNamespace: "contoso", eventHubName: "logs", credential: .provider(Vault()))
/// ```
///
/// Tokens are kept and renewed by the client: it asks when it has none, and again before one expires, never twice at
/// once for one scope. A call that takes longer than two minutes is cancelled and no longer waited for.
public protocol EventHubsTokenProvider: Sendable {
    /// A token for `scope`, such as `https://eventhubs.azure.net/.default`.
    ///
    /// What it throws is shown in errors and logs: it must not hold secrets. An `EventHubsError` is passed on as it is,
    /// and with code `unauthorized` the client does not try again by itself.
    func token(scope: String) async throws -> EventHubsToken
}
