internal import TailraceSpool

/// A new block for what a filter has left of a batch: bodies one behind the other, each with the attribute `offset`, for
/// it can no longer be told from the place, unless it has one already.
struct FilteredLayout {
    /// Bodies that became longer: by the record's new index, in order.
    private var grown: [(record: Int, bytes: Range<Int>)] = []
    private var bytes: [UInt8] = []
    private var limit = 0
    private var attributes: [AttributeEntry] = []
    private var offset: [UInt8] = []

    /// - Parameter limit: bytes that all bodies that became longer may have.
    mutating func begin(limit: Int) {
        self.limit = limit
        grown.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }

    /// Bytes of the limit that are left.
    var room: Int { max(0, limit - bytes.count) }

    mutating func grow(_ record: Int, _ body: [UInt8]) {
        let start = bytes.count
        bytes.append(contentsOf: body)
        grown.append((record, start..<bytes.count))
    }

    func mustMove(_ batch: RecordBatch) -> Bool { !grown.isEmpty }

    /// Bytes that the block of its own has.
    func size(of batch: RecordBatch) -> Int {
        var size = bytes.count
        for record in 0..<batch.recordCount { size += batch.records[record].length + RecordAttributes.offsetSize }
        for attribute in batch.attributes { size += Int(attribute.length) }
        return size
    }

    mutating func move(_ batch: RecordBatch) {
        let target = LentBlock(capacity: size(of: batch))
        attributes.removeAll(keepingCapacity: true)
        var at = 0
        var nextGrown = 0
        for number in 0..<batch.partCount {
            let part = batch.part(number)
            let (origin, firstAttribute) = (at, attributes.count)
            let source = batch.block + part.bytes.lowerBound
            var attribute = part.attributes.lowerBound
            for record in part.records {
                let entry = batch.records[record]
                var length = entry.length
                let start = at
                if nextGrown < grown.count, grown[nextGrown].record == record {
                    let range = grown[nextGrown].bytes
                    length = range.count
                    bytes.withUnsafeBytes { target.copy(UnsafeRawBufferPointer(rebasing: $0[range]), to: &at) }
                    nextGrown += 1
                } else {
                    target.copy(UnsafeRawBufferPointer(start: source + Int(entry.start), count: length), to: &at)
                }
                let attributeStart = at
                let index = UInt32(record - part.records.lowerBound)
                var own = UnsafeRawBufferPointer(start: nil, count: 0)
                if attribute < part.attributes.upperBound, batch.attributes[attribute].record == index {
                    let old = batch.attributes[attribute]
                    own = UnsafeRawBufferPointer(start: source + Int(old.start), count: Int(old.length))
                    attribute += 1
                }
                if RecordAttributes.splitOffset(own) == nil {
                    offset.removeAll(keepingCapacity: true)
                    RecordAttributes.append(
                        RecordAttributes.offsetKey,
                        Int64(clamping: part.baseOffset &+ UInt64(entry.start)), to: &offset)
                    offset.withUnsafeBytes { target.copy($0, to: &at) }
                }
                target.copy(own, to: &at)
                attributes.append(
                    AttributeEntry(
                        record: index, start: UInt32(attributeStart - origin), length: UInt32(at - attributeStart)))
                batch.records[record] = RecordEntry(
                    start: UInt32(start - origin), length: UInt32(length), flags: entry.flags)
            }
            if !batch.sections.isEmpty {
                batch.sections[number].bytes = origin..<at
                batch.sections[number].attributes = firstAttribute..<attributes.count
            }
        }
        swap(&attributes, &batch.attributes)
        target.lend(to: batch, count: at)
    }
}

/// Memory that a batch borrows until it is emptied.
private final class LentBlock {
    private let memory: UnsafeMutableRawBufferPointer

    init(capacity: Int) { memory = .allocate(byteCount: max(1, capacity), alignment: 16) }
    deinit { memory.deallocate() }

    func copy(_ source: UnsafeRawBufferPointer, to at: inout Int) {
        UnsafeMutableRawBufferPointer(rebasing: memory[at..<(at + source.count)]).copyMemory(from: source)
        at += source.count
    }

    func lend(to batch: RecordBatch, count: Int) {
        let records = batch.recordCount
        batch.removeRecords()
        batch.length = 0
        batch.lend(UnsafeRawBufferPointer(rebasing: memory[..<count]), by: self)
        batch.setRecordCount(records)
    }
}
