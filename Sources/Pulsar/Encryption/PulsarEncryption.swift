/// Encryption from producer to consumer: brokers see neither payloads nor what they could be read with.
///
/// A payload, or a batch as a whole, is compressed and then encrypted (AES-256-GCM) under a random data key. The data key
/// goes with each message, encrypted (RSA-OAEP) for the owner of each of the named keys: any one of them can read it.
/// Properties, keys and times of messages that go alone, and those of a batch's first message, stay readable.
///
/// ```swift
/// options.encryption = PulsarEncryption(
///     keyNames: ["audit"], keyReader: PulsarCryptoKeyFiles(publicKeyPath: "/etc/tailrace/audit.pem"))
/// ```
public struct PulsarEncryption: Sendable {
    /// What becomes of messages that cannot be encrypted.
    public enum FailureAction: Sendable, Hashable {
        /// They fail with `encryptionFailed`; making a producer fails when its keys cannot be had.
        case fail
        /// They are sent as they are, readable for all.
        case send
    }

    /// Names in one message.
    static let maximumKeys = 32

    /// Of the public keys; consumers find the private ones by them.
    public var keyNames: [String]
    public var keyReader: any PulsarCryptoKeyReader
    public var failureAction: FailureAction = .fail
    /// After so long there is a new data key, and public keys are read again; where that fails the old one stays for the
    /// time being.
    public var dataKeyLifetime: Duration = .seconds(4 * 3600)

    public init(keyNames: [String], keyReader: any PulsarCryptoKeyReader) {
        self.keyNames = keyNames
        self.keyReader = keyReader
    }

    /// What is wrong with it; nil: nothing.
    var complaint: String? {
        if keyNames.isEmpty { return "it names no key" }
        if keyNames.contains("") { return "the name of a key is empty" }
        if Set(keyNames).count < keyNames.count { return "it names a key twice" }
        if keyNames.count > Self.maximumKeys {
            return "it names \(keyNames.count) keys: \(Self.maximumKeys) at most"
        }
        if dataKeyLifetime <= .zero { return "dataKeyLifetime is \(dataKeyLifetime): it must be more than zero" }
        return nil
    }
}
