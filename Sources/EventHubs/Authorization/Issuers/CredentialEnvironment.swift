import Glibc

/// The environment variables that tell where tokens are to be had; read once, when a credential is made.
struct CredentialEnvironment: Sendable {
    private let variables: [String: String]

    static let names = [
        "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT", "MSI_ENDPOINT",
        "MSI_SECRET", "AZURE_POD_IDENTITY_AUTHORITY_HOST", "AZURE_TENANT_ID", "AZURE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
    ]

    init(_ variables: [String: String]) { self.variables = variables.filter { !$0.value.isEmpty } }

    /// This process's own.
    static var process: CredentialEnvironment {
        var variables: [String: String] = [:]
        for name in names { if let value = getenv(name) { variables[name] = String(cString: value) } }
        return CredentialEnvironment(variables)
    }

    /// Nil also when it is empty.
    subscript(_ name: String) -> String? { variables[name] }

    /// A variable that holds a URL.
    func url(_ name: String) throws(EventHubsError) -> String? {
        guard let text = variables[name] else { return nil }
        guard text.hasPrefix("http://") || text.hasPrefix("https://") else {
            throw EventHubsError(.invalidArgument, "the environment variable \(name) is no http:// or https:// URL")
        }
        return text
    }
}
