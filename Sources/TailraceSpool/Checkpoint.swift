/// The beginning of a segment: its header and the positions of all sources.
enum Checkpoint {
    /// Bytes of positions in one piece at most (a single larger position still gets its piece).
    static let pieceSize = 1 << 20

    /// What one position takes in a checkpoint.
    static func size(key: SourceKey, value: [UInt8]) -> Int { 8 + key.bytes.count + value.count }

    /// A segment's first bytes, a multiple of 8 long; the same for the same positions.
    static func encode(_ segment: SegmentHeader, positions: [SourceKey: [UInt8]]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: SegmentHeader.size)
        bytes.withUnsafeMutableBytes { segment.encode(into: $0.baseAddress!) }
        var block: [UInt8] = []
        var piece: UInt64 = 0
        func finishPiece(isLast: Bool) {
            var header = FrameHeader(
                kind: .checkpoint, generation: segment.generation, firstSequence: segment.firstSequence,
                committed: segment.firstSequence)
            header.baseOffset = piece
            header.isLastPiece = isLast
            header.blockLength = UInt32(block.count)
            header.payloadChecksum = block.withUnsafeBytes { checksum(of: $0) }
            let start = bytes.count
            bytes.append(contentsOf: repeatElement(0, count: FrameHeader.size))
            bytes.withUnsafeMutableBytes { header.encode(into: $0.baseAddress! + start) }
            bytes.append(contentsOf: block)
            bytes.append(contentsOf: repeatElement(0, count: start + header.length - bytes.count))
            block.removeAll(keepingCapacity: true)
            piece += 1
        }
        for (key, value) in positions.sorted(by: { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }) {
            if !block.isEmpty, block.count + size(key: key, value: value) > pieceSize { finishPiece(isLast: false) }
            let start = block.count
            block.append(contentsOf: repeatElement(0, count: 8))
            block.withUnsafeMutableBytes {
                $0.baseAddress!.store(UInt16(key.bytes.count), at: start)
                $0.baseAddress!.store(UInt32(value.count), at: start + 4)
            }
            block.append(contentsOf: key.bytes)
            block.append(contentsOf: value)
        }
        finishPiece(isLast: true)
        return bytes
    }

    /// Adds the positions of one piece; false when it ends early.
    static func decode(_ block: UnsafeRawBufferPointer, into positions: inout [SourceKey: [UInt8]]) -> Bool {
        var at = 0
        while at < block.count {
            guard block.count - at >= 8, let base = block.baseAddress else { return false }
            let keyLength = Int(base.load(at: at, as: UInt16.self))
            let valueLength = Int(base.load(at: at + 4, as: UInt32.self))
            guard keyLength <= SourceKey.maximumLength, valueLength <= FrameHeader.maximumPositionValue,
                keyLength + valueLength <= block.count - at - 8
            else { return false }
            let key = SourceKey(Array(block[(at + 8)..<(at + 8 + keyLength)]))
            positions[key] = Array(block[(at + 8 + keyLength)..<(at + 8 + keyLength + valueLength)])
            at += 8 + keyLength + valueLength
        }
        return true
    }
}
