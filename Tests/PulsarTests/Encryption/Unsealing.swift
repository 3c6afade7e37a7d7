import COpenSSL
import NIOCore
import TestSupport

@testable import Pulsar

/// Reads what was encrypted, as a consumer does.
struct Unsealing {
    struct Failure: Error {
        var step: String
    }

    private let privateKey: [UInt8]

    init(_ files: RSAKeyFiles) { privateKey = ChildProcess.bytes(files.privatePath) }

    /// - Parameter key: which of the message's keys.
    func payload(_ frame: FramePayload, key: String) throws -> [UInt8] {
        let metadata = try frame.metadata()
        guard let wrapped = metadata.encryptionKeys.first(where: { $0.key == key }),
            let vector = metadata.encryptionParam
        else { throw Failure(step: "metadata") }
        return try payload(Array(frame.payload.readableBytesView), try unwrap(wrapped.value), vector)
    }

    func unwrap(_ wrapped: [UInt8]) throws -> [UInt8] {
        let bio = BIO_new_mem_buf(privateKey, Int32(privateKey.count))
        defer { BIO_free(bio) }
        let key = PEM_read_bio_PrivateKey(bio, nil, nil, nil)
        defer { EVP_PKEY_free(key) }
        let context = EVP_PKEY_CTX_new(key, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var count = 1024
        var plain = [UInt8](repeating: 0, count: count)
        guard EVP_PKEY_decrypt_init(context) == 1,
            EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1,
            EVP_PKEY_decrypt(context, &plain, &count, wrapped, wrapped.count) == 1
        else { throw Failure(step: "data key") }
        return Array(plain[..<count])
    }

    private func payload(_ sealed: [UInt8], _ key: [UInt8], _ vector: [UInt8]) throws -> [UInt8] {
        guard key.count == 32, vector.count == 12, sealed.count >= 16 else { throw Failure(step: "sizes") }
        var tag = Array(sealed.suffix(16))
        let context = EVP_CIPHER_CTX_new()
        defer { EVP_CIPHER_CTX_free(context) }
        var plain = [UInt8](repeating: 0, count: sealed.count)
        var count: Int32 = 0
        var rest: Int32 = 0
        guard EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nil, key, vector) == 1,
            EVP_DecryptUpdate(context, &plain, &count, sealed, Int32(sealed.count - 16)) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, &tag) == 1,
            EVP_DecryptFinal_ex(context, &tag, &rest) == 1
        else { throw Failure(step: "payload") }
        return Array(plain[..<Int(count)])
    }
}
