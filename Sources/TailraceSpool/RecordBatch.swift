import Synchronization

/// Where one record lies in its batch's block.
///
/// Eight bytes, because there is one of them per record in memory and on disk.
package struct RecordEntry: Equatable, Sendable {
    /// Index of the body's first byte in the block, or in its section's part of it.
    package var start: UInt32
    /// The body's length in the low 28 bits (at most `maximumLength`), the flags in the high four.
    package var lengthAndFlags: UInt32

    /// 256 MiB − 1: what 28 bits hold. Inputs cut far earlier.
    package static let maximumLength = 0x0FFF_FFFF

    package init(start: UInt32, length: UInt32, flags: RecordFlags = []) {
        precondition(length <= Self.maximumLength)
        self.start = start
        self.lengthAndFlags = length | UInt32(flags.rawValue) << 28
    }

    @inlinable
    package var length: Int { Int(lengthAndFlags & 0x0FFF_FFFF) }
    package var flags: RecordFlags { RecordFlags(rawValue: UInt8(lengthAndFlags >> 28)) }
}

/// What is special about one record: four bits in its entry.
package struct RecordFlags: OptionSet, Equatable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue & 0x0F }

    /// The body is only the beginning of what the source had; an attribute tells the original length.
    package static let truncated = RecordFlags(rawValue: 1)
    /// The source ended without the terminator that usually ends a record (a last line without newline).
    package static let unterminated = RecordFlags(rawValue: 2)
}

/// Extra properties of one record: sparse for files (only records that were cut), dense for syslog and journal.
///
/// A batch's attribute entries (a section's, where there are sections) are sorted by `record`; a record has at most one.
package struct AttributeEntry: Equatable, Sendable {
    /// Index of the record in its batch, or in its section.
    package var record: UInt32
    /// Where the encoded `RecordAttributes` lie in the block.
    package var start: UInt32
    package var length: UInt32

    package init(record: UInt32, start: UInt32, length: UInt32) {
        self.record = record
        self.start = start
        self.length = length
    }
}

/// Names one thing that is read from (a generation of a file, a journal): opaque bytes chosen by the input,
/// at most `maximumLength` of them, the same for as long as the thing exists.
package struct SourceKey: Hashable, Sendable {
    package let bytes: [UInt8]
    package static let maximumLength = 4096

    package init(_ bytes: [UInt8]) {
        precondition(bytes.count <= Self.maximumLength)
        self.bytes = bytes
    }
}

/// How far a source has been read. Stored in the same frame as the records it covers, so that one fsync makes both
/// durable and they cannot disagree (promise 1).
package struct SourcePosition: Equatable, Sendable {
    package var source: SourceKey
    /// Opaque to the spool, at most 64 KiB; empty means "forget this source".
    package var value: [UInt8]

    package init(source: SourceKey, value: [UInt8]) {
        self.source = source
        self.value = value
    }
}

/// A block of bytes, an index of the records in it, and what they share: the unit that crosses threads.
///
/// The bodies need not be contiguous and need not cover the block: a file reader reads a chunk straight into the block
/// and indexes the lines in place, so nothing is copied between `read` and the spool's `write`.
///
/// A batch has one owner at a time. Ownership passes with the call that takes it (`Spool.append`); the last owner gives
/// it back with `recycle()`. Nothing here is locked: hence `@unchecked Sendable`.
package final class RecordBatch: @unchecked Sendable {
    /// Bytes that fit in the block.
    package private(set) var capacity: Int
    /// The block: `capacity` bytes, aligned to a page; or bytes that were lent (`lend`).
    @exclusivity(unchecked) package private(set) var block: UnsafeMutableRawPointer
    /// The block that is the batch's own, and its size.
    private let own: UnsafeMutableRawBufferPointer
    /// Keeps bytes alive that were lent.
    private var lender: AnyObject?
    // The owner is alone with the batch, so the run-time checks of exclusive access, which cost more than the access,
    // have nothing to find in what is touched once per record.

    /// Bytes of the block in use.
    @exclusivity(unchecked) package var length = 0

    @exclusivity(unchecked) package private(set) var records: UnsafeMutablePointer<RecordEntry>
    @exclusivity(unchecked) package private(set) var recordCount = 0
    @exclusivity(unchecked) private var recordCapacity: Int

    package var attributes: [AttributeEntry] = []
    /// Parts with contexts of their own, in order, or none (see `RecordSection`).
    package var sections: [RecordSection] = []
    /// What all records share (`RecordContext.encoded`); opaque to the spool.
    package var context: [UInt8] = []
    /// How far the source has been read once this batch is durable; nil when the input has no positions (UDP).
    package var position: SourcePosition?
    /// The source's offset of the block's first byte: a record's offset is this plus its entry's `start`.
    package var baseOffset: UInt64 = 0
    /// When the records were read: milliseconds since 1970, UTC.
    package var time: Int64 = 0

    /// Of the payloads of its frames, once it was handed over (`FrameEncoder.seal`).
    var checksums: [UInt32] = []

    private weak let pool: BatchPool?

    /// A batch outside any pool; `recycle()` only empties it.
    package convenience init(capacity: Int) { self.init(capacity: capacity, pool: nil) }

    fileprivate init(capacity: Int, pool: BatchPool?) {
        self.capacity = capacity
        self.pool = pool
        own = .allocate(byteCount: capacity, alignment: 4096)
        block = own.baseAddress.unsafelyUnwrapped
        recordCapacity = 1024
        records = .allocate(capacity: recordCapacity)
    }

    deinit {
        own.deallocate()
        records.deallocate()
    }

    package func append(_ entry: RecordEntry) {
        if recordCount == recordCapacity { growRecords() }
        records[recordCount] = entry
        recordCount += 1
    }

    private func growRecords() {
        let larger = UnsafeMutablePointer<RecordEntry>.allocate(capacity: recordCapacity * 2)
        larger.moveInitialize(from: records, count: recordCount)
        records.deallocate()
        records = larger
        recordCapacity *= 2
    }

    /// The body of record `index`, valid while the caller owns the batch.
    package func body(_ index: Int) -> UnsafeRawBufferPointer {
        precondition(index < recordCount)
        let entry = records[index]
        return UnsafeRawBufferPointer(start: block + origin(ofRecord: index) + Int(entry.start), count: entry.length)
    }

    /// Copies `bytes` to the end of the block and returns where; nil when there is no room.
    package func copyIn(_ bytes: UnsafeRawBufferPointer) -> UInt32? {
        guard bytes.count <= capacity - length else { return nil }
        let start = length
        if let base = bytes.baseAddress { (block + start).copyMemory(from: base, byteCount: bytes.count) }
        length += bytes.count
        return UInt32(start)
    }

    /// Takes bytes that somebody else has for the block, full as they are, until the batch is emptied: what came in one
    /// piece needs no copy to be stored.
    ///
    /// - Parameter lender: keeps the bytes alive, and the same.
    package func lend(_ bytes: UnsafeRawBufferPointer, by lender: AnyObject) {
        precondition(length == 0 && recordCount == 0, "bytes are lent to an empty batch")
        guard let start = bytes.baseAddress else { return }
        // Nothing is written to a block without room.
        block = UnsafeMutableRawPointer(mutating: start)
        capacity = bytes.count
        length = bytes.count
        self.lender = lender
    }

    /// Forgets the records; the block stays as it is.
    package func removeRecords() { recordCount = 0 }

    /// Keeps the first `count` entries that there are or were; sections are the caller's to set right.
    package func setRecordCount(_ count: Int) {
        precondition(count >= 0 && count <= recordCapacity)
        recordCount = count
    }

    /// Empties the batch; its storage stays.
    package func removeAll() {
        length = 0
        recordCount = 0
        if lender != nil {
            block = own.baseAddress.unsafelyUnwrapped
            capacity = own.count
            lender = nil
        }
        attributes.removeAll(keepingCapacity: true)
        sections.removeAll(keepingCapacity: true)
        checksums.removeAll(keepingCapacity: true)
        context = []
        position = nil
        baseOffset = 0
        time = 0
    }

    /// Whether an owner that holds `held` batches has half of the pool, so that the others may soon find none.
    package func isPoolStarving(holding held: Int) -> Bool {
        guard let pool else { return false }
        return held >= max(1, pool.limit / 2)
    }

    /// The last owner's duty: empties the batch and gives it back to the pool that it came from.
    package func recycle() {
        removeAll()
        pool?.putBack(self)
    }
}

/// A bounded set of equal batches, so that the record path allocates nothing and memory has a limit.
package final class BatchPool: Sendable {
    /// Bytes of each batch's block.
    package let blockCapacity: Int
    /// Batches in existence at most.
    package let limit: Int

    private struct State {
        var idle: [RecordBatch] = []
        var made = 0
    }
    private let state = Mutex(State())

    package init(blockCapacity: Int, limit: Int) {
        precondition(limit > 0 && blockCapacity > 0)
        self.blockCapacity = blockCapacity
        self.limit = limit
    }

    /// An empty batch, or nil when all are in use: the caller waits, which is the back-pressure.
    package func take() -> RecordBatch? {
        let (batch, make) = state.withLock { state -> (RecordBatch?, Bool) in
            if let batch = state.idle.popLast() { return (batch, false) }
            guard state.made < limit else { return (nil, false) }
            state.made += 1
            return (nil, true)
        }
        return make ? RecordBatch(capacity: blockCapacity, pool: self) : batch
    }

    /// Frees the batches that are not in use.
    package func removeIdle() {
        let idle = state.withLock { state in
            defer { state.idle = [] }
            state.made -= state.idle.count
            return state.idle
        }
        // Freed here, with the lock given back.
        _ = idle
    }

    fileprivate func putBack(_ batch: RecordBatch) {
        state.withLock { $0.idle.append(batch) }
    }
}
