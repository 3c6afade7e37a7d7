import Synchronization
internal import Transports

/// Tokens for the identity that Azure gave this machine or application, from an endpoint at hand.
final class ManagedIdentityTokens: EventHubsTokenProvider, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// Which endpoint the environment names; the order is azure-identity's (`_credentials/managed_identity.py`).
    enum Source: Sendable {
        case appService(endpoint: String, header: String)
        case machineLearning(endpoint: String, secret: String)
        case arc(endpoint: String)
        case instanceMetadata(base: String, isGiven: Bool)
    }

    private let source: Source
    private let identity: EventHubsCredential.ManagedIdentity
    private let transport: IssuerTransport
    private let retries: IssuerRetries
    private let tokenFolder: String
    /// Whether the instance metadata service has answered once.
    private let isThere = Mutex(false)

    /// Where the Arc agent puts its challenges, on Linux.
    static let arcTokenFolder = "/var/opt/azcmagent/tokens"
    static let metadataBase = "http://169.254.169.254"
    static let metadataPath = "/metadata/identity/oauth2/token"
    /// For the first word of the instance metadata service, which is a link away.
    private static let probeTimeout = Duration.seconds(1)

    init(
        _ source: Source, _ identity: EventHubsCredential.ManagedIdentity, _ transport: IssuerTransport,
        retries: IssuerRetries = .metadata, tokenFolder: String = arcTokenFolder
    ) {
        self.source = source
        self.identity = identity
        self.transport = transport
        self.retries = retries
        self.tokenFolder = tokenFolder
    }

    func token(scope: String) async throws -> EventHubsToken {
        // These endpoints know resources, not scopes.
        let suffix = "/.default"
        let resource = scope.hasSuffix(suffix) ? String(scope.dropLast(suffix.count)) : scope
        switch source {
        case .appService(let endpoint, let header):
            let names = IdentityNames(clientID: "client_id", objectID: "object_id", resourceID: "mi_res_id")
            let url = try url(endpoint, "2019-08-01", resource, names)
            return try await ask(url, [("X-IDENTITY-HEADER", header)], secrets: [header])
        case .machineLearning(let endpoint, let secret):
            let names = IdentityNames(clientID: "clientid", objectID: "object_id", resourceID: "mi_res_id")
            let url = try url(endpoint, "2017-09-01", resource, names)
            return try await ask(url, [("secret", secret)], secrets: [secret])
        case .arc(let endpoint): return try await arcToken(try url(endpoint, "2020-06-01", resource, .metadata))
        case .instanceMetadata(let base, let isGiven):
            let url = try url(base + Self.metadataPath, "2018-02-01", resource, .metadata)
            if !isGiven { try await probe(url) }
            return try await ask(url, [("Metadata", "true")])
        }
    }

    /// What the endpoints call the ways to name an identity.
    private struct IdentityNames {
        var clientID: String
        var objectID: String
        var resourceID: String
        static let metadata = IdentityNames(clientID: "client_id", objectID: "object_id", resourceID: "msi_res_id")
    }

    private func url(
        _ endpoint: String, _ version: String, _ resource: String, _ names: IdentityNames
    ) throws(EventHubsError) -> HTTPURL {
        var query = "api-version=\(version)&resource=\(FormEncoding.text(resource))"
        switch identity {
        case .systemAssigned: break
        case .clientID(let id): query += "&\(names.clientID)=\(FormEncoding.text(id))"
        case .objectID(let id): query += "&\(names.objectID)=\(FormEncoding.text(id))"
        case .resourceID(let id): query += "&\(names.resourceID)=\(FormEncoding.text(id))"
        }
        let joint = endpoint.contains("?") ? "&" : "?"
        do throws(HTTPError) {
            return try HTTPURL(endpoint + joint + query)
        } catch {
            throw EventHubsError(.invalidArgument, "the \(self) has an endpoint that cannot be used: \(error.message)")
        }
    }

    private func ask(
        _ url: HTTPURL, _ headers: [(name: String, value: String)], secrets: [String] = []
    ) async throws -> EventHubsToken {
        let request = HTTPRequest("GET", url, headers: headers)
        let response = try await transport.ask(request, retries, who: description)
        return try IssuerAnswer(response: response, who: description, request: request, secrets: secrets).token()
    }

    // MARK: Instance metadata

    /// Any answer to a request without the header that the service insists on shows that it is there; elsewhere nobody
    /// answers, and that shall not take as long as all retries do.
    private func probe(_ url: HTTPURL) async throws {
        guard !isThere.withLock({ $0 }) else { return }
        do throws(HTTPError) {
            _ = try await HTTPExchange.perform(
                HTTPRequest("GET", url), tls: nil, deadline: Self.probeTimeout, bodyLimit: IssuerTransport.bodyLimit,
                on: transport.eventLoop)
        } catch {
            if error.kind == .cancelled { throw CancellationError() }
            guard error.kind == .tooLarge || error.kind == .malformed else {
                throw EventHubsError(
                    .connectFailed,
                    "no token from the \(self): \(error.message); this is no virtual machine of Azure with an identity, or"
                        + " its network keeps it from the metadata service: use another credential elsewhere")
            }
        }
        isThere.withLock { $0 = true }
    }

    // MARK: Arc

    /// The agent answers with the name of a file that only the privileged can read: reading it is the proof.
    private func arcToken(_ url: HTTPURL) async throws -> EventHubsToken {
        let first = HTTPRequest("GET", url, headers: [("Metadata", "true")])
        let challenge = try await transport.ask(first, retries, who: description)
        guard challenge.status == 401 else {
            guard challenge.status == 200 else {
                return try IssuerAnswer(response: challenge, who: description, request: first).token()
            }
            throw EventHubsError(.unauthorized, "no token from the \(self): the agent gave one without a challenge")
        }
        let file = try ArcChallenge(challenge["WWW-Authenticate"], folder: tokenFolder).file
        let key = try SecretFile.text(
            file, limit: ArcChallenge.sizeLimit, what: "the agent's challenge", following: false)
        let second = HTTPRequest("GET", url, headers: [("Metadata", "true"), ("Authorization", "Basic \(key)")])
        let response = try await transport.ask(second, retries, who: description)
        let answer = IssuerAnswer(response: response, who: description, request: second, secrets: [key])
        let token = try answer.token()
        try confirm(response)
        return token
    }

    /// An agent that knows only the machine's own identity gives that, whichever was asked for.
    private func confirm(_ response: HTTPResponse) throws(EventHubsError) {
        let json = try? JSONValue(response.body)
        let (wanted, got): (String, String?)
        switch identity {
        case .systemAssigned: return
        case .clientID(let id): (wanted, got) = (id, json?["client_id"]?.text)
        case .objectID(let id): (wanted, got) = (id, json?["object_id"]?.text)
        case .resourceID(let id): (wanted, got) = (id, json?["msi_res_id"]?.text ?? json?["mi_res_id"]?.text)
        }
        guard got?.lowercased() == wanted.lowercased() else {
            throw EventHubsError(
                .unauthorized,
                "no token from the \(self): the agent does not confirm the identity that was asked for; this version of it"
                    + " may know the machine's own identity alone: ask for that, or update the agent")
        }
    }

    var description: String {
        let place =
            switch source {
            case .appService: "App Service"
            case .machineLearning: "Machine Learning"
            case .arc: "Azure Arc"
            case .instanceMetadata: "instance metadata service"
            }
        let which: String =
            switch identity {
            case .systemAssigned: ""
            case .clientID(let id), .objectID(let id), .resourceID(let id): " \(id)"
            }
        return "managed identity\(which) (\(place))"
    }

    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// The file that an Arc agent's `WWW-Authenticate: Basic realm=<file>` names, when it may be read: nobody shall make this
/// process send the contents of another file to whoever listens on the agent's port.
struct ArcChallenge {
    let file: String

    /// Bytes of the file.
    static let sizeLimit = 4096

    init(_ header: String?, folder: String) throws(EventHubsError) {
        func refused(_ what: String) -> EventHubsError {
            EventHubsError(.unauthorized, "the challenge of the Azure Arc agent is refused: \(what)")
        }
        guard let header else { throw refused("it has no WWW-Authenticate") }
        let prefix = "basic realm="
        guard header.lowercased().hasPrefix(prefix) else { throw refused("it is not of the form Basic realm=<file>") }
        var path = header.dropFirst(prefix.count)
        if path.utf8.count >= 2, path.first == "\"", path.last == "\"" { path = path.dropFirst().dropLast() }
        guard path.hasPrefix("\(folder)/") else { throw refused("its file is not in \(folder)") }
        let name = path.dropFirst(folder.count + 1)
        guard !name.contains("/"), !name.utf8.contains(0) else { throw refused("its file is not in \(folder) itself") }
        guard name.hasSuffix(".key"), name.utf8.count > 4 else { throw refused("its file does not end in .key") }
        file = String(path)
    }
}
