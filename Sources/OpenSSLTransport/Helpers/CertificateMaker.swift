import COpenSSL
import Glibc

/// X.509 by libcrypto: the parts that `ThrowAwayAuthority` puts together.
enum CertificateMaker {
    /// A P-256 key; the caller frees it.
    static func newKey() throws(TLSError) -> OpaquePointer {
        ERR_clear_error()
        guard let key = tailrace_generate_p256() else { throw failure("make a key") }
        return key
    }

    /// A signed certificate; the caller frees it.
    ///
    /// - Parameters:
    ///   - issuer: nil for a certificate that signs itself.
    ///   - extensions: as `openssl x509` writes them in its configuration files.
    static func make(
        subject: String, key: OpaquePointer, issuer: (certificate: OpaquePointer, key: OpaquePointer)?,
        validity: ClosedRange<Int>, extensions: [(Int32, String)]
    ) throws(TLSError) -> OpaquePointer {
        ERR_clear_error()
        guard let certificate = X509_new() else { throw failure("make a certificate") }
        do throws(TLSError) {
            try fill(certificate, subject, key, issuer?.certificate, validity)
            for (kind, value) in extensions { try add(kind, value, to: certificate, issuer?.certificate) }
            guard X509_sign(certificate, issuer?.key ?? key, EVP_sha256()) > 0 else {
                throw failure("sign the certificate of \(subject)")
            }
        } catch {
            X509_free(certificate)
            throw error
        }
        return certificate
    }

    private static func fill(
        _ certificate: OpaquePointer, _ subject: String, _ key: OpaquePointer, _ issuer: OpaquePointer?,
        _ validity: ClosedRange<Int>
    ) throws(TLSError) {
        let name = X509_get_subject_name(certificate)
        let text = Array(subject.utf8)
        guard X509_set_version(certificate, 2) == 1,
            // 63 bits: a serial number is positive, and no two of one authority are equal.
            ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), .random(in: 1...UInt64(Int64.max))) == 1,
            X509_gmtime_adj(X509_getm_notBefore(certificate), validity.lowerBound) != nil,
            X509_gmtime_adj(X509_getm_notAfter(certificate), validity.upperBound) != nil,
            X509_NAME_add_entry_by_txt(name, "CN", tailrace_MBSTRING_UTF8(), text, Int32(text.count), -1, 0) == 1,
            X509_set_issuer_name(certificate, issuer.map { X509_get_subject_name($0) } ?? name) == 1,
            X509_set_pubkey(certificate, key) == 1
        else { throw failure("fill in the certificate of \"\(subject)\"") }
    }

    private static func add(
        _ kind: Int32, _ value: String, to certificate: OpaquePointer, _ issuer: OpaquePointer?
    ) throws(TLSError) {
        var context = v3_ext_ctx()
        X509V3_set_ctx(&context, issuer ?? certificate, certificate, nil, nil, 0)
        guard let added = X509V3_EXT_conf_nid(nil, &context, kind, value) else {
            throw failure("make the certificate extension \(value)")
        }
        defer { X509_EXTENSION_free(added) }
        guard X509_add_ext(certificate, added, -1) == 1 else { throw failure("add the extension \(value)") }
    }

    /// What `write` writes to a memory BIO.
    static func pem(_ write: (OpaquePointer) -> Int32) -> [UInt8] {
        guard let bio = BIO_new(BIO_s_mem()), write(bio) == 1 else {
            fatalError("libcrypto cannot write PEM: \(OpenSSLError.takeQueue())")
        }
        defer { BIO_free(bio) }
        var bytes: UnsafeMutablePointer<CChar>?
        let count = tailrace_BIO_get_mem_data(bio, &bytes)
        return Array(UnsafeRawBufferPointer(start: bytes, count: count))
    }

    /// Puts a whole file in place under `path`, or leaves what is there.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(TLSError) {
        let temporary = "\(path).\(getpid()).new"
        func failed(_ what: String) -> TLSError {
            let reason = String(cString: strerror(errno))
            unlink(temporary)
            return .configuration("cannot \(what) \(path): \(reason)")
        }
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            throw .configuration("cannot create \(temporary): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                let rest = UnsafeRawBufferPointer(rebasing: $0[written...])
                return Glibc.write(descriptor, rest.baseAddress, rest.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw failed("write") }
            written += count
        }
        guard rename(temporary, path) == 0 else { throw failed("put in place") }
    }

    private static func failure(_ what: String) -> TLSError {
        .configuration("libcrypto cannot \(what): \(OpenSSLError.takeQueue())")
    }
}
