internal import OpenSSLTransport
import Synchronization
internal import Transports

/// Asks an issuer: once where tokens are to be had, then for each token.
final class OAuth2Issuer: Sendable {
    private let settings: PulsarOAuth2
    private let discovery: HTTPURL
    private let transport: IssuerTransport
    private let retries: IssuerRetries
    private let endpoint = Mutex<HTTPURL?>(nil)
    private let who: String

    /// - Throws: `PulsarError` with code `invalidConfiguration`.
    init(_ settings: PulsarOAuth2, retries: IssuerRetries) throws(PulsarError) {
        self.settings = settings
        self.retries = retries
        who = "\(settings)"
        var issuer = settings.issuerURL
        while issuer.hasSuffix("/") { issuer.removeLast() }
        do throws(HTTPError) {
            discovery = try HTTPURL("\(issuer)/.well-known/openid-configuration")
        } catch {
            throw PulsarError(.invalidConfiguration, "the issuer of OAuth 2 tokens cannot be used: \(error.message)")
        }
        guard Self.isSafe(discovery) else {
            throw PulsarError(
                .invalidConfiguration,
                "the issuer of OAuth 2 tokens begins with http://; a secret is sent over https alone")
        }
        guard settings.requestTimeout >= .milliseconds(1), settings.usualLifetime >= .seconds(1) else {
            throw PulsarError(
                .invalidConfiguration, "requestTimeout must be 1 ms or longer, and usualLifetime 1 s or longer")
        }
        var tls = settings.tls
        switch settings.proof {
        case .certificate(_, let certificate): tls.clientCertificate = certificate
        case .secret(let clientID, let secret):
            guard !clientID.isEmpty, !secret.isEmpty else {
                throw PulsarError(.invalidConfiguration, "the OAuth 2 client's ID or secret is empty")
            }
        case .key(let place):
            // One in a file may come later, and change.
            if place.hasPrefix("data:") { _ = try OAuth2Key(place) }
        }
        transport = IssuerTransport(tls: try tls.makeContext(), requestTimeout: settings.requestTimeout)
    }

    /// Over TLS, or on this machine.
    private static func isSafe(_ url: HTTPURL) -> Bool {
        url.isSecure || url.host == "127.0.0.1" || url.host == "::1" || url.host == "localhost"
    }

    func token() async throws -> OAuth2Token {
        let place = try await tokenEndpoint()
        var form = ["grant_type": "client_credentials", "audience": settings.audience]
        form["scope"] = settings.scope
        var secrets: [String] = []
        switch settings.proof {
        case .certificate(let clientID, _): form["client_id"] = clientID
        case .secret(let clientID, let secret):
            form["client_id"] = clientID
            form["client_secret"] = secret
            secrets = [secret]
        case .key(let place):
            let key = try OAuth2Key(place)
            form["client_id"] = key.clientID
            form["client_secret"] = key.clientSecret
            secrets = [key.clientSecret]
        }
        let request = HTTPRequest(
            "POST", place,
            headers: [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")],
            body: Array(FormEncoding.form(form).utf8))
        let answer = try await ask(request, secrets)
        do throws(IssuerRefusal) {
            let token = try answer.issuedToken()
            let usual = answer.now + settings.usualLifetime.components.seconds
            return OAuth2Token(
                value: token.value, expiry: token.expiry ?? usual, refreshAfter: token.refreshAfter)
        } catch {
            throw Self.refused(error)
        }
    }

    /// A refusal that somebody must see to is the client's being refused; all else is a token that could not be had.
    private static func refused(_ refusal: IssuerRefusal) -> PulsarError {
        PulsarError(refusal.mayPass ? .credentialsUnavailable : .authenticationFailed, refusal.message)
    }

    private func tokenEndpoint() async throws -> HTTPURL {
        if let known = endpoint.withLock({ $0 }) { return known }
        let answer = try await ask(HTTPRequest("GET", discovery, headers: [("Accept", "application/json")]), [])
        let url: HTTPURL
        do throws(IssuerRefusal) {
            guard let text = try answer.json()["token_endpoint"]?.text else {
                throw answer.strange("it names no token_endpoint")
            }
            guard let found = try? HTTPURL(text), Self.isSafe(found) else {
                throw answer.strange("its token_endpoint is no https:// URL")
            }
            url = found
        } catch {
            throw Self.refused(error)
        }
        endpoint.withLock { $0 = url }
        return url
    }

    private func ask(_ request: HTTPRequest, _ secrets: [String]) async throws -> IssuerAnswer {
        do {
            let response = try await transport.ask(request, retries)
            return IssuerAnswer(response: response, who: who, request: request, secrets: secrets)
        } catch let error as HTTPError {
            throw PulsarError(
                error.isPermanent ? .invalidConfiguration : .credentialsUnavailable,
                "no token from the \(who): \(error.message)")
        }
    }
}
