package import EventHubs

/// An identity of Microsoft Entra ID that an output proves its rights with, and the namespace that it is for.
package struct EntraIdentity: Equatable, Sendable {
    /// The values of `auth`.
    package enum Kind: String, Equatable, Sendable, CaseIterable {
        case managedIdentity = "managed_identity"
        case clientSecret = "client_secret"
        case workloadIdentity = "workload_identity"
    }

    /// The namespace's host, or `sb://HOST:PORT`.
    package var namespace: String
    package var kind: Kind
    /// Of the application, or of a user-assigned managed identity; nil: the system-assigned one, or as the environment
    /// says.
    package var clientID: String?
    package var tenantID: String?
    package var clientSecret: Secret<String>?
    /// A file with the token that a workload identity shows; nil: as the environment says.
    package var tokenFile: String?

    package init(namespace: String, kind: Kind) {
        self.namespace = namespace
        self.kind = kind
    }

    /// - Parameter proxy: for Microsoft Entra ID.
    package func credential(proxy: EventHubsProxy?) throws(EventHubsError) -> EventHubsCredential {
        var network = EventHubsCredential.Network()
        network.proxy = proxy
        switch kind {
        case .managedIdentity:
            return try .managedIdentity(clientID.map { .clientID($0) } ?? .systemAssigned, network: network)
        case .clientSecret:
            return try .clientSecret(
                tenantID: tenantID ?? "", clientID: clientID ?? "", clientSecret: clientSecret?.reveal() ?? "",
                network: network)
        case .workloadIdentity:
            return try .workloadIdentity(
                tenantID: tenantID, clientID: clientID, tokenFile: tokenFile, network: network)
        }
    }
}
