import COpenSSL
import Glibc

/// A certificate authority for one machine, demo or test: made in memory by libcrypto, trusted by nobody who is not
/// told to. Its key never leaves the process.
package final class ThrowAwayAuthority {
    /// The authority's own certificate, PEM: what a client's `TLSTrust.file` must hold.
    package let certificatePEM: [UInt8]

    private let certificate: OpaquePointer
    private let key: OpaquePointer

    /// From one hour ago (clocks differ) for one year.
    package static let usualValidity = -3600...(365 * 24 * 3600)

    /// - Parameters:
    ///   - name: the common name, at most 64 bytes.
    ///   - validity: first and last second, relative to now.
    package init(name: String = "Tailrace throw-away CA", validity: ClosedRange<Int> = usualValidity) throws(TLSError) {
        let key = try CertificateMaker.newKey()
        let certificate: OpaquePointer
        do throws(TLSError) {
            certificate = try CertificateMaker.make(
                subject: name, key: key, issuer: nil, validity: validity,
                extensions: [
                    (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
                    (NID_key_usage, "critical,keyCertSign,cRLSign"),
                    (NID_subject_key_identifier, "hash"),
                ])
        } catch {
            EVP_PKEY_free(key)
            throw error
        }
        self.key = key
        self.certificate = certificate
        certificatePEM = CertificateMaker.pem { PEM_write_bio_X509($0, certificate) }
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    /// A certificate for a server.
    ///
    /// - Parameters:
    ///   - names: DNS names (a wildcard in the first label is allowed) and IP addresses; at least one.
    ///   - validity: first and last second, relative to now; both in the past for an expired certificate.
    package func issue(
        names: [String], validity: ClosedRange<Int> = usualValidity
    ) throws(TLSError) -> ThrowAwayIdentity {
        let identity = try ThrowAwayIdentity(names: names, issuer: (certificate, key), validity: validity)
        return identity.followed(by: certificatePEM)
    }

    /// Writes the authority's certificate as PEM, readable by everybody.
    package func writeCertificate(to path: String) throws(TLSError) {
        try CertificateMaker.write(certificatePEM, to: path, mode: 0o644)
    }
}

/// A certificate and its key, PEM.
package struct ThrowAwayIdentity: Sendable {
    /// Own certificate first, then its issuer's.
    package private(set) var certificateChainPEM: [UInt8]
    package let privateKeyPEM: [UInt8]

    /// A certificate that vouches for itself.
    package static func selfSigned(
        names: [String], validity: ClosedRange<Int> = ThrowAwayAuthority.usualValidity
    ) throws(TLSError) -> ThrowAwayIdentity {
        try ThrowAwayIdentity(names: names, issuer: nil, validity: validity)
    }

    fileprivate init(
        names: [String], issuer: (certificate: OpaquePointer, key: OpaquePointer)?, validity: ClosedRange<Int>
    ) throws(TLSError) {
        let alternatives = try Self.alternativeNames(names)
        let key = try CertificateMaker.newKey()
        defer { EVP_PKEY_free(key) }
        let certificate = try CertificateMaker.make(
            subject: String((names.first ?? "").prefix(64)), key: key, issuer: issuer, validity: validity,
            extensions: [
                (NID_basic_constraints, "critical,CA:FALSE"),
                (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "serverAuth,clientAuth"),
                (NID_subject_key_identifier, "hash"),
                (NID_authority_key_identifier, "keyid"),
                (NID_subject_alt_name, alternatives),
            ])
        defer { X509_free(certificate) }
        certificateChainPEM = CertificateMaker.pem { PEM_write_bio_X509($0, certificate) }
        privateKeyPEM = CertificateMaker.pem { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }
    }

    fileprivate func followed(by issuer: [UInt8]) -> ThrowAwayIdentity {
        var identity = self
        identity.certificateChainPEM += issuer
        return identity
    }

    /// Writes both files; the key is readable by its owner alone from the moment when it exists.
    package func write(to files: TLSIdentityFiles) throws(TLSError) {
        try CertificateMaker.write(privateKeyPEM, to: files.privateKey, mode: 0o600)
        try CertificateMaker.write(certificateChainPEM, to: files.certificateChain, mode: 0o644)
    }

    /// OpenSSL reads alternative names from a text with commas and colons, so nothing but names may come in.
    private static func alternativeNames(_ names: [String]) throws(TLSError) -> String {
        guard !names.isEmpty else { throw .configuration("a certificate needs at least one name") }
        var texts: [String] = []
        for name in names {
            var address = in6_addr()
            if inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1 {
                texts.append("IP:\(name)")
                continue
            }
            let allowed = name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "*"):
                    true
                default: false
                }
            }
            guard allowed, !name.isEmpty, name.utf8.count <= 253 else {
                throw .configuration("\"\(name)\" is neither a DNS name nor an IP address")
            }
            texts.append("DNS:\(name)")
        }
        return texts.joined(separator: ",")
    }
}
