/// How a PARTITIONED_METADATA ended.
package struct PartitionedMetadataResult: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let success = PartitionedMetadataResult(rawValue: 0)
    package static let failed = PartitionedMetadataResult(rawValue: 1)
}
