import Glibc
package import TailraceSpool

/// Indexes the lines of a chunk that lies at the beginning of a batch's block. Nothing is copied: a line's body is its
/// bytes without the newline that ended it. A carriage return before it is part of the body.
package enum LineSplitter {
    /// Bytes at the end of each block that a chunk leaves free, for the attributes of lines that were cut.
    package static let reserve = 4096
    /// Records of one batch at most, so that a file of empty lines does not blow up the index (8 bytes per record).
    package static let maximumRecords = 65_536

    /// Adds every line that `count` bytes of `batch.block` hold whole, and sets `batch.length` to the end of the last.
    ///
    /// Returns the bytes consumed: those of the lines and their newlines; with `takesRest` also those of a last line without
    /// newline, unless it is too long. Lines longer than `maximumLine` are cut to it,
    /// flagged and given their length as an attribute. Stops early, after at least one line, when the batch is full.
    package static func split(
        _ batch: RecordBatch, count: Int, maximumLine: Int, takesRest: Bool = false
    ) -> Int {
        precondition(count <= batch.capacity && batch.recordCount == 0)
        var truncated: [(record: Int, length: Int)] = []
        var start = 0
        while start < count, batch.recordCount < maximumRecords {
            guard let newline = memchr(batch.block + start, 0x0A, count - start) else { break }
            let end = UnsafeRawPointer(newline) - UnsafeRawPointer(batch.block)
            let length = end - start
            if length > maximumLine {
                // The attributes lie behind the chunk; the reserve has room for the first ones always.
                guard (truncated.count + 1) * attributeSize <= batch.capacity - count else { break }
                truncated.append((batch.recordCount, length))
                batch.append(RecordEntry(start: UInt32(start), length: UInt32(maximumLine), flags: .truncated))
            } else {
                batch.append(RecordEntry(start: UInt32(start), length: UInt32(length)))
            }
            start = end + 1
        }
        if takesRest, start < count, count - start <= maximumLine, batch.recordCount < maximumRecords,
            memchr(batch.block + start, 0x0A, count - start) == nil
        {
            batch.append(RecordEntry(start: UInt32(start), length: UInt32(count - start), flags: .unterminated))
            start = count
        }
        batch.length = start
        for (record, length) in truncated { appendLength(length, of: record, to: batch) }
        return start
    }

    /// What `appendLength` takes of the block.
    private static let attributeSize = 64

    /// Notes in `batch` that the line that became `record` had `length` bytes.
    static func appendLength(_ length: Int, of record: Int, to batch: RecordBatch) {
        var bytes: [UInt8] = []
        RecordAttributes.append(RecordAttributes.truncatedKey, Int64(length), to: &bytes)
        let start = bytes.withUnsafeBytes { batch.copyIn($0) }
        guard let start else { preconditionFailure("no room for an attribute in the block's reserve") }
        batch.attributes.append(
            AttributeEntry(record: UInt32(record), start: start, length: UInt32(bytes.count)))
    }
}
