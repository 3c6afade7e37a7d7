/// Where the public keys of a producer's messages come from.
///
/// What it throws is shown in errors and logs: it must not hold secrets. A `PulsarError` is passed on as it is.
public protocol PulsarCryptoKeyReader: Sendable {
    /// Called for each name when a producer is made, and again whenever the data key is renewed; after
    /// `PulsarClientOptions.operationTimeout` it is cancelled and no longer waited for.
    func publicKey(named name: String) async throws -> PulsarPublicKey
}

/// A public key as its reader found it.
public struct PulsarPublicKey: Sendable {
    /// An RSA key in PEM form: `-----BEGIN PUBLIC KEY-----`.
    public var pem: [UInt8]
    /// What goes beside the key's name with each message, for the reader of private keys: a version, for example.
    public var metadata: [(name: String, value: String)]

    public init(pem: [UInt8], metadata: [(name: String, value: String)] = []) {
        self.pem = pem
        self.metadata = metadata
    }
}
