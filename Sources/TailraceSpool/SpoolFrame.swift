/// One batch as it lies in the spool: views into the reader's buffer, valid until the reader's next call.
package struct SpoolFrame {
    let header: FrameHeader
    let payload: UnsafeRawBufferPointer
    /// Index of the first record that was asked for; 0 except in the first frame of a reader that begins inside it.
    package let startIndex: Int

    package var firstSequence: UInt64 { header.firstSequence }
    /// The id after the last record.
    package var endSequence: UInt64 { header.endSequence }
    package var recordCount: Int { Int(header.recordCount) }
    /// When the records were read: milliseconds since 1970, UTC.
    package var time: Int64 { header.time }
    /// The source's offset of the block's first byte: a record's offset is this plus its entry's `start`.
    package var baseOffset: UInt64 { header.baseOffset }
    /// Bytes on disk.
    package var length: Int { header.length }

    /// `RecordContext.encoded` of the batch: the same bytes for the same source.
    package var context: UnsafeRawBufferPointer { part(0, Int(header.contextLength)) }

    package var block: UnsafeRawBufferPointer { part(header.blockOffset, Int(header.blockLength)) }

    /// The position that the frame carries; copies.
    package var position: SourcePosition? {
        guard header.hasPosition else { return nil }
        let key = part(Int(header.contextLength), Int(header.positionKeyLength))
        let value = part(
            Int(header.contextLength) + Int(header.positionKeyLength), Int(header.positionValueLength))
        return SourcePosition(source: SourceKey(Array(key)), value: Array(value))
    }

    package func entry(_ index: Int) -> RecordEntry {
        precondition(index >= 0 && index < recordCount)
        return Self.entry(payload, header.entriesOffset + index &* 8)
    }

    package func body(_ index: Int) -> UnsafeRawBufferPointer {
        let entry = entry(index)
        return part(header.blockOffset &+ Int(entry.start), entry.length)
    }

    /// All entries, and where their bodies lie. Frames begin at multiples of 8 in file and memory, and the entries at a multiple
    /// of 4 in them.
    package var entries: UnsafeBufferPointer<RecordEntry> {
        guard let base = payload.baseAddress else { return UnsafeBufferPointer(start: nil, count: 0) }
        return UnsafeBufferPointer(
            start: (base + header.entriesOffset).assumingMemoryBound(to: RecordEntry.self), count: recordCount)
    }

    package var attributeCount: Int { Int(header.attributeCount) }

    /// Entry `index` of the side table, which is sorted by record: walk it along with the records.
    package func attributeEntry(_ index: Int) -> AttributeEntry {
        precondition(index >= 0 && index < attributeCount)
        return Self.attribute(payload, header.prefixLength + index &* 12)
    }

    /// The encoded `RecordAttributes` of a side table entry.
    package func attributes(_ entry: AttributeEntry) -> UnsafeRawBufferPointer {
        part(header.blockOffset &+ Int(entry.start), Int(entry.length))
    }

    /// The encoded `RecordAttributes` of record `index`; empty when it has none. Searches the side table.
    package func attributes(of index: Int) -> UnsafeRawBufferPointer {
        var low = 0
        var high = attributeCount
        while low < high {
            let middle = (low + high) / 2
            let entry = attributeEntry(middle)
            if Int(entry.record) == index { return attributes(entry) }
            if Int(entry.record) < index { low = middle + 1 } else { high = middle }
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Everything in the payload was checked to lie inside it by `isConsistent`.
    private func part(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: payload[start..<(start + count)])
    }

    private static func entry(_ payload: UnsafeRawBufferPointer, _ at: Int) -> RecordEntry {
        // The entry's memory layout is the format's; any bit pattern is an entry.
        payload.loadUnaligned(fromByteOffset: at, as: RecordEntry.self)
    }

    private static func attribute(_ payload: UnsafeRawBufferPointer, _ at: Int) -> AttributeEntry {
        AttributeEntry(
            record: payload.loadUnaligned(fromByteOffset: at, as: UInt32.self),
            start: payload.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self),
            length: payload.loadUnaligned(fromByteOffset: at + 8, as: UInt32.self))
    }

    /// Whether every entry lies in the block. A frame that fails is treated as damaged although its checksum holds:
    /// what wrote it was not sound, and nobody may trap over it.
    static func isConsistent(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) -> Bool {
        guard payload.count == header.payloadLength else { return false }
        let block = Int(header.blockLength)
        var at = header.entriesOffset
        for _ in 0..<Int(header.recordCount) {
            let entry = entry(payload, at)
            if Int(entry.start) &+ entry.length > block { return false }
            at &+= 8
        }
        at = header.prefixLength
        var previous = -1
        for _ in 0..<Int(header.attributeCount) {
            let entry = attribute(payload, at)
            guard Int(entry.record) > previous, entry.record < header.recordCount,
                Int(entry.start) &+ Int(entry.length) <= block
            else { return false }
            previous = Int(entry.record)
            at &+= 12
        }
        return true
    }
}
