// # The spool's format, version 1
//
// A spool is a directory:
//
//     lock                           flock'ed while a process has the spool open; holds that process's id
//     00000000000000000007.spool     segments, named by their generation: 20 decimal digits, rising, never used twice
//     00000000000000000003.spare     released segments kept for reuse (removed at the next start)
//     00000000000000000008.new       a segment being prepared (removed at the next start)
//     hub.ledger                     one per output, see `LedgerFormat.swift`
//     quarantine/                    copies of bytes that were skipped because they were damaged
//
// Constraints. Everything is little-endian. Sequence ids are 64 bits, dense, one per record, and never used twice.
// Frames begin at multiples of 8 and never span segments. A segment is preallocated, so it ends in bytes that mean
// nothing: zeros, or what an earlier life of the file left there. A frame counts only if it carries the generation
// in its segment's *name*, so those bytes cannot pass for frames.
//
// ## Segment
//
//     offset  size
//          0     8   magic "TRSPOOL\n"
//          8     1   version, 1
//          9     7   zero
//         16     8   generation, as in the name
//         24     8   first sequence: the id of the first record here
//         32     8   previous end: where the ids of the segment before end. Ids from here up to "first sequence" were
//                    skipped on purpose by a recovery that could not be sure that they had not been used
//         40     8   time of creation, milliseconds since 1970
//         48    12   zero
//         60     4   CRC32C of the 60 bytes before
//         64         frames: first the checkpoint, then records
//
// The checkpoint holds the positions of all sources at the segment's beginning, so that older segments can go. It
// is synced before the segment gets its name, and after every record that it speaks for.
//
// ## Frame
//
//     offset  size
//          0     4   magic "TRFR"
//          4     1   version, 1
//          5     1   kind: 1 records, 2 checkpoint piece, 3 commit
//          6     1   flags: bit 0 = has a position, bit 1 = last piece of the checkpoint
//          7     1   zero
//          8     8   generation
//         16     8   first sequence: the id of the first record here; without records, the next id
//         24     8   committed: every id below was durable before this frame was written
//         32     8   records: time of reading, milliseconds since 1970
//         40     8   records: the source's offset of the block's first byte; checkpoint: the piece's number from 0
//         48     4   records
//         52     4   attribute entries
//         56     4   bytes of context
//         60     4   bytes of the position's value (0 = forget the source)
//         64     4   bytes of block
//         68     2   bytes of the position's source key
//         70     2   zero
//         72     4   CRC32C of the payload
//         76     4   CRC32C of the 76 bytes before
//         80         payload, then zeros up to a multiple of 8
//
// The header has a checksum of its own so that a damaged payload can be stepped over, and its records counted.
//
//     payload = context, source key, position value, zeros up to a multiple of 4,
//               attribute entries (12 bytes each: record, start, length), record entries (8 each), block
//     record entry = 4 bytes start in the block, 4 bytes: length in the low 28 bits, `RecordFlags` in the high four
//
// A records frame without records only moves a position. A checkpoint piece has only a block:
// `[u16 key length][u16 zero][u32 value length][key][value]` per source. A commit frame has no payload: it is written when
// no frame has followed a sync for a second, at a flush and at the end, tells that everything before it is durable, and is
// overwritten by the next frame, which tells the same.

#if _endian(big)
    #error("the spool lays out record entries in memory as on disk: a big-endian machine needs a swap here")
#endif

/// The fixed part of a frame. Fenced: fields and their places are the format; do not add, remove or reorder any.
package struct FrameHeader: Equatable, Sendable {
    package enum Kind: UInt8, Sendable { case records = 1, checkpoint = 2, commit = 3 }

    package static let size = 80
    package static let magic: UInt32 = 0x5246_5254
    package static let version: UInt8 = 1
    /// Longest context that a reader accepts: three fields of 64 KiB and room for more.
    package static let maximumContext = 1 << 20
    /// Longest position value.
    package static let maximumPositionValue = 64 << 10
    /// No frame is longer, whatever the configuration says.
    package static let maximumLength = 1 << 30

    package var kind: Kind
    package var hasPosition = false
    package var isLastPiece = false
    package var generation: UInt64
    package var firstSequence: UInt64
    package var committed: UInt64
    package var time: Int64 = 0
    package var baseOffset: UInt64 = 0
    package var recordCount: UInt32 = 0
    package var attributeCount: UInt32 = 0
    package var contextLength: UInt32 = 0
    package var positionValueLength: UInt32 = 0
    package var blockLength: UInt32 = 0
    package var positionKeyLength: UInt16 = 0
    package var payloadChecksum: UInt32 = 0

    package init(kind: Kind, generation: UInt64, firstSequence: UInt64, committed: UInt64) {
        self.kind = kind
        self.generation = generation
        self.firstSequence = firstSequence
        self.committed = committed
    }

    /// The id after the last record.
    package var endSequence: UInt64 { firstSequence &+ UInt64(recordCount) }

    /// Bytes of payload before the attribute entries.
    var prefixLength: Int {
        (Int(contextLength) + Int(positionKeyLength) + Int(positionValueLength) + 3) & ~3
    }
    var entriesOffset: Int { prefixLength + Int(attributeCount) * 12 }
    var blockOffset: Int { entriesOffset + Int(recordCount) * 8 }
    var payloadLength: Int { blockOffset + Int(blockLength) }
    /// Header, payload and padding.
    package var length: Int { (Self.size + payloadLength + 7) & ~7 }

    func encode(into bytes: UnsafeMutableRawPointer) {
        bytes.store(Self.magic, at: 0)
        bytes.store(Self.version, at: 4)
        bytes.store(kind.rawValue, at: 5)
        bytes.store(UInt8((hasPosition ? 1 : 0) | (isLastPiece ? 2 : 0)), at: 6)
        bytes.store(UInt8(0), at: 7)
        bytes.store(generation, at: 8)
        bytes.store(firstSequence, at: 16)
        bytes.store(committed, at: 24)
        bytes.store(time, at: 32)
        bytes.store(baseOffset, at: 40)
        bytes.store(recordCount, at: 48)
        bytes.store(attributeCount, at: 52)
        bytes.store(contextLength, at: 56)
        bytes.store(positionValueLength, at: 60)
        bytes.store(blockLength, at: 64)
        bytes.store(positionKeyLength, at: 68)
        bytes.store(UInt16(0), at: 70)
        bytes.store(payloadChecksum, at: 72)
        bytes.store(checksum(of: UnsafeRawBufferPointer(start: bytes, count: 76)), at: 76)
    }

    /// Reads `size` bytes; nil unless they are a whole, plausible header.
    init?(decoding bytes: UnsafeRawPointer) {
        guard bytes.load(at: 0, as: UInt32.self) == Self.magic,
            bytes.load(at: 76, as: UInt32.self) == checksum(of: UnsafeRawBufferPointer(start: bytes, count: 76)),
            bytes.load(at: 4, as: UInt8.self) == Self.version,
            let kind = Kind(rawValue: bytes.load(at: 5, as: UInt8.self))
        else { return nil }
        self.init(
            kind: kind, generation: bytes.load(at: 8, as: UInt64.self),
            firstSequence: bytes.load(at: 16, as: UInt64.self), committed: bytes.load(at: 24, as: UInt64.self))
        let flags = bytes.load(at: 6, as: UInt8.self)
        hasPosition = flags & 1 != 0
        isLastPiece = flags & 2 != 0
        time = bytes.load(at: 32, as: Int64.self)
        baseOffset = bytes.load(at: 40, as: UInt64.self)
        recordCount = bytes.load(at: 48, as: UInt32.self)
        attributeCount = bytes.load(at: 52, as: UInt32.self)
        contextLength = bytes.load(at: 56, as: UInt32.self)
        positionValueLength = bytes.load(at: 60, as: UInt32.self)
        blockLength = bytes.load(at: 64, as: UInt32.self)
        positionKeyLength = bytes.load(at: 68, as: UInt16.self)
        payloadChecksum = bytes.load(at: 72, as: UInt32.self)
        // Sums of 32-bit numbers: they fit in an Int, and are bounded here before anybody uses them.
        guard Int(contextLength) <= Self.maximumContext, Int(positionKeyLength) <= SourceKey.maximumLength,
            Int(positionValueLength) <= Self.maximumPositionValue, attributeCount <= recordCount,
            length <= Self.maximumLength, firstSequence <= UInt64.max - UInt64(recordCount)
        else { return nil }
        switch kind {
        case .records: break
        case .checkpoint: guard payloadLength == Int(blockLength) else { return nil }
        case .commit: guard payloadLength == 0 else { return nil }
        }
    }
}

/// The beginning of a segment. Fenced like `FrameHeader`.
package struct SegmentHeader: Equatable, Sendable {
    package static let size = 64
    static let magic: UInt64 = 0x0A4C_4F4F_5053_5254
    package static let version: UInt8 = 1

    package var generation: UInt64
    package var firstSequence: UInt64
    package var previousEnd: UInt64
    package var created: Int64

    enum Decoded: Equatable {
        case header(SegmentHeader)
        /// Whole, but written by a later version: hands off.
        case newer(version: UInt8)
        case damaged
    }

    func encode(into bytes: UnsafeMutableRawPointer) {
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: Self.size)
        bytes.store(Self.magic, at: 0)
        bytes.store(Self.version, at: 8)
        bytes.store(generation, at: 16)
        bytes.store(firstSequence, at: 24)
        bytes.store(previousEnd, at: 32)
        bytes.store(created, at: 40)
        bytes.store(checksum(of: UnsafeRawBufferPointer(start: bytes, count: 60)), at: 60)
    }

    static func decode(_ bytes: UnsafeRawBufferPointer) -> Decoded {
        guard bytes.count >= size, let base = bytes.baseAddress, base.load(at: 0, as: UInt64.self) == magic,
            base.load(at: 60, as: UInt32.self) == checksum(of: UnsafeRawBufferPointer(start: base, count: 60))
        else { return .damaged }
        let version = base.load(at: 8, as: UInt8.self)
        guard version <= Self.version else { return .newer(version: version) }
        let header = SegmentHeader(
            generation: base.load(at: 16, as: UInt64.self), firstSequence: base.load(at: 24, as: UInt64.self),
            previousEnd: base.load(at: 32, as: UInt64.self), created: base.load(at: 40, as: Int64.self))
        guard version == Self.version, header.previousEnd <= header.firstSequence else { return .damaged }
        return .header(header)
    }
}
