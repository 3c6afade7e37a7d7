import COpenSSL
import Synchronization

/// Encryption under one key (AES-256 in Galois/counter mode, NIST SP 800-38D) by libcrypto. For any number of threads.
///
/// The key is random, and overwritten when it is done with; an initialisation vector is never used twice under it.
package final class AES256GCM: @unchecked Sendable {
    package static let keyBytes = 32
    package static let vectorBytes = 12
    /// Of the authentication tag, which follows what was encrypted.
    package static let tagBytes = 16
    /// What one call of libcrypto takes.
    package static let maximumBytes = Int(Int32.max) - tagBytes

    /// The schedule of the key, and the state of one encryption: of one thread at a time.
    private final class Context: @unchecked Sendable {
        let pointer: OpaquePointer

        init?(_ key: UnsafeRawBufferPointer) {
            guard let pointer = EVP_CIPHER_CTX_new() else { return nil }
            self.pointer = pointer
            let bytes = key.bindMemory(to: UInt8.self).baseAddress
            guard EVP_EncryptInit_ex(pointer, EVP_aes_256_gcm(), nil, bytes, nil) == 1 else { return nil }
        }

        deinit { EVP_CIPHER_CTX_free(pointer) }
    }

    /// More than this wait for nobody.
    private static let maximumIdle = 16
    private let key = UnsafeMutableRawBufferPointer.allocate(byteCount: keyBytes, alignment: 16)
    private let prefix: UInt32
    private let count = Atomic<UInt64>(0)
    private let idle = Mutex<[Context]>([])

    /// Nil when libcrypto has no random numbers.
    package init?() {
        var prefix: UInt32 = 0
        let isRandom =
            withUnsafeMutableBytes(of: &prefix) {
                RAND_bytes($0.bindMemory(to: UInt8.self).baseAddress, Int32($0.count)) == 1
            } && RAND_priv_bytes(key.bindMemory(to: UInt8.self).baseAddress, Int32(key.count)) == 1
        self.prefix = prefix
        guard isRandom else {
            ERR_clear_error()
            return nil
        }
    }

    deinit {
        OPENSSL_cleanse(key.baseAddress, key.count)
        key.deallocate()
    }

    /// The key must not outlive the call.
    package func withKey<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(key))
    }

    /// Encrypts `plain`, and puts the tag behind it.
    ///
    /// - Parameter output: `plain.count + tagBytes` bytes; not `plain` itself.
    /// - Returns: the initialisation vector, which is no secret; nil above `maximumBytes`, and when libcrypto fails.
    package func seal(_ plain: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> [UInt8]? {
        precondition(output.count == plain.count + Self.tagBytes)
        guard plain.count <= Self.maximumBytes else { return nil }
        let vector = nextVector()
        guard let context = idle.withLock({ $0.popLast() }) ?? Context(UnsafeRawBufferPointer(key)) else {
            ERR_clear_error()
            return nil
        }
        defer { idle.withLock { if $0.count < Self.maximumIdle { $0.append(context) } } }
        let start = output.bindMemory(to: UInt8.self).baseAddress
        var length: Int32 = 0
        guard EVP_EncryptInit_ex(context.pointer, nil, nil, nil, vector) == 1,
            plain.isEmpty
                || EVP_EncryptUpdate(
                    context.pointer, start, &length, plain.bindMemory(to: UInt8.self).baseAddress,
                    Int32(plain.count)) == 1 && Int(length) == plain.count,
            // Of this mode nothing is left for the end.
            EVP_EncryptFinal_ex(context.pointer, start.map { $0 + plain.count }, &length) == 1, length == 0,
            EVP_CIPHER_CTX_ctrl(
                context.pointer, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagBytes), start.map { $0 + plain.count }) == 1
        else {
            ERR_clear_error()
            return nil
        }
        return vector
    }

    /// Four random bytes, and a number that only grows.
    private func nextVector() -> [UInt8] {
        let number = count.wrappingAdd(1, ordering: .relaxed).newValue
        return [UInt8](unsafeUninitializedCapacity: Self.vectorBytes) { bytes, count in
            let memory = UnsafeMutableRawBufferPointer(bytes)
            memory.storeBytes(of: prefix, as: UInt32.self)
            memory.storeBytes(of: number.bigEndian, toByteOffset: 4, as: UInt64.self)
            count = Self.vectorBytes
        }
    }
}
