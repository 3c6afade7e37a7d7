/// Whether a file is a copy of what was read of a log up to a position: decided by content alone.
extension FilePosition {
    struct Copy: Equatable {
        /// Where what is new begins in the copy; its end when the log was read beyond it.
        var offset: UInt64
        /// Bytes of the copy up to the last place at which it was compared.
        var proven: UInt64
    }

    /// A copy holds what the log held when it was made, from the first byte on. What is not longer than the position has
    /// nothing new in it: that counts only when a mark proves it, for then the file is not read.
    ///
    /// - Parameters:
    ///   - size: of the file, which grows no more.
    ///   - hash: of so many bytes of it, from an offset on; nil when it does not have them.
    func copy(ofSize size: UInt64, hash: (_ from: UInt64, _ length: Int) -> ContentHash?) -> Copy? {
        guard offset > 0 else { return nil }
        if size >= UInt64(head.length), hash(0, Int(head.length)) != head { return nil }
        if size >= offset {
            let length = Int(marker.length)
            guard hash(offset - UInt64(length), length) == marker else { return nil }
            return Copy(offset: offset, proven: offset)
        }
        return marks.proven(within: size, hash: hash).map { Copy(offset: size, proven: $0) }
    }
}
