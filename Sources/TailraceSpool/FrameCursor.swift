import CTailrace
import Glibc

/// Walks over the frames of one segment, front to back, with a read-ahead buffer; steps over damage.
///
/// Used by the readers and by recovery, so that both see the same frames and the same damage. Not thread-safe.
final class FrameCursor {
    /// Bytes read at once; the buffer grows to the largest frame seen.
    static let readAhead = 1 << 20
    /// Bytes read at once where frames are stepped over: not much of those that are long.
    static let shortReadAhead = 64 << 10

    enum Step {
        /// A whole frame; its payload is valid until the next call.
        case frame(FrameHeader, payload: UnsafeRawBufferPointer)
        /// Bytes that are no frame. With a header when that is whole and tells what was lost.
        case damaged(Range<Int>, FrameHeader?)
        /// Nothing more below `limit`.
        case end
    }

    private(set) var generation: UInt64 = 0
    private(set) var file: SpoolFile?
    /// Where the next frame begins.
    private(set) var offset = 0
    /// Bytes of the file that may be looked at; may grow while the segment is being written.
    var limit = 0

    private let stepsOver: Bool
    private var buffer: UnsafeMutableRawBufferPointer
    private var windowStart = 0
    private var windowCount = 0

    /// - Parameter stepsOver: not all frames are wanted, so that no more is read than the next one's.
    init(stepsOver: Bool = false) {
        self.stepsOver = stepsOver
        buffer = .allocate(byteCount: stepsOver ? Self.shortReadAhead : Self.readAhead, alignment: 4096)
    }

    deinit { buffer.deallocate() }

    func open(_ file: SpoolFile, generation: UInt64, offset: Int, limit: Int) {
        self.file = file
        self.generation = generation
        self.offset = offset
        self.limit = limit
        windowStart = offset
        windowCount = 0
    }

    func close() { file = nil }

    /// The next frame whose first id is at least `minimum`, or the damage before it.
    func next(minimum: UInt64) throws(SpoolFileError) -> Step {
        let start = offset
        if limit - start < FrameHeader.size {
            // What is too short for a header cannot be a frame, but it may be what is left of one.
            offset = max(start, limit)
            return start < limit ? .damaged(start..<limit, nil) : .end
        }
        guard let bytes = try window(at: start, count: FrameHeader.size) else { return cut() }
        guard let header = header(at: bytes, minimum: minimum) else { return try resynchronise(minimum: minimum) }
        // The padding may be missing at the end of a file that was cut: it holds nothing.
        let length = FrameHeader.size + header.payloadLength
        guard length <= limit - start, let frame = try window(at: start, count: length) else {
            offset = limit
            return .damaged(start..<max(start, limit), header)
        }
        offset = min(start + header.length, limit)
        let payload = UnsafeRawBufferPointer(start: frame + FrameHeader.size, count: header.payloadLength)
        guard checksum(of: payload) == header.payloadChecksum, SpoolFrame.isConsistent(header, payload) else {
            return .damaged(start..<offset, header)
        }
        return .frame(header, payload: payload)
    }

    /// Steps over the next frame by its header and context alone, which are not checked against the payload's checksum, if
    /// `isUnwanted` says so of the two. Nil when it does not, and when there is no such frame: `next` tells what there is.
    func stepOver(
        minimum: UInt64, if isUnwanted: (FrameHeader, _ context: UnsafeRawBufferPointer) -> Bool
    ) throws(SpoolFileError) -> FrameHeader? {
        let start = offset
        guard let bytes = try window(at: start, count: FrameHeader.size),
            let header = header(at: bytes, minimum: minimum),
            header.payloadLength <= limit - start - FrameHeader.size,
            let head = try window(at: start, count: FrameHeader.size + Int(header.contextLength)),
            isUnwanted(
                header, UnsafeRawBufferPointer(start: head + FrameHeader.size, count: Int(header.contextLength)))
        else { return nil }
        offset = min(start + header.length, limit)
        return header
    }

    private func header(at bytes: UnsafeRawPointer, minimum: UInt64) -> FrameHeader? {
        guard let header = FrameHeader(decoding: bytes), header.generation == generation,
            header.firstSequence >= minimum
        else { return nil }
        return header
    }

    /// The file is shorter than it should be.
    private func cut() -> Step {
        let start = offset
        let end = windowStart + windowCount
        limit = max(start, end)
        offset = limit
        return limit > start ? .damaged(start..<limit, nil) : .end
    }

    /// Looks for the next header of this generation; what lies before it is damage.
    private func resynchronise(minimum: UInt64) throws(SpoolFileError) -> Step {
        let start = offset
        var at = start + 8
        while limit - at >= FrameHeader.size, let bytes = try window(at: at, count: FrameHeader.size) {
            let count = windowStart + windowCount - at
            var magic = FrameHeader.magic.littleEndian
            guard let found = tailrace_find(bytes, count, &magic, 4) else {
                at += max(8, (count - 3) & ~7)
                continue
            }
            let distance = found - bytes
            guard distance % 8 == 0 else {
                // Not where a frame can begin: go on behind it, at a multiple of 8.
                at += (distance + 7) & ~7
                continue
            }
            at += distance
            if limit - at >= FrameHeader.size, let bytes = try window(at: at, count: FrameHeader.size),
                header(at: bytes, minimum: minimum) != nil
            {
                offset = at
                return .damaged(start..<at, nil)
            }
            at += 8
        }
        offset = limit
        return .damaged(start..<max(start, limit), nil)
    }

    /// `count` bytes at `at` in memory, or nil when the file or `limit` ends before them.
    private func window(at: Int, count: Int) throws(SpoolFileError) -> UnsafeRawPointer? {
        if at >= windowStart, at + count <= windowStart + windowCount {
            return UnsafeRawPointer(buffer.baseAddress! + (at - windowStart))
        }
        guard at + count <= limit, let file else { return nil }
        let kept = at >= windowStart ? max(0, windowStart + windowCount - at) : 0
        if count > buffer.count {
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: (count + 4095) & ~4095, alignment: 4096)
            if kept > 0 { memcpy(larger.baseAddress!, buffer.baseAddress! + (at - windowStart), kept) }
            buffer.deallocate()
            buffer = larger
        } else if kept > 0 {
            memmove(buffer.baseAddress!, buffer.baseAddress! + (at - windowStart), kept)
        }
        windowStart = at
        windowCount = kept
        let end = min(stepsOver ? max(count, Self.shortReadAhead) : buffer.count, limit - at)
        windowCount += try file.readAround(
            into: UnsafeMutableRawBufferPointer(rebasing: buffer[kept..<end]), at: at + kept)
        return windowCount >= count ? UnsafeRawPointer(buffer.baseAddress!) : nil
    }
}
