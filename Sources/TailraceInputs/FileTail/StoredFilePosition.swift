package import TailraceSpool

/// How far a generation of a file has been read, as it lies in the spool: for people and scripts.
package struct StoredFilePosition: Equatable, Sendable {
    /// Where the file was when it was last looked at.
    package var path: String
    /// What its records carry as `source`.
    package var source: String
    package var device: UInt64
    package var inode: UInt64
    /// Counts up when the same file begins anew.
    package var generation: UInt32
    /// The first byte that no record in the spool covers.
    package var offset: UInt64
    /// A rotation made it by copying the log.
    package var isCopy: Bool
    /// Bytes of the file, when it still is at `path`.
    package var size: UInt64?

    /// Nil when it is the position of something that is no file.
    package init?(source key: SourceKey, value: [UInt8]) {
        guard let position = FilePosition(key: key, value: value) else { return nil }
        path = position.path
        source = position.label
        device = position.identity.device
        inode = position.identity.inode
        generation = position.generation
        offset = position.offset
        isCopy = position.isCopy
        if let status = FileStatus(path: position.path),
            status.identity.withoutDevice == position.identity.withoutDevice
        {
            size = status.size
        }
    }
}
