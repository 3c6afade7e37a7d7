internal import Logging
internal import TailraceSpool

/// Keeps the records that a service refused for good, with the reason: in the dead-letter area, so that nothing is lost,
/// everything can be looked at and sent again, and the size has a limit.
///
/// Used by one drain, on its thread. Nothing is opened before the first record.
final class DeadLetters {
    /// The attribute that tells which id the record had.
    static let sequenceKey: StaticString = "sequence"
    /// Bytes kept of a reason.
    static let maximumReason = 1024

    private let area: DeadLetterArea
    private let logger: Logger
    /// The latest records of the runs before: one that ended between keeping a record and telling the ledger is followed
    /// by one that gives the same record up again. Nil until the first record.
    private var latest: Set<Identity>?

    /// What tells a record from all others. Ids alone will not do: they begin anew when the spool is thrown away.
    private struct Identity: Hashable {
        let sequence: UInt64
        let contents: Int

        init(_ frame: SpoolFrame, _ index: Int, sequence: UInt64) {
            self.sequence = sequence
            var hasher = Hasher()
            hasher.combine(bytes: frame.context)
            hasher.combine(frame.time)
            hasher.combine(bytes: frame.body(index))
            contents = hasher.finalize()
        }
    }

    init(_ area: DeadLetterArea, logger: Logger) {
        self.area = area
        self.logger = logger
    }

    /// Stores records of a frame, but those that are here already; false when they could not be made durable.
    func append(_ frame: SpoolFrame, _ indices: Range<Int>, reason: String) -> Bool {
        let spool: Spool
        do throws(DeadLetterError) {
            spool = try area.open()
        } catch {
            logger.error(
                "cannot open the dead-letter area; refused records are dropped",
                metadata: ["directory": "\(area.directory)", "reason": "\(error)"])
            return false
        }
        let latest = latest ?? identities(spool)
        self.latest = latest
        let indices = indices.filter { index in
            latest.isEmpty
                || !latest.contains(Identity(frame, index, sequence: frame.firstSequence + UInt64(index)))
        }
        return indices.isEmpty || append(frame, indices, reason: reason, to: spool)
    }

    private func append(_ frame: SpoolFrame, _ indices: [Int], reason: String, to spool: Spool) -> Bool {
        let reason = Array(reason.utf8.prefix(Self.maximumReason))
        let run = RecordRun(frame, 0..<frame.recordCount)
        var capacity = 4096
        for index in indices {
            let record = run[index]
            capacity += record.body.count + record.attributes.count + reason.count + 128
        }
        let batch = RecordBatch(capacity: capacity)
        batch.context = Array(frame.context)
        batch.time = frame.time
        for index in indices {
            let record = run[index]
            var attributes = Array(record.attributes)
            reason.withUnsafeBytes { RecordAttributes.append(DeadLetterReason.key, $0, to: &attributes) }
            RecordAttributes.append(Self.sequenceKey, Int64(clamping: record.sequence), to: &attributes)
            batch.append(record, attributes: attributes)
        }
        guard spool.tryAppend(batch), spool.flush(timeoutMilliseconds: 10_000) else {
            logger.error(
                "cannot keep records that the service refused; they are dropped",
                metadata: ["directory": "\(area.directory)", "records": "\(indices.count)"])
            return false
        }
        return true
    }

    private func identities(_ spool: Spool) -> Set<Identity> {
        var found: Set<Identity> = []
        let there = spool.statistics()
        do throws(SpoolError) {
            let reader = try spool.reader(
                from: max(
                    there.firstSequence, there.nextSequence - min(there.nextSequence, DeadLetterArea.remembered)))
            while let frame = try reader.next() {
                for index in frame.startIndex..<frame.recordCount {
                    var sequence: UInt64?
                    RecordAttributes.forEach(in: frame.attributes(of: index)) { key, value in
                        guard Self.sequenceKey.withUTF8Buffer({ key.elementsEqual($0) }), case .integer(let id) = value
                        else { return }
                        sequence = UInt64(exactly: id)
                    }
                    if let sequence { found.insert(Identity(frame, index, sequence: sequence)) }
                }
            }
        } catch {
            logger.warning(
                "cannot read the latest dead letters; what the last run kept may be kept once more",
                metadata: ["directory": "\(area.directory)", "reason": "\(error)"])
        }
        return found
    }
}

/// Why a record is among the dead letters: one of its attributes.
package enum DeadLetterReason {
    static let key: StaticString = "dead_letter_reason"

    /// What the attributes of a record tell.
    package static func text(of attributes: UnsafeRawBufferPointer) -> String {
        var text = "no reason given"
        RecordAttributes.forEach(in: attributes) { name, value in
            guard key.withUTF8Buffer({ name.elementsEqual($0) }), case .string(let bytes) = value else { return }
            text = String(decoding: bytes, as: UTF8.self)
        }
        return text
    }

    /// The attributes that the record had before: without the reason, and the id, that are the last two of them.
    static func remove(from attributes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard let base = attributes.baseAddress else { return attributes }
        // Where the reason begins, when it is the last so far, and when only the id is behind it.
        var reason: Int?
        var both: Int?
        RecordAttributes.forEach(in: attributes) { name, value in
            both = nil
            if case .integer = value, has(name, DeadLetters.sequenceKey) { both = reason }
            reason = nil
            // Before the name lies its length.
            if case .string = value, has(name, key) { reason = name.baseAddress.map { $0 - base - 1 } }
        }
        return UnsafeRawBufferPointer(rebasing: attributes[..<(both ?? attributes.count)])
    }

    private static func has(_ name: UnsafeRawBufferPointer, _ key: StaticString) -> Bool {
        key.withUTF8Buffer { name.elementsEqual($0) }
    }
}
