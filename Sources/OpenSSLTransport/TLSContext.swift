import COpenSSL
import Glibc

/// Whom to believe about certificates.
package enum TLSTrust: Equatable, Sendable {
    /// The system's store (`/etc/ssl/certs`; `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured).
    case system
    /// The certificates in this PEM file, and no others.
    case file(String)
}

/// A certificate chain (PEM, own certificate first) and its private key (PEM, no pass phrase).
package struct TLSIdentityFiles: Equatable, Sendable {
    package var certificateChain: String
    package var privateKey: String

    package init(certificateChain: String, privateKey: String) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }
}

package enum TLSVersion: Equatable, Sendable {
    case tls12, tls13

    fileprivate var number: Int32 {
        switch self {
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }
}

/// What a client checks of a server's certificate.
package enum TLSVerification: Equatable, Sendable {
    /// That it comes from somebody trusted and bears the server's name.
    case chainAndName
    /// That it comes from somebody trusted; whoever else they issued one to can pass for the server.
    case chain
    /// Nothing: anybody in between can read and change everything.
    case nothing
}

/// What connections share: certificates, trust, versions. Made once, used by any number of handlers on any thread.
package final class TLSContext: Sendable {
    package enum Side: Sendable { case client, server }
    package let side: Side
    /// Never changed after `init`; OpenSSL counts references and locks by itself.
    nonisolated(unsafe) let pointer: OpaquePointer
    /// Whether a session of this context expects the name of its server in the certificate.
    let checksName: Bool

    /// For connecting: the server's certificate must come from `trust` and bear the name given to the handler.
    ///
    /// - Parameters:
    ///   - trust: the system's store by default.
    ///   - identity: shown to servers that ask for a client certificate.
    ///   - versions: TLS 1.2 and 1.3 by default; nothing older can be asked for.
    ///   - verification: everything by default.
    package static func client(
        trust: TLSTrust = .system, identity: TLSIdentityFiles? = nil,
        versions: (lowest: TLSVersion, highest: TLSVersion) = (.tls12, .tls13),
        verification: TLSVerification = .chainAndName
    ) throws(TLSError) -> TLSContext {
        let context = try TLSContext(.client, versions, checksName: verification == .chainAndName)
        try context.load(trust)
        if let identity { try context.load(identity) }
        SSL_CTX_set_verify(context.pointer, verification == .nothing ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        return context
    }

    /// For connecting by somebody else's `SSL_CTX`, of which a reference is taken: it decides what is verified.
    package static func client(sharing pointer: OpaquePointer) -> TLSContext { TLSContext(sharing: pointer) }

    private init(sharing pointer: OpaquePointer) {
        side = .client
        checksName = true
        SSL_CTX_up_ref(pointer)
        self.pointer = pointer
    }

    /// For accepting connections.
    ///
    /// - Parameters:
    ///   - identity: the server's certificate chain and key.
    ///   - clientTrust: when given, every client must show a certificate from there.
    ///   - versions: TLS 1.2 and 1.3 by default.
    package static func server(
        identity: TLSIdentityFiles, clientTrust: TLSTrust? = nil,
        versions: (lowest: TLSVersion, highest: TLSVersion) = (.tls12, .tls13)
    ) throws(TLSError) -> TLSContext {
        let context = try TLSContext(.server, versions)
        try context.load(identity)
        if let clientTrust {
            try context.load(clientTrust)
            SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        }
        return context
    }

    private init(
        _ side: Side, _ versions: (lowest: TLSVersion, highest: TLSVersion), checksName: Bool = true
    ) throws(TLSError) {
        ERR_clear_error()
        self.side = side
        self.checksName = checksName
        guard let pointer = SSL_CTX_new(side == .client ? TLS_client_method() : TLS_server_method()) else {
            throw .configuration("OpenSSL offers no TLS: \(OpenSSLError.takeQueue())")
        }
        self.pointer = pointer
        tailrace_SSL_CTX_set_defaults(pointer)
        tailrace_SSL_CTX_refuse_pass_phrases(pointer)
        guard tailrace_SSL_CTX_set_min_proto_version(pointer, versions.lowest.number) == 1,
            tailrace_SSL_CTX_set_max_proto_version(pointer, versions.highest.number) == 1
        else { throw .configuration("OpenSSL refuses the TLS versions asked for: \(OpenSSLError.takeQueue())") }
    }

    deinit { SSL_CTX_free(pointer) }

    private func load(_ trust: TLSTrust) throws(TLSError) {
        ERR_clear_error()
        switch trust {
        case .system:
            guard SSL_CTX_set_default_verify_paths(pointer) == 1 else {
                throw .configuration("cannot use the system's CA store: \(OpenSSLError.takeQueue())")
            }
        case .file(let path):
            guard SSL_CTX_load_verify_file(pointer, path) == 1 else {
                throw .configuration("cannot use CA file \(path): \(OpenSSLError.takeQueue())")
            }
        }
    }

    private func load(_ identity: TLSIdentityFiles) throws(TLSError) {
        ERR_clear_error()
        guard SSL_CTX_use_certificate_chain_file(pointer, identity.certificateChain) == 1 else {
            throw .configuration(
                "cannot use certificate file \(identity.certificateChain): \(OpenSSLError.takeQueue())")
        }
        guard SSL_CTX_use_PrivateKey_file(pointer, identity.privateKey, SSL_FILETYPE_PEM) == 1,
            SSL_CTX_check_private_key(pointer) == 1
        else {
            throw .configuration(
                "cannot use key file \(identity.privateKey) with certificate \(identity.certificateChain): "
                    + OpenSSLError.takeQueue())
        }
    }
}
