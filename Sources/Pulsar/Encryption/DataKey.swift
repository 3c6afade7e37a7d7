internal import NIOCore
internal import OpenSSLTransport

/// The key that payloads are encrypted with, and what tells it to consumers.
struct DataKey: Sendable {
    private let cipher: AES256GCM
    /// The key, encrypted for each name.
    private let wrapped: [EncryptionKeys]
    let failureAction: PulsarEncryption.FailureAction

    /// A new one.
    init(
        for keys: [(name: String, key: PulsarPublicKey)], _ failureAction: PulsarEncryption.FailureAction
    ) throws(PulsarError) {
        guard let cipher = AES256GCM() else {
            throw PulsarError(.encryptionFailed, "libcrypto has no random numbers for a data key")
        }
        var wrapped: [EncryptionKeys] = []
        for (name, key) in keys {
            do throws(RSAPublicKey.Failure) {
                let publicKey = try RSAPublicKey(pem: key.pem)
                let value = try cipher.withKey { secret -> Result<[UInt8], RSAPublicKey.Failure> in
                    Result { () throws(RSAPublicKey.Failure) in try publicKey.encrypt(secret) }
                }.get()
                wrapped.append(
                    EncryptionKeys(
                        key: name, value: value, metadata: key.metadata.map { Property(key: $0.name, value: $0.value) })
                )
            } catch {
                throw PulsarError(.encryptionFailed, "the public key \"\(name)\" is of no use: \(error.message)")
            }
        }
        self.cipher = cipher
        self.wrapped = wrapped
        self.failureAction = failureAction
    }

    /// Bytes that follow an encrypted payload.
    static let tagBytes = AES256GCM.tagBytes

    /// Bytes that metadata and payload grow by.
    var overhead: Int {
        var metadata = MessageMetadata(producerName: "", sequenceID: 0, publishTime: 0)
        let before = metadata.encodedLength
        mark(&metadata)
        return metadata.encodedLength - before + Self.tagBytes
    }

    /// Makes `metadata` as long as it will be.
    func mark(_ metadata: inout MessageMetadata) {
        metadata.encryptionKeys = wrapped
        metadata.encryptionParam = Self.noVector
    }

    private static let noVector = [UInt8](repeating: 0, count: AES256GCM.vectorBytes)

    /// A payload, encrypted into storage of its own.
    ///
    /// - Parameter metadata: what `mark` was called for.
    func seal(_ payload: ByteBuffer, _ metadata: inout MessageMetadata) throws(PulsarError) -> ByteBuffer {
        let size = payload.readableBytes + Self.tagBytes
        var vector: [UInt8]?
        var sealed = ByteBufferAllocator().buffer(capacity: size)
        sealed.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { room in
            vector = payload.withUnsafeReadableBytes {
                cipher.seal($0, into: UnsafeMutableRawBufferPointer(rebasing: room[..<size]))
            }
            return vector == nil ? 0 : size
        }
        if let vector {
            metadata.encryptionParam = vector
            return sealed
        }
        switch failureAction {
        case .send:
            metadata.encryptionKeys = []
            metadata.encryptionParam = nil
            return payload
        case .fail:
            throw PulsarError(.encryptionFailed, "libcrypto cannot encrypt \(payload.readableBytes) bytes in one piece")
        }
    }
}
