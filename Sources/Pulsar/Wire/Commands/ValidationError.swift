/// What a consumer found wrong with a message that it acknowledges.
package struct ValidationError: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let uncompressedSizeCorruption = ValidationError(rawValue: 0)
    package static let decompressionError = ValidationError(rawValue: 1)
    package static let checksumMismatch = ValidationError(rawValue: 2)
    package static let batchDeserializeError = ValidationError(rawValue: 3)
    package static let decryptionError = ValidationError(rawValue: 4)
}
