import Glibc
package import TailraceSpool

/// Applies one input's rules to whole batches, in place. For one thread at a time; allocates nothing per record.
///
/// A record that goes no further leaves the batch's index; the position stays, so that what was filtered is not read
/// again. Where redaction makes bodies longer, or little is left of a large block, what is left moves to a block of its own
/// (`FilteredLayout`).
package final class RecordFilter {
    package private(set) var counts = RecordFilterCounts()
    private let keep: [PatternMatcher]
    private let drop: [PatternMatcher]
    private var redactor: Redactor
    /// Records whose hash is below go along; nil = all.
    private let threshold: UInt64?
    private let key: UInt64
    /// Counts the records that came as far as sampling.
    private var sequence: UInt64 = 0
    private var layout = FilteredLayout()

    /// Bytes that redaction may add to a record beyond four times its length.
    static let growth = 4096
    /// Blocks smaller than this are not worth being made smaller.
    static let compactedBlock = 65_536

    /// - Parameter name: of the input: inputs with the same share take different samples.
    package init(_ rules: RecordFilterRules, name: String) {
        keep = rules.keep.map { PatternMatcher($0) }
        drop = rules.drop.map { PatternMatcher($0) }
        redactor = Redactor(rules.redact)
        threshold = rules.sample.flatMap { $0 < 1 ? UInt64(max(0, $0) * 0x1p64) : nil }
        key = name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    package func apply(to batch: RecordBatch) {
        guard batch.recordCount > 0 else { return }
        let used = batch.length
        var records = 0
        var attributes = 0
        layout.begin(limit: batch.capacity * 4)
        for number in 0..<batch.partCount {
            filter(batch.part(number), of: batch, records: &records, attributes: &attributes, number)
        }
        batch.attributes.removeSubrange(attributes...)
        batch.setRecordCount(records)
        batch.removeEmptySections()
        if records == 0 {
            batch.length = 0
        } else if layout.mustMove(batch) || used >= Self.compactedBlock && layout.size(of: batch) < used / 2 {
            layout.move(batch)
        }
    }

    /// Moves the entries of what is left of one part to where the part before ended.
    private func filter(
        _ part: RecordSection, of batch: RecordBatch, records: inout Int, attributes: inout Int, _ number: Int
    ) {
        let first = (records, attributes)
        var attribute = part.attributes.lowerBound
        for record in part.records {
            while attribute < part.attributes.upperBound,
                Int(batch.attributes[attribute].record) < record - part.records.lowerBound
            {
                attribute += 1
            }
            var entry = batch.records[record]
            let body = UnsafeMutableRawBufferPointer(
                start: batch.block + part.bytes.lowerBound + Int(entry.start), count: entry.length)
            guard passes(UnsafeRawBufferPointer(body)), redact(body, &entry, as: records) else { continue }
            batch.records[records] = entry
            if attribute < part.attributes.upperBound,
                Int(batch.attributes[attribute].record) == record - part.records.lowerBound
            {
                batch.attributes[attributes] = batch.attributes[attribute]
                batch.attributes[attributes].record = UInt32(records - first.0)
                attributes += 1
            }
            records += 1
        }
        if !batch.sections.isEmpty {
            batch.sections[number].records = first.0..<records
            batch.sections[number].attributes = first.1..<attributes
        }
    }

    // MARK: One record

    private func passes(_ body: UnsafeRawBufferPointer) -> Bool {
        if !keep.isEmpty, !isKept(body) {
            counts.notKept &+= 1
            return false
        }
        for matcher in drop {
            switch matcher.find(in: body) {
            case .notFound: continue
            case .gaveUp: counts.undecided &+= 1
            case .found:
                counts.dropped &+= 1
                return false
            }
        }
        if let threshold {
            sequence &+= 1
            if Self.hash(sequence &+ key) >= threshold {
                counts.notSampled &+= 1
                return false
            }
        }
        return true
    }

    /// Where nobody knows, the record goes along.
    private func isKept(_ body: UnsafeRawBufferPointer) -> Bool {
        var isKept = false
        for matcher in keep {
            switch matcher.find(in: body) {
            case .found: return true
            case .notFound: continue
            case .gaveUp: isKept = true
            }
        }
        if isKept { counts.undecided &+= 1 }
        return isKept
    }

    /// False when nobody knows whether the body is harmless: then it is wiped.
    private func redact(_ body: UnsafeMutableRawBufferPointer, _ entry: inout RecordEntry, as record: Int) -> Bool {
        guard !redactor.isEmpty else { return true }
        let limit = min(body.count * 4 + Self.growth, layout.room + body.count, RecordEntry.maximumLength)
        switch redactor.redact(UnsafeRawBufferPointer(body), limit: limit) {
        case .unchanged: return true
        case .gaveUp:
            counts.notRedactable &+= 1
            if let start = body.baseAddress { memset(start, 0, body.count) }
            return false
        case .changed:
            counts.redacted &+= 1
            let new = redactor.body
            if new.count <= body.count {
                body.copyBytes(from: new)
                // What was there is not written to the disk either.
                if let start = body.baseAddress { memset(start + new.count, 0, body.count - new.count) }
                entry = RecordEntry(start: entry.start, length: UInt32(new.count), flags: entry.flags)
            } else {
                layout.grow(record, new)
            }
            return true
        }
    }

    /// SplitMix64's finisher: each value comes once, evenly spread.
    private static func hash(_ value: UInt64) -> UInt64 {
        var z = value &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
