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
        // It covers everything before it, so it lies in the last frame.
        if let position = batch.position, index == batch.partCount - 1 {
            header.hasPosition = true
            header.positionKeyLength = UInt16(position.source.bytes.count)
            header.positionValueLength = UInt32(position.value.count)
        }
        return header
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
        at = Self.copyPrefix(of: part, batch, position: header.hasPosition, to: at + FrameHeader.size)
        let prefix = UnsafeRawBufferPointer(
            start: headerAt + FrameHeader.size, count: at - headerAt - FrameHeader.size)
        var sum = checksum(of: prefix)
        vectors.append(iovec(iov_base: start, iov_len: at - start))
        if !part.records.isEmpty {
            let entries = UnsafeRawBufferPointer(
                start: batch.records + part.records.lowerBound, count: part.records.count * 8)
            sum = checksum(of: entries, seed: sum)
            vectors.append(
                iovec(iov_base: UnsafeMutableRawPointer(mutating: entries.baseAddress!), iov_len: entries.count))
        }
        if !part.bytes.isEmpty {
            let bytes = UnsafeRawBufferPointer(start: batch.block + part.bytes.lowerBound, count: part.bytes.count)
            sum = checksum(of: bytes, seed: sum)
            vectors.append(iovec(iov_base: batch.block + part.bytes.lowerBound, iov_len: bytes.count))
        }
        header.payloadChecksum = sum
        header.encode(into: headerAt)
        total += padding + FrameHeader.size + header.payloadLength
    }

    /// Copies context, position and attribute entries; returns the place behind them.
    private static func copyPrefix(
        of part: RecordSection, _ batch: RecordBatch, position: Bool, to start: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        var at = start
        func copy(_ bytes: [UInt8]) {
            bytes.withUnsafeBytes { if let base = $0.baseAddress { at.copyMemory(from: base, byteCount: $0.count) } }
            at += bytes.count
        }
        copy(part.context)
        if position, let position = batch.position {
            copy(position.source.bytes)
            copy(position.value)
        }
        while (at - start) & 3 != 0 {
            at.storeBytes(of: 0, as: UInt8.self)
            at += 1
        }
        for entry in batch.attributes[part.attributes] {
            at.store(entry.record, at: 0)
            at.store(entry.start, at: 4)
            at.store(entry.length, at: 8)
            at += 12
        }
        return at
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
