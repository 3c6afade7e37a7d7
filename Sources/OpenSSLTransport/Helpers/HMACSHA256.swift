import COpenSSL

/// Keyed hashing (RFC 2104 with SHA-256) by libcrypto.
package enum HMACSHA256 {
    /// The 32-byte authentication code of `message` under `key`; both may be empty or of any length.
    package static func authenticate(message: some Sequence<UInt8>, key: some Sequence<UInt8>) -> [UInt8] {
        let message = Array(message)
        let key = Array(key)
        precondition(key.count <= Int(Int32.max), "a key of 2 GiB is a mistake")
        var code = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        // An empty array has no address to give, and HMAC takes a null key for "the key of the call before".
        let done = key.withUnsafeBytes { key in
            message.withUnsafeBytes { message in
                withUnsafePointer(to: 0 as UInt8) { nothing in
                    HMAC(
                        EVP_sha256(), key.baseAddress ?? UnsafeRawPointer(nothing), Int32(key.count),
                        message.bindMemory(to: UInt8.self).baseAddress ?? nothing, message.count, &code, &length)
                }
            }
        }
        guard done != nil, length == 32 else {
            fatalError("libcrypto offers no HMAC-SHA256: \(OpenSSLError.takeQueue())")
        }
        code.removeLast(code.count - Int(length))
        return code
    }
}
