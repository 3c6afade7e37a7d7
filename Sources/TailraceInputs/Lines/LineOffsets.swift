package import TailraceSpool

/// Where the lines of a converted chunk lie in their file: there, a line's place in the block does not tell it. Records
/// whose offset it is not get it as an attribute.
package struct LineOffsets {
    private struct Line {
        /// In the block.
        var start: Int
        /// In the file.
        var offset: UInt64
    }
    private var lines: [Line] = []
    /// Of the block's first byte.
    private var base: UInt64 = 0
    /// Bytes of the block that were made records of, and where they end in the file.
    private var consumed = 0
    private var end: UInt64 = 0
    private var scratch: [UInt8] = []
    private var attributes: [AttributeEntry] = []

    package init() {}

    /// Notes the lines that were found, and tells of those that were cut how long they are in the file.
    ///
    /// - Parameters:
    ///   - consumed: bytes of the block that were made records of.
    ///   - bytes: of the file, of which they were made.
    package mutating func note(
        _ batch: RecordBatch, base: UInt64, consumed: Int, bytes: Int, encoding: TextEncoding
    ) {
        lines.removeAll(keepingCapacity: true)
        self.base = base
        self.consumed = consumed
        end = base + UInt64(bytes)
        var (at, offset) = (0, base)
        for record in 0..<batch.recordCount {
            let entry = batch.records[record]
            let start = Int(entry.start)
            offset += UInt64(encoding.length(of: UnsafeRawBufferPointer(start: batch.block + at, count: start - at)))
            at = start
            lines.append(Line(start: start, offset: offset))
            if entry.flags.contains(.truncated) {
                let cut = TextEncoding.cut(
                    UnsafeRawBufferPointer(start: batch.block + start, count: entry.length + 1), to: entry.length)
                batch.records[record] = RecordEntry(
                    start: entry.start, length: UInt32(cut), flags: entry.flags)
            }
        }
        for attribute in batch.attributes {
            let line = Int(attribute.record)
            let next = line + 1 < lines.count ? lines[line + 1].offset : end
            LineSplitter.setLength(Int(clamping: next - lines[line].offset) - encoding.unit, attribute, in: batch)
        }
    }

    /// Where the file's bytes end that the block's bytes before `place` were made of: a line's beginning, or the end.
    package func offset(before place: Int) -> UInt64 {
        if place >= consumed { return end }
        var (low, high) = (0, lines.count)
        while low < high {
            let middle = (low + high) / 2
            if lines[middle].start < place { low = middle + 1 } else { high = middle }
        }
        return low < lines.count ? lines[low].offset : end
    }

    /// Bytes of the block that each line needs at most besides its own, for the attributes.
    package static let room = 96

    /// Gives every record its offset. There is room when there were no more lines than `room` allows.
    package mutating func write(to batch: RecordBatch) {
        attributes.removeAll(keepingCapacity: true)
        var next = 0
        for record in 0..<batch.recordCount {
            let entry = batch.records[record]
            scratch.removeAll(keepingCapacity: true)
            append(ofLineAt: Int(entry.start), entry, to: &scratch)
            if next < batch.attributes.count, batch.attributes[next].record == record {
                let old = batch.attributes[next]
                scratch.append(
                    contentsOf: UnsafeRawBufferPointer(start: batch.block + Int(old.start), count: Int(old.length)))
                next += 1
            }
            if scratch.isEmpty { continue }
            guard let start = scratch.withUnsafeBytes({ batch.copyIn($0) }) else {
                preconditionFailure("no room for the offsets of converted lines")
            }
            attributes.append(
                AttributeEntry(record: UInt32(record), start: start, length: UInt32(scratch.count)))
        }
        swap(&attributes, &batch.attributes)
    }

    /// Appends the offset of the line that begins at `line` in the block, if the place of the record that it begins does
    /// not tell it.
    package func append(ofLineAt line: Int, _ entry: RecordEntry, to bytes: inout [UInt8]) {
        let offset = offset(before: line)
        guard offset != base + UInt64(entry.start) else { return }
        RecordAttributes.append(RecordAttributes.offsetKey, Int64(clamping: offset), to: &bytes)
    }
}
