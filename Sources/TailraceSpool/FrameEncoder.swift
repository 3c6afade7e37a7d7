import Glibc

/// Lays out a group of frames for one gathering write: headers, contexts, positions and attribute entries in a reused
/// buffer, record entries and blocks where they are. Allocates nothing once warm.
struct FrameEncoder: ~Copyable {
    /// I/O vectors per frame at most: padding of the frame before with the prefix, entries, block.
    static let vectorsPerFrame = 3

    private var prefixes = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    private var vectors: [iovec] = []

    deinit { prefixes.deallocate() }

    /// The frame header of `batch`, without checksum and numbers.
    static func header(for batch: RecordBatch) -> FrameHeader {
        var header = FrameHeader(kind: .records, generation: 0, firstSequence: 0, committed: 0)
        header.time = batch.time
        header.baseOffset = batch.baseOffset
        header.recordCount = UInt32(batch.recordCount)
        header.attributeCount = UInt32(batch.attributes.count)
        header.contextLength = UInt32(batch.context.count)
        header.blockLength = UInt32(batch.length)
        if let position = batch.position {
            header.hasPosition = true
            header.positionKeyLength = UInt16(position.source.bytes.count)
            header.positionValueLength = UInt32(position.value.count)
        }
        return header
    }

    /// Writes `frames` to `file` from `offset`; returns the bytes written.
    mutating func write(
        _ frames: ArraySlice<PendingBatch>, generation: UInt64, committed: UInt64, to file: SpoolFile, at offset: Int
    ) throws(SpoolFileError) -> Int {
        var needed = 8
        for frame in frames {
            let header = frame.header
            needed += 8 + FrameHeader.size + header.entriesOffset
        }
        if needed > prefixes.count {
            prefixes.deallocate()
            prefixes = .allocate(byteCount: max(needed, 64 << 10), alignment: 16)
        }
        vectors.removeAll(keepingCapacity: true)
        var at = prefixes.baseAddress!
        var total = 0
        for frame in frames {
            let start = at
            // The zeros that pad the frame before lead this frame's first vector.
            let padding = (8 - total & 7) & 7
            at.storeBytes(of: 0, as: UInt64.self)
            at += padding
            let headerAt = at
            var header = frame.header
            header.generation = generation
            header.committed = committed
            header.firstSequence = frame.firstSequence
            at = Self.copyPrefix(of: frame.batch, to: at + FrameHeader.size)
            let prefix = UnsafeRawBufferPointer(
                start: headerAt + FrameHeader.size, count: at - headerAt - FrameHeader.size)
            var sum = checksum(of: prefix)
            vectors.append(iovec(iov_base: start, iov_len: at - start))
            let entries = UnsafeRawBufferPointer(start: frame.batch.records, count: frame.batch.recordCount * 8)
            if entries.count > 0 {
                sum = checksum(of: entries, seed: sum)
                vectors.append(
                    iovec(iov_base: UnsafeMutableRawPointer(mutating: entries.baseAddress!), iov_len: entries.count))
            }
            if frame.batch.length > 0 {
                sum = checksum(
                    of: UnsafeRawBufferPointer(start: frame.batch.block, count: frame.batch.length), seed: sum)
                vectors.append(iovec(iov_base: frame.batch.block, iov_len: frame.batch.length))
            }
            header.payloadChecksum = sum
            header.encode(into: headerAt)
            total += padding + FrameHeader.size + header.payloadLength
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

    /// Copies context, position and attribute entries; returns the place behind them.
    private static func copyPrefix(
        of batch: RecordBatch, to start: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        var at = start
        func copy(_ bytes: [UInt8]) {
            bytes.withUnsafeBytes { if let base = $0.baseAddress { at.copyMemory(from: base, byteCount: $0.count) } }
            at += bytes.count
        }
        copy(batch.context)
        if let position = batch.position {
            copy(position.source.bytes)
            copy(position.value)
        }
        while (at - start) & 3 != 0 {
            at.storeBytes(of: 0, as: UInt8.self)
            at += 1
        }
        for entry in batch.attributes {
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
    let header: FrameHeader

    var endSequence: UInt64 { firstSequence + UInt64(header.recordCount) }
    var length: Int { header.length }
}
