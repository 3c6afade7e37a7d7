internal import Transports

/// Tokens of Microsoft Entra ID. They are kept and renewed in the background before they end (when the issuer says, or
/// five minutes before), one request however many clients ask; a token that is still good is used while that fails.
extension EventHubsCredential {
    /// Which of the identities that Azure gave this machine or application.
    public enum ManagedIdentity: Hashable, Sendable {
        case systemAssigned
        /// A user-assigned one, by its application's ID.
        case clientID(String)
        /// A user-assigned one, by its service principal's ID.
        case objectID(String)
        /// A user-assigned one, by its Azure resource ID (`/subscriptions/...`).
        case resourceID(String)
    }

    /// How issuers of tokens are reached. The client's own options are for the way to the hub.
    public struct Network: Sendable {
        /// For https; the system's store by default.
        public var tls = EventHubsTLS()
        /// For Microsoft Entra ID; the endpoints of managed identities are on the machine itself.
        public var proxy: EventHubsProxy?
        /// For one request; there are several when one fails in a way that may pass. All of them together have two
        /// minutes.
        public var requestTimeout: Duration = .seconds(30)

        public init() {}

        func transport() throws(EventHubsError) -> IssuerTransport {
            try proxy?.check()
            guard requestTimeout >= .milliseconds(1) else {
                throw EventHubsError(.invalidArgument, "requestTimeout is \(requestTimeout); it must be 1 ms or longer")
            }
            return IssuerTransport(tls: try tls.makeContext(), proxy: proxy?.proxy, requestTimeout: requestTimeout)
        }
    }

    /// The identity that Azure gave this machine or application.
    ///
    /// The environment tells where tokens are to be had, as it does for the official clients: `IDENTITY_ENDPOINT` and
    /// `IDENTITY_HEADER` (App Service, Functions, Container Apps), `IDENTITY_ENDPOINT` and `IMDS_ENDPOINT` (Azure Arc),
    /// `MSI_ENDPOINT` and `MSI_SECRET` (Machine Learning), the three variables of workload identity (Kubernetes), else
    /// the instance metadata service of a virtual machine. Arc needs membership in the group `himds`.
    ///
    /// - Throws: `EventHubsError` with code `invalidArgument` when the environment cannot be used.
    public static func managedIdentity(
        _ identity: ManagedIdentity = .systemAssigned, network: Network = Network()
    ) throws(EventHubsError) -> EventHubsCredential {
        .provider(try managedTokens(identity, .process, try network.transport()))
    }

    /// An application that is registered with Microsoft Entra ID, and its secret.
    ///
    /// - Parameters:
    ///   - tenantID: a GUID, or one of the tenant's domain names.
    ///   - clientID: the application's.
    ///   - clientSecret: the secret's value, not its ID.
    ///   - authorityHost: nil: `AZURE_AUTHORITY_HOST`, else the public cloud's `login.microsoftonline.com`. Others are
    ///     `login.microsoftonline.us` (US Government) and `login.chinacloudapi.cn` (China).
    /// - Throws: `EventHubsError` with code `invalidArgument`.
    public static func clientSecret(
        tenantID: String, clientID: String, clientSecret: String, authorityHost: String? = nil,
        network: Network = Network()
    ) throws(EventHubsError) -> EventHubsCredential {
        .provider(
            try EntraTokens(
                tenantID: tenantID, clientID: clientID, proof: .secret(clientSecret),
                authorityHost: authorityHost ?? CredentialEnvironment.process["AZURE_AUTHORITY_HOST"],
                transport: try network.transport()))
    }

    /// An application that trusts the tokens of somebody else, such as a Kubernetes cluster for a service account.
    ///
    /// - Parameters:
    ///   - tenantID: nil: `AZURE_TENANT_ID`.
    ///   - clientID: nil: `AZURE_CLIENT_ID`.
    ///   - tokenFile: nil: `AZURE_FEDERATED_TOKEN_FILE`. It is read again for every token.
    ///   - authorityHost: as for `clientSecret`.
    /// - Throws: `EventHubsError` with code `invalidArgument`, naming what is missing.
    public static func workloadIdentity(
        tenantID: String? = nil, clientID: String? = nil, tokenFile: String? = nil, authorityHost: String? = nil,
        network: Network = Network()
    ) throws(EventHubsError) -> EventHubsCredential {
        .provider(
            try workloadTokens(tenantID, clientID, tokenFile, authorityHost, .process, try network.transport()))
    }

    // MARK: The environment

    static func workloadTokens(
        _ tenantID: String?, _ clientID: String?, _ tokenFile: String?, _ authorityHost: String?,
        _ environment: CredentialEnvironment, _ transport: IssuerTransport
    ) throws(EventHubsError) -> EntraTokens {
        func value(_ given: String?, _ name: String, _ what: String) throws(EventHubsError) -> String {
            if let value = given ?? environment[name] { return value }
            throw EventHubsError(
                .invalidArgument,
                "workload identity needs \(what): give it, or set \(name) (the cluster's webhook does)")
        }
        return try EntraTokens(
            tenantID: try value(tenantID, "AZURE_TENANT_ID", "the tenant ID"),
            clientID: try value(clientID, "AZURE_CLIENT_ID", "the client ID"),
            proof: .assertion(
                file: try value(tokenFile, "AZURE_FEDERATED_TOKEN_FILE", "the file of the federated token")),
            authorityHost: authorityHost ?? environment["AZURE_AUTHORITY_HOST"], transport: transport)
    }

    static func managedTokens(
        _ identity: ManagedIdentity, _ environment: CredentialEnvironment, _ transport: IssuerTransport,
        retries: IssuerRetries = .metadata, tokenFolder: String = ManagedIdentityTokens.arcTokenFolder
    ) throws(EventHubsError) -> any EventHubsTokenProvider {
        // These endpoints are on the machine itself.
        var direct = transport
        direct.proxy = nil
        func managed(_ source: ManagedIdentityTokens.Source) -> ManagedIdentityTokens {
            ManagedIdentityTokens(source, identity, direct, retries: retries, tokenFolder: tokenFolder)
        }
        func unsupported(_ place: String, _ names: String) -> EventHubsError {
            EventHubsError(
                .invalidArgument,
                "the environment (\(names)) is that of \(place), whose managed identities are not supported: use another"
                    + " credential, or a token provider of your own")
        }
        if let endpoint = try environment.url("IDENTITY_ENDPOINT") {
            if let header = environment["IDENTITY_HEADER"] {
                guard environment["IDENTITY_SERVER_THUMBPRINT"] == nil else {
                    throw unsupported("Service Fabric", "IDENTITY_SERVER_THUMBPRINT")
                }
                return managed(.appService(endpoint: endpoint, header: header))
            }
            if environment["IMDS_ENDPOINT"] != nil { return managed(.arc(endpoint: endpoint)) }
            throw EventHubsError(
                .invalidArgument,
                "the environment has IDENTITY_ENDPOINT but neither IDENTITY_HEADER (App Service) nor IMDS_ENDPOINT (Azure"
                    + " Arc): set what belongs to it, or remove it")
        }
        if let endpoint = try environment.url("MSI_ENDPOINT") {
            guard let secret = environment["MSI_SECRET"] else { throw unsupported("Cloud Shell", "MSI_ENDPOINT") }
            return managed(.machineLearning(endpoint: endpoint, secret: secret))
        }
        let workload = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"]
        let names = identity.clientID == nil ? workload : workload.filter { $0 != "AZURE_CLIENT_ID" }
        if names.allSatisfy({ environment[$0] != nil }), identity == .systemAssigned || identity.clientID != nil {
            return try workloadTokens(nil, identity.clientID, nil, nil, environment, transport)
        }
        let base = try environment.url("AZURE_POD_IDENTITY_AUTHORITY_HOST")
        var trimmed = base ?? ManagedIdentityTokens.metadataBase
        while trimmed.hasSuffix("/") { trimmed.removeLast() }
        return managed(.instanceMetadata(base: trimmed, isGiven: base != nil))
    }
}

extension EventHubsCredential.ManagedIdentity {
    fileprivate var clientID: String? { if case .clientID(let id) = self { id } else { nil } }
}
