package import NIOCore
internal import Transports

/// How a client proves who it is. Section 6 of the protocol notes.
///
/// ```swift
/// .token("eyJhbGciOi...")
/// .tokenFile("/etc/tailrace/pulsar.token")
/// .tokenProvider { try await vault.read("pulsar") }
/// .basic(user: "shipper", password: password)
/// .tls
/// try .oauth2(PulsarOAuth2(issuerURL: url, privateKey: path))
/// ```
///
/// Credentials are fetched for every connection, and again whenever a broker asks for fresh ones. Tokens, passwords and
/// secrets never show in descriptions, reflections or dumps.
public struct PulsarAuthentication: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    enum Source: Sendable {
        /// Nothing is sent: whoever connects is taken, or the certificate of the TLS handshake speaks for the client.
        case nothing
        case fixed([UInt8])
        case fetched(@Sendable () async throws -> String)
        case cached(TokenCache<OAuth2Token>)
    }

    /// What the broker calls the method: `none`, `token`, `basic`, `tls`.
    package let methodName: String
    let source: Source
    /// Where credentials are fetched; nil: on the usual threads.
    package var executor: (any TaskExecutor)?
    /// Shown in errors.
    public let description: String

    init(_ methodName: String, _ source: Source, _ description: String) {
        self.methodName = methodName
        self.source = source
        self.description = description
    }

    /// No credentials.
    public static let none = PulsarAuthentication("none", .nothing, "no authentication")

    /// The certificate that `PulsarTLS.clientCertificate` shows is the credential.
    public static let tls = PulsarAuthentication("tls", .nothing, "TLS client certificate")

    /// A token that never changes, a JSON web token as a rule.
    public static func token(_ token: String) -> PulsarAuthentication {
        PulsarAuthentication("token", .fixed(Array(token.utf8)), "token")
    }

    /// A token from a file, which is read again each time one is needed: whoever renews the token replaces the file. White
    /// space at either end is no part of the token.
    public static func tokenFile(_ path: String) -> PulsarAuthentication {
        PulsarAuthentication("token", .fetched { try PulsarToken.read(path) }, "token in \(path)")
    }

    /// A token from an environment variable, which is read again each time one is needed.
    public static func tokenEnvironment(_ name: String) -> PulsarAuthentication {
        PulsarAuthentication("token", .fetched { try PulsarToken.variable(name) }, "token in the variable \(name)")
    }

    /// Tokens of one's own. The closure is called for every connection and whenever a broker asks for a fresh token; after
    /// `PulsarClientOptions.authenticationTimeout` it is cancelled and no longer waited for.
    ///
    /// What it throws is shown in errors and logs: it must not hold secrets. A `PulsarError` is passed on as it is.
    public static func tokenProvider(_ provider: @escaping @Sendable () async throws -> String) -> PulsarAuthentication
    {
        PulsarAuthentication("token", .fetched(provider), "token provider")
    }

    /// A user name and a password.
    ///
    /// - Parameter methodName: what the broker calls it, when it was given another name there.
    public static func basic(user: String, password: String, methodName: String = "basic") -> PulsarAuthentication {
        PulsarAuthentication(methodName, .fixed(Array("\(user):\(password)".utf8)), "password of \(user)")
    }

    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }

    // MARK: For connections

    /// What CONNECT and AUTH_RESPONSE carry; fails with `PulsarError`.
    ///
    /// - Parameter replacing: what the broker wants no longer.
    package func data(
        on eventLoop: any EventLoop, within limit: TimeAmount, replacing: AuthData? = nil
    ) -> EventLoopFuture<AuthData> {
        switch source {
        case .nothing: return eventLoop.makeSucceededFuture(AuthData(authMethodName: methodName))
        case .fixed(let bytes):
            return eventLoop.makeSucceededFuture(AuthData(authMethodName: methodName, authData: bytes))
        case .fetched(let fetch):
            return data(limit, eventLoop, fetch)
        case .cached(let cache):
            if let replacing { refused(replacing) }
            return data(limit, eventLoop) { try await cache.token(scope: Self.scope).token.value }
        }
    }

    /// All of a cache's tokens are for the same.
    private static let scope = ""

    private func data(
        _ limit: TimeAmount, _ eventLoop: any EventLoop, _ fetch: @escaping @Sendable () async throws -> String
    ) -> EventLoopFuture<AuthData> {
        Deadline.limit(limit, on: eventLoop, executor: executor) {
            PulsarError(.credentialsUnavailable, "the \(self) gave nothing within \(limit.text)")
        } work: {
            do {
                let token = try await fetch()
                guard !token.isEmpty else {
                    throw PulsarError(.credentialsUnavailable, "the \(self) gave an empty token")
                }
                return AuthData(authMethodName: self.methodName, authData: Array(token.utf8))
            } catch {
                throw error as? PulsarError
                    ?? PulsarError(.credentialsUnavailable, "the \(self) gave no token: \(error)")
            }
        }
    }

    /// Whether credentials are kept that a broker may have ceased to take, and others can be had.
    package var canRenew: Bool { if case .cached = source { true } else { false } }

    /// A broker did not take these, or not any more: they are not used again.
    package func refused(_ data: AuthData) {
        guard case .cached(let cache) = source, let bytes = data.authData else { return }
        cache.refused(String(decoding: bytes, as: UTF8.self), scope: Self.scope)
    }
}
