import Glibc
package import TailraceSpool

/// Indexes the lines of a chunk that lies at the beginning of a batch's block. Nothing is copied: a line's body is its
/// bytes without the newline that ended it. A carriage return before it is part of the body.
package enum LineSplitter {
    /// Bytes at the end of each block that a chunk leaves free, for the attributes of lines that were cut.
    package static let reserve = 4096
    /// Records of one batch at most, so that a file of empty lines does not blow up the index (8 bytes per record).
    package static let maximumRecords = 65_536

    /// As many NULs where a line should begin are no part of it; fewer are.
    package static let minimumNULs = 64

    static func isNULRun(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count >= minimumNULs && bytes[0] == 0 && bytes[..<minimumNULs].allSatisfy { $0 == 0 }
    }

    /// Adds every line that `count` bytes of `batch.block` hold whole, and sets `batch.length` to the end of the last.
    ///
    /// Returns the bytes consumed: those of the lines and their newlines; with `takesRest` also those of a last line without
    /// newline, unless it is too long. Lines longer than `maximumLine` are cut to it, flagged and given their length as an
    /// attribute. Stops early, after at least one line, when the batch is full or has `maximumLines`, and before a line that
    /// begins with a run of NULs.
    package static func split(
        _ batch: RecordBatch, count: Int, maximumLine: Int, takesRest: Bool = false,
        maximumLines: Int = maximumRecords
    ) -> Int {
        precondition(count <= batch.capacity && batch.recordCount == 0)
        var truncated: [(record: Int, length: Int)] = []
        var start = 0
        while start < count, batch.recordCount < maximumLines {
            guard let newline = memchr(batch.block + start, 0x0A, count - start) else { break }
            let end = UnsafeRawPointer(newline) - UnsafeRawPointer(batch.block)
            let length = end - start
            if length >= minimumNULs, batch.block.load(fromByteOffset: start, as: UInt8.self) == 0,
                isNULRun(UnsafeRawBufferPointer(start: batch.block + start, count: length))
            {
                break
            }
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
        if takesRest, start < count, count - start <= maximumLine, batch.recordCount < maximumLines,
            memchr(batch.block + start, 0x0A, count - start) == nil,
            !isNULRun(UnsafeRawBufferPointer(start: batch.block + start, count: count - start))
        {
            batch.append(RecordEntry(start: UInt32(start), length: UInt32(count - start), flags: .unterminated))
            start = count
        }
        batch.length = start
        for (record, length) in truncated { appendLength(length, of: record, to: batch) }
        return start
    }

    /// Takes the carriage return from the end of every line that was not cut.
    package static func stripCarriageReturns(_ batch: RecordBatch) {
        for index in 0..<batch.recordCount {
            let entry = batch.records[index]
            guard entry.length > 0, entry.flags.isEmpty,
                batch.block.load(fromByteOffset: Int(entry.start) + entry.length - 1, as: UInt8.self) == 0x0D
            else { continue }
            batch.records[index] = RecordEntry(start: entry.start, length: UInt32(entry.length - 1))
        }
    }

    /// Takes a byte order mark of UTF-8 from the beginning of the first line.
    package static func stripByteOrderMark(_ batch: RecordBatch) {
        guard batch.recordCount > 0 else { return }
        let entry = batch.records[0]
        guard batch.body(0).prefix(3).elementsEqual([0xEF, 0xBB, 0xBF]) else { return }
        batch.records[0] = RecordEntry(start: entry.start + 3, length: UInt32(entry.length - 3), flags: entry.flags)
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

    /// Writes another length over the one that `appendLength` noted.
    static func setLength(_ length: Int, _ attribute: AttributeEntry, in batch: RecordBatch) {
        let value = Int(attribute.start) + Int(attribute.length) - MemoryLayout<Int64>.size
        withUnsafeBytes(of: Int64(length).littleEndian) {
            UnsafeMutableRawBufferPointer(start: batch.block + value, count: $0.count).copyMemory(from: $0)
        }
    }
}
