import COpenSSL

/// A key that others encrypt with, for whoever has its private half (RFC 8017), by libcrypto.
package final class RSAPublicKey: @unchecked Sendable {
    /// Why a key is of no use; nothing of the key.
    package struct Failure: Error, Hashable, Sendable {
        package var message: String
    }

    private let key: OpaquePointer

    /// - Parameter pem: what begins with `-----BEGIN PUBLIC KEY-----`.
    package init(pem: [UInt8]) throws(Failure) {
        guard let count = Int32(exactly: pem.count), let bio = BIO_new_mem_buf(pem, count) else {
            throw Failure(message: "it cannot be held in memory")
        }
        defer {
            BIO_free(bio)
            ERR_clear_error()
        }
        guard let key = PEM_read_bio_PUBKEY(bio, nil, tailrace_no_pass_phrase, nil) else {
            let isPrivate = String(decoding: pem, as: UTF8.self).contains("PRIVATE KEY-----")
            throw Failure(
                message: isPrivate
                    ? "it is a private key, which only consumers need: give the public one (openssl pkey -pubout)"
                    : "it is no public key in PEM form (-----BEGIN PUBLIC KEY-----)")
        }
        self.key = key
        guard EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA else {
            let name = EVP_PKEY_get0_type_name(key).map { String(cString: $0) } ?? "unknown"
            throw Failure(message: "it is a key for \(name): only RSA is known")
        }
    }

    deinit { EVP_PKEY_free(key) }

    /// Optimal asymmetric encryption padding with SHA-1, as all Pulsar clients have it.
    package func encrypt(_ secret: UnsafeRawBufferPointer) throws(Failure) -> [UInt8] {
        defer { ERR_clear_error() }
        let context = EVP_PKEY_CTX_new(key, nil)
        defer { EVP_PKEY_CTX_free(context) }
        let bytes = secret.bindMemory(to: UInt8.self).baseAddress
        var count = 0
        guard EVP_PKEY_encrypt_init(context) == 1,
            EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1,
            EVP_PKEY_encrypt(context, nil, &count, bytes, secret.count) == 1
        else { throw failure(secret) }
        var encrypted = [UInt8](repeating: 0, count: count)
        guard EVP_PKEY_encrypt(context, &encrypted, &count, bytes, secret.count) == 1 else { throw failure(secret) }
        encrypted.removeLast(encrypted.count - count)
        return encrypted
    }

    private func failure(_ secret: UnsafeRawBufferPointer) -> Failure {
        // Two digests and two bytes are the padding.
        let needed = (secret.count + 42) * 8
        let bits = Int(EVP_PKEY_get_bits(key))
        return Failure(
            message: bits < needed
                ? "it has \(bits) bits: \(needed) are needed at least, and 2048 are usual"
                : "libcrypto cannot encrypt with it: \(OpenSSLError.takeQueue())")
    }
}
