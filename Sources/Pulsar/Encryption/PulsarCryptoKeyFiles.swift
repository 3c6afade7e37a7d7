internal import Transports

/// Reads public keys from files, anew each time.
public struct PulsarCryptoKeyFiles: PulsarCryptoKeyReader {
    /// Bytes of a file.
    static let sizeLimit = 64 << 10

    private let paths: [String: String]
    /// Of names that `paths` lacks.
    private let path: String?

    /// One file, whatever the name.
    public init(publicKeyPath: String) {
        paths = [:]
        path = publicKeyPath
    }

    /// - Parameter publicKeyPaths: by name.
    public init(publicKeyPaths: [String: String]) {
        paths = publicKeyPaths
        path = nil
    }

    public func publicKey(named name: String) throws -> PulsarPublicKey {
        guard let path = paths[name] ?? path else {
            throw PulsarError(
                .encryptionFailed,
                "there is no file for the public key \"\(name)\": only for "
                    + paths.keys.sorted().joined(separator: ", "))
        }
        do throws(SmallFile.Failure) {
            return PulsarPublicKey(
                pem: try SmallFile.bytes(path, limit: Self.sizeLimit, what: "the public key \"\(name)\""))
        } catch {
            throw PulsarError(.encryptionFailed, error.message)
        }
    }
}
