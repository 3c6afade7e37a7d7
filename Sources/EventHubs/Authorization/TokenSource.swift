/// Where tokens for the service come from.
package struct TokenSource: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    private enum Kind: Sendable {
        case sharedKey(name: String, key: String)
        case signature(SharedAccessSignature)
    }

    private let kind: Kind

    package static func sharedKey(name: String, key: String) -> TokenSource {
        TokenSource(kind: .sharedKey(name: name, key: key))
    }

    package static func signature(_ token: String) throws(EventHubsError) -> TokenSource {
        TokenSource(kind: .signature(try SharedAccessSignature(token: token)))
    }

    package init(_ string: EventHubsConnectionString) throws(EventHubsError) {
        if let token = string.sharedAccessSignature {
            self = try .signature(token)
        } else if let name = string.sharedAccessKeyName, let key = string.sharedAccessKey {
            self = .sharedKey(name: name, key: key)
        } else {
            throw EventHubsError(.invalidConnectionString, "the connection string has neither a key nor a signature")
        }
    }

    private init(kind: Kind) { self.kind = kind }

    /// False for a token made elsewhere.
    package var canRenew: Bool {
        if case .sharedKey = kind { true } else { false }
    }

    /// What CBS calls the token's type.
    package var tokenType: String { "servicebus.windows.net:sastoken" }

    /// A token for `audience`.
    ///
    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - lifetime: seconds, for tokens that are made here.
    package func token(for audience: String, now: Int64, lifetime: Int64) -> SharedAccessSignature {
        switch kind {
        case .sharedKey(let name, let key):
            SharedAccessSignature(resource: audience, keyName: name, key: key, expiry: now + lifetime)
        case .signature(let signature): signature
        }
    }

    package var description: String {
        switch kind {
        case .sharedKey(let name, _): "shared key \(name)"
        case .signature(let signature): "\(signature)"
        }
    }

    package var debugDescription: String { description }
}
