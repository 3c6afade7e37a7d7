internal import OpenSSLTransport

/// How a client uses TLS. Certificates and the names in them are checked unless a switch here, or a custom context's own
/// settings, say otherwise.
///
/// TLS is the system's OpenSSL 3: its configuration and crypto policy apply.
public struct PulsarTLS: Sendable {
    /// Which authorities to believe.
    public enum Trust: Hashable, Sendable {
        /// The system's store (`/etc/ssl/certs`; `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured).
        case system
        /// The certificates in this PEM file, and no others.
        case file(String)
    }

    /// Nothing older can be asked for.
    public enum Version: Hashable, Sendable {
        case tls12, tls13
    }

    /// The system's store by default.
    public var trust = Trust.system
    /// TLS 1.2 by default.
    public var minimumVersion = Version.tls12
    /// Shown to a server that asks for a client certificate; nil: none. It is the credential of
    /// `PulsarAuthentication.tls`, and may be used beside every other.
    public var clientCertificate: ClientCertificate?
    /// Whether the certificate must bear the name of the host that is connected to (through a Pulsar proxy: the proxy's).
    /// True by default, unlike in the official clients. Without it, anybody with a certificate of a trusted authority
    /// can pass for the broker.
    public var checksHostName = true
    /// Whether any certificate is taken, whoever issued it and whatever name it bears. False by default; true leaves the
    /// connection, and the token sent over it, open to anybody in between.
    public var allowsInsecureConnections = false
    /// Used instead of everything above when it is given.
    public var customContext: CustomContext?

    public init() {}

    /// The system's TLS with these authorities alone.
    ///
    /// - Parameter file: PEM.
    public init(authorities file: String) { trust = .file(file) }

    /// A certificate that this client shows.
    public struct ClientCertificate: Hashable, Sendable {
        /// PEM: the client's own certificate, then those that lead to an authority.
        public var chainFile: String
        /// PEM, without a pass phrase.
        public var privateKeyFile: String

        public init(chainFile: String, privateKeyFile: String) {
            self.chainFile = chainFile
            self.privateKeyFile = privateKeyFile
        }
    }

    /// An `SSL_CTX` of one's own, for all that the settings here have no word for: an engine, a provider's key, a
    /// verification callback, a key log.
    ///
    /// The context decides what is verified and how; the client adds for each connection the name that the certificate
    /// must bear (`SSL_set1_host`, of effect only when the context verifies peers), the name told to the server (SNI) and
    /// modes of its own (no renegotiation). A context that verifies nothing leaves the connection open to anybody in
    /// between.
    public struct CustomContext: Sendable {
        let context: TLSContext

        /// Takes a reference of its own (`SSL_CTX_up_ref`) and gives it back when the last client and copy of this value
        /// are gone: the caller keeps its reference, and frees it whenever it likes. The context may be used by several
        /// clients at once and must not be changed any more.
        ///
        /// - Parameter pointer: an `SSL_CTX *` made with `TLS_client_method` (or `TLS_method`) of the same libssl that this
        ///   process has loaded.
        public init(_ pointer: OpaquePointer) { context = .client(sharing: pointer) }
    }

    /// - Throws: `PulsarError` with code `invalidConfiguration`, naming the file that cannot be used.
    func makeContext() throws(PulsarError) -> TLSContext {
        if let customContext { return customContext.context }
        let authorities: TLSTrust =
            switch trust {
            case .system: .system
            case .file(let path): .file(path)
            }
        do throws(TLSError) {
            return try .client(
                trust: authorities,
                identity: clientCertificate.map {
                    TLSIdentityFiles(certificateChain: $0.chainFile, privateKey: $0.privateKeyFile)
                },
                versions: (minimumVersion == .tls13 ? .tls13 : .tls12, .tls13),
                verification: allowsInsecureConnections ? .nothing : checksHostName ? .chainAndName : .chain)
        } catch {
            throw PulsarError(.invalidConfiguration, "TLS cannot be set up: \(error)")
        }
    }
}
