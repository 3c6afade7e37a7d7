/// What a client proves its rights with.
///
/// ```swift
/// .sharedKey(name: "send", key: key)
/// .sharedAccessSignature("SharedAccessSignature sr=...")
/// .managedIdentity()
/// .clientSecret(tenantID: tenant, clientID: application, clientSecret: secret)
/// .workloadIdentity()
/// .provider(MyTokens())
/// ```
///
/// A copy shares its tokens with the original: clients made with the same credential fetch one token for all of them.
/// Keys, secrets and tokens never show in descriptions, reflections or dumps.
public struct EventHubsCredential: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    enum Kind: Sendable {
        case sharedKey(name: String, key: String)
        case signature(SharedAccessSignature)
        case tokens(EventHubsTokenCache)
    }

    let kind: Kind

    /// The scope of tokens for Event Hubs, in every cloud.
    package static let scope = "https://eventhubs.azure.net/.default"

    /// A rule of the namespace or hub and its key. Tokens are made here, for `EventHubsOptions.tokenLifetime`, and
    /// renewed when 80 % of it has passed.
    ///
    /// - Parameters:
    ///   - name: of the rule, such as `RootManageSharedAccessKey`; it needs the Send claim.
    ///   - key: as the portal shows it; used as text, not decoded.
    public static func sharedKey(name: String, key: String) -> EventHubsCredential {
        EventHubsCredential(kind: .sharedKey(name: name, key: key))
    }

    /// A signature made elsewhere. It cannot be renewed: from an hour before its end on there are warnings in the log,
    /// and afterwards the service refuses it.
    ///
    /// - Parameter token: `SharedAccessSignature sr=...&sig=...&se=...&skn=...`.
    /// - Throws: `EventHubsError` with code `invalidConnectionString` when it has another form.
    public static func sharedAccessSignature(_ token: String) throws(EventHubsError) -> EventHubsCredential {
        EventHubsCredential(kind: .signature(try SharedAccessSignature(token: token)))
    }

    /// Tokens of one's own, type `jwt`: see `EventHubsTokenProvider`.
    public static func provider(_ provider: any EventHubsTokenProvider) -> EventHubsCredential {
        EventHubsCredential(kind: .tokens(EventHubsTokenCache(provider)))
    }

    /// The key or signature of a connection string.
    package init(_ string: EventHubsConnectionString) throws(EventHubsError) {
        if let token = string.sharedAccessSignature {
            self = try .sharedAccessSignature(token)
        } else if let name = string.sharedAccessKeyName, let key = string.sharedAccessKey {
            self = .sharedKey(name: name, key: key)
        } else {
            throw EventHubsError(.invalidConnectionString, "the connection string has neither a key nor a signature")
        }
    }

    init(kind: Kind) { self.kind = kind }

    /// What kind of credential it is and whose, without secrets.
    public var description: String {
        switch kind {
        case .sharedKey(let name, _): "shared key \(name)"
        case .signature(let signature): "\(signature)"
        case .tokens(let cache): "\(cache)"
        }
    }

    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
