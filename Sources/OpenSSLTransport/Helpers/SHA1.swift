import COpenSSL

/// SHA-1 by libcrypto: broken as a signature, and still what the WebSocket handshake is made of.
package enum SHA1 {
    /// 20 bytes.
    package static func digest(of message: some Sequence<UInt8>) -> [UInt8] {
        let message = Array(message)
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        let done = message.withUnsafeBytes { EVP_Digest($0.baseAddress, $0.count, &digest, &length, EVP_sha1(), nil) }
        guard done == 1, length == 20 else { fatalError("libcrypto offers no SHA-1: \(OpenSSLError.takeQueue())") }
        digest.removeLast(digest.count - Int(length))
        return digest
    }
}
