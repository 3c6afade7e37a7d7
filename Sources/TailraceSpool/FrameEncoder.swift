import Glibc

/// Lays out a group of frames for one gathering write: headers, contexts, positions and attribute entries in a reused
/// buffer, record entries and blocks where they are. Allocates nothing once warm.
struct FrameEncoder: ~Copyable {
    /// I/O vectors per frame at most: padding of the frame before with the prefix, entries, block.
    static let vectorsPerFrame = 3

    private var prefixes = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    private var vectors: [iovec] = []

    deinit { prefixes.deallocate() }

    /// The header of the frame of part `index` of `batch`, without checksum and numbers.
    static func header(for batch: RecordBatch, part index: Int = 0) -> FrameHeader {
        let part = batch.part(index)
        var header = FrameHeader(kind: .records, generation: 0, firstSequence: 0, committed: 0)
        header.time = batch.time
        header.baseOffset = part.baseOffset
        header.recordCount = UInt32(part.records.count)
        header.attributeCount = UInt32(part.attributes.count)
        header.contextLength = UInt32(part.context.count)
        header.blockLength = UInt32(part.bytes.count)
        if let position = position(of: batch, part: index) {
            header.hasPosition = true
            header.positionKeyLength = UInt16(position.source.bytes.count)
            header.positionValueLength = UInt32(position.value.count)
        }
        return header
    }

    /// What lies in the frame of part `index`: the position covers everything before it, so it lies in the last.
    private static func position(of batch: RecordBatch, part index: Int) -> SourcePosition? {
        index == batch.partCount - 1 ? batch.position : nil
    }

    /// Writes `batches` to `file` from `offset`, a frame for each of their parts; returns the bytes written.
    mutating func write(
        _ batches: ArraySlice<PendingBatch>, generation: UInt64, committed: UInt64, to file: SpoolFile, at offset: Int
    ) throws(SpoolFileError) -> Int {
        let needed = batches.reduce(8) { $0 + $1.prefixBytes }
        if needed > prefixes.count {
            prefixes.deallocate()
            prefixes = .allocate(byteCount: max(needed, 64 << 10), alignment: 16)
        }
        vectors.removeAll(keepingCapacity: true)
        var at = prefixes.baseAddress!
        var total = 0
        for pending in batches {
            var sequence = pending.firstSequence
            for part in 0..<pending.batch.partCount {
                var header = Self.header(for: pending.batch, part: part)
                header.generation = generation
                header.committed = committed
                header.firstSequence = sequence
                sequence = header.endSequence
                layOut(&header, of: pending.batch, part: part, at: &at, total: &total)
            }
        }
        let padding = (8 - total & 7) & 7
        if padding > 0 {
            at.storeBytes(of: 0, as: UInt64.self)
            vectors.append(iovec(iov_base: at, iov_len: padding))
            total += padding
        }
        try vectors.withUnsafeMutableBufferPointer { vectors throws(SpoolFileError) in
            try file.write(vectors, at: offset)
        }
        return total
    }

    /// Adds one frame: its prefix goes to `at`, entries and block are pointed at where they are.
    private mutating func layOut(
        _ header: inout FrameHeader, of batch: RecordBatch, part index: Int, at: inout UnsafeMutableRawPointer,
        total: inout Int
    ) {
        let part = batch.part(index)
        let start = at
        // The zeros that pad the frame before lead this frame's first vector.
        let padding = (8 - total & 7) & 7
        at.storeBytes(of: 0, as: UInt64.self)
        at += padding
        let headerAt = at
        at += FrameHeader.size
        Self.forEachPiece(ofPrefixOf: part, batch, Self.position(of: batch, part: index)) { bytes in
            if let base = bytes.baseAddress { at.copyMemory(from: base, byteCount: bytes.count) }
            at += bytes.count
        }
        point(at: UnsafeRawBufferPointer(start: start, count: at - start))
        point(at: Self.entries(of: part, batch))
        point(at: Self.block(of: part, batch))
        header.payloadChecksum = batch.checksums[index]
        header.encode(into: headerAt)
        total += padding + FrameHeader.size + header.payloadLength
    }

    private mutating func point(at bytes: UnsafeRawBufferPointer) {
        if bytes.isEmpty { return }
        vectors.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count))
    }

    // MARK: - The payload

    /// Notes the checksums of the payloads of the batch's frames in it. For who appends: there the bytes are still in a
    /// processor's cache, and nothing waits for it but the batch. Nothing of the batch may change afterwards.
    static func seal(_ batch: RecordBatch) {
        batch.checksums.removeAll(keepingCapacity: true)
        for index in 0..<batch.partCount {
            let part = batch.part(index)
            var sum: UInt32 = 0
            forEachPiece(ofPrefixOf: part, batch, position(of: batch, part: index)) {
                sum = checksum(of: $0, seed: sum)
            }
            sum = checksum(of: entries(of: part, batch), seed: sum)
            batch.checksums.append(checksum(of: block(of: part, batch), seed: sum))
        }
    }

    /// Context, position and attribute entries, in the order of the format.
    private static func forEachPiece(
        ofPrefixOf part: RecordSection, _ batch: RecordBatch, _ position: SourcePosition?,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        var length = part.context.count
        part.context.withUnsafeBytes(body)
        if let position {
            position.source.bytes.withUnsafeBytes(body)
            position.value.withUnsafeBytes(body)
            length += position.source.bytes.count + position.value.count
        }
        withUnsafeBytes(of: 0 as UInt32) { body(UnsafeRawBufferPointer(rebasing: $0[..<(-length & 3)])) }
        batch.attributes[part.attributes].withUnsafeBytes(body)
    }

    private static func entries(of part: RecordSection, _ batch: RecordBatch) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: batch.records + part.records.lowerBound, count: part.records.count * 8)
    }

    private static func block(of part: RecordSection, _ batch: RecordBatch) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: batch.block + part.bytes.lowerBound, count: part.bytes.count)
    }
}

/// A batch that has its ids and is not durable yet.
struct PendingBatch {
    let batch: RecordBatch
    let firstSequence: UInt64
    let records: Int
    /// Bytes of its frames.
    let length: Int
    /// Bytes of its frames before their entries, with room for padding.
    let prefixBytes: Int

    init(_ batch: RecordBatch, firstSequence: UInt64, size: FrameSize) {
        self.batch = batch
        self.firstSequence = firstSequence
        records = batch.recordCount
        length = size.length
        prefixBytes = size.prefix
    }

    var endSequence: UInt64 { firstSequence + UInt64(records) }
}

/// What a batch's frames take.
struct FrameSize {
    var length = 0
    var prefix = 0

    init(of batch: RecordBatch) {
        for part in 0..<batch.partCount {
            let header = FrameEncoder.header(for: batch, part: part)
            length += header.length
            prefix += 8 + FrameHeader.size + header.entriesOffset
        }
    }
}
