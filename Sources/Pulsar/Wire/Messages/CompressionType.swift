/// How a payload is compressed.
package struct CompressionType: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let none = CompressionType(rawValue: 0)
    package static let lz4 = CompressionType(rawValue: 1)
    package static let zlib = CompressionType(rawValue: 2)
    package static let zstd = CompressionType(rawValue: 3)
    package static let snappy = CompressionType(rawValue: 4)
}
