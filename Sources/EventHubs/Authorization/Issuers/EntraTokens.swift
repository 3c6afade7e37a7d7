internal import Transports

/// Tokens of Microsoft Entra ID for an application that proves itself with a secret or with a token that somebody else
/// issued to it: the client credentials grant (section 3.5 of the protocol notes).
struct EntraTokens: EventHubsTokenProvider, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    enum Proof: Sendable {
        case secret(String)
        /// The file is read for every token: whoever renews it replaces it.
        case assertion(file: String)
    }

    let tenantID: String
    let clientID: String
    let proof: Proof
    let url: HTTPURL
    let transport: IssuerTransport
    var retries = IssuerRetries.remote

    /// Of the public cloud.
    static let publicAuthority = "login.microsoftonline.com"

    /// - Parameter authorityHost: a host, with a port if need be, or `https://host[:port]`.
    init(
        tenantID: String, clientID: String, proof: Proof, authorityHost: String?, transport: IssuerTransport
    ) throws(EventHubsError) {
        guard !tenantID.isEmpty, tenantID.utf8.allSatisfy(Self.isNameByte) else {
            throw EventHubsError(.invalidArgument, "the tenant ID is neither a GUID nor a domain name")
        }
        guard !clientID.isEmpty, clientID.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw EventHubsError(.invalidArgument, "the client ID is empty or holds spaces or control characters")
        }
        if case .secret("") = proof { throw EventHubsError(.invalidArgument, "the client secret is empty") }
        var host = authorityHost ?? Self.publicAuthority
        if host.hasPrefix("https://") { host = String(host.dropFirst(8)) }
        while host.hasSuffix("/") { host.removeLast() }
        guard !host.isEmpty, !host.contains("/"), !host.contains("?"), !host.contains("#"),
            let url = try? HTTPURL("https://\(host)/\(tenantID)/oauth2/v2.0/token")
        else {
            throw EventHubsError(
                .invalidArgument,
                "the authority host is no host such as \(Self.publicAuthority); a secret is sent to it over https alone"
            )
        }
        self.tenantID = tenantID
        self.clientID = clientID
        self.proof = proof
        self.url = url
        self.transport = transport
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."): true
        default: false
        }
    }

    func token(scope: String) async throws -> EventHubsToken {
        var form = ["grant_type": "client_credentials", "client_id": clientID, "scope": scope]
        let secret: String
        switch proof {
        case .secret(let text):
            secret = text
            form["client_secret"] = text
        case .assertion(let file):
            secret = try SecretFile.text(file, limit: SmallFile.tokenLimit, what: "the federated token")
            form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            form["client_assertion"] = secret
        }
        let request = HTTPRequest(
            "POST", url,
            headers: [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")],
            body: Array(FormEncoding.form(form).utf8))
        let response = try await transport.ask(request, retries, who: description)
        return try IssuerAnswer(response: response, who: description, request: request, secrets: [secret]).token()
    }

    var description: String {
        switch proof {
        case .secret: "client secret of application \(clientID)"
        case .assertion: "workload identity of application \(clientID)"
        }
    }

    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}
