internal import OpenSSLTransport
internal import Transports

/// Tokens of an OAuth 2.0 issuer for an application: the client credentials grant (RFC 6749 section 4.4). Section 6 of the
/// protocol notes.
///
/// ```swift
/// var oauth = PulsarOAuth2(issuerURL: "https://issuer.example", privateKey: "/etc/tailrace/pulsar-key.json")
/// oauth.audience = "urn:sn:pulsar:o-xyz:instance"
/// let client = try PulsarClient(serviceURL: url, authentication: try .oauth2(oauth))
/// ```
///
/// The issuer's `.well-known/openid-configuration` says where tokens are to be had. A token is kept and renewed in the
/// background before it ends, one request however many connections want it; a token that a broker refuses, or wants
/// replaced, is not used again.
public struct PulsarOAuth2: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    enum Proof: Sendable {
        /// A file, `file://` URL or `data:` URL.
        case key(String)
        case secret(clientID: String, secret: String)
        case certificate(clientID: String, PulsarTLS.ClientCertificate)
    }

    /// `https://host[:port][/path]`; plain `http` is refused, as a secret is sent.
    public var issuerURL: String
    /// For whom the token is meant; sent even when it is empty, as the official clients do.
    public var audience = ""
    /// Words with spaces between them; nil: the issuer's own choice.
    public var scope: String?
    /// How the issuer is reached; the system's authorities by default, and not those that the brokers have.
    public var tls = PulsarTLS()
    /// For one request; there are several when one fails in a way that may pass.
    public var requestTimeout: Duration = .seconds(30)
    /// How long a token is taken to be good when neither the issuer nor the token itself says. One hour by default. (The
    /// official clients refuse such tokens.) A broker that finds it ended asks for another before this.
    public var usualLifetime: Duration = .seconds(3600)

    let proof: Proof

    /// - Parameter privateKey: where a JSON text with `client_id` and `client_secret` is: a path, a `file://` URL, or the
    ///   text itself as `data:application/json;base64,...`. A file is read again for every token.
    public init(issuerURL: String, privateKey: String) {
        self.issuerURL = issuerURL
        proof = .key(privateKey)
    }

    /// - Parameters:
    ///   - clientID: of the application.
    ///   - clientSecret: never shown in a description, an error or a log.
    public init(issuerURL: String, clientID: String, clientSecret: String) {
        self.issuerURL = issuerURL
        proof = .secret(clientID: clientID, secret: clientSecret)
    }

    /// An application that the issuer knows by its TLS certificate (`tls_client_auth`, RFC 8705).
    public init(
        issuerURL: String, clientID: String = "pulsar-client", clientCertificate: PulsarTLS.ClientCertificate
    ) {
        self.issuerURL = issuerURL
        proof = .certificate(clientID: clientID, clientCertificate)
    }

    /// Who asks whom, without secrets.
    public var description: String {
        let who =
            switch proof {
            case .key: "OAuth 2 client with a key file"
            case .secret(let clientID, _), .certificate(let clientID, _): "OAuth 2 client \(clientID)"
            }
        return "\(who) of \((try? HTTPURL(issuerURL)).map { "\($0)" } ?? "an issuer")"
    }

    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension PulsarAuthentication {
    /// Tokens of an OAuth 2.0 issuer. Nothing is asked for yet; the files of TLS are read, and a key given as `data:` too.
    ///
    /// - Throws: `PulsarError` with code `invalidConfiguration`.
    public static func oauth2(_ settings: PulsarOAuth2) throws(PulsarError) -> PulsarAuthentication {
        try oauth2(settings, retries: .remote)
    }

    static func oauth2(_ settings: PulsarOAuth2, retries: IssuerRetries) throws(PulsarError) -> PulsarAuthentication {
        let issuer = try OAuth2Issuer(settings, retries: retries)
        let cache = TokenCache<OAuth2Token>("\(settings)") { failure in
            OAuth2Token.error(failure, "\(settings)")
        } provider: { _ in
            try await issuer.token()
        }
        return PulsarAuthentication("token", .cached(cache), "\(settings)")
    }
}
