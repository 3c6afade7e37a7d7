internal import Logging
internal import TailraceSpool

/// Keeps the records that a service refused for good, with the reason: a spool of its own per output, so that nothing
/// is lost, everything can be looked at and sent again, and the size has a limit.
///
/// Used by one drain, on its thread. Nothing is opened before the first record.
final class DeadLetters {
    /// The attribute that tells which id the record had.
    static let sequenceKey: StaticString = "sequence"
    /// Bytes kept of a reason.
    static let maximumReason = 1024
    /// Records that are looked at when the area is opened.
    static let remembered: UInt64 = 256

    private let configuration: SpoolConfiguration
    private let logger: Logger
    private var spool: Spool?
    /// The latest records of the runs before: one that ended between keeping a record and telling the ledger is followed
    /// by one that gives the same record up again.
    private var latest: Set<Identity> = []

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

    /// - Parameters:
    ///   - directory: of this output alone; made when needed, its parent must exist.
    ///   - maximumSize: bytes; what does not fit is dropped, counted and told in the log.
    init(directory: String, maximumSize: UInt64 = 1 << 30, environment: SpoolEnvironment, logger: Logger) {
        var configuration = SpoolConfiguration(directory: directory)
        configuration.environment = environment
        configuration.maximumSize = maximumSize
        configuration.segmentSize = 16 << 20
        self.configuration = configuration
        self.logger = logger
    }

    /// Stores records of a frame, but those that are here already; false when they could not be made durable.
    func append(_ frame: SpoolFrame, _ indices: Range<Int>, reason: String) -> Bool {
        guard let spool = open() else { return false }
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
            capacity += record.body.count + record.attributes.count + reason.count + 64
        }
        let batch = RecordBatch(capacity: capacity)
        batch.context = Array(frame.context)
        batch.time = frame.time
        for (position, index) in indices.enumerated() {
            let record = run[index]
            var attributes = Array(record.attributes)
            reason.withUnsafeBytes { RecordAttributes.append(DeadLetterReason.key, $0, to: &attributes) }
            RecordAttributes.append(Self.sequenceKey, Int64(clamping: record.sequence), to: &attributes)
            guard let start = batch.copyIn(record.body), let place = attributes.withUnsafeBytes(batch.copyIn) else {
                preconditionFailure("the batch was made large enough")
            }
            batch.append(RecordEntry(start: start, length: UInt32(record.body.count), flags: record.flags))
            batch.attributes.append(
                AttributeEntry(record: UInt32(position), start: place, length: UInt32(attributes.count)))
        }
        guard spool.tryAppend(batch), spool.flush(timeoutMilliseconds: 10_000) else {
            logger.error(
                "cannot keep records that the service refused; they are dropped",
                metadata: ["directory": "\(configuration.directory)", "records": "\(indices.count)"])
            return false
        }
        return true
    }

    private func open() -> Spool? {
        if let spool { return spool }
        do {
            let opened = try Spool.open(configuration, logger: logger)
            spool = opened
            latest = try identities(opened)
            return opened
        } catch {
            logger.error(
                "cannot open the dead-letter area; refused records are dropped",
                metadata: ["directory": "\(configuration.directory)", "reason": "\(error)"])
            return nil
        }
    }

    private func identities(_ spool: Spool) throws -> Set<Identity> {
        var found: Set<Identity> = []
        let there = spool.statistics()
        let reader = try spool.reader(
            from: max(there.firstSequence, there.nextSequence - min(there.nextSequence, Self.remembered)))
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
        return found
    }

    func close() {
        spool?.close()
        spool = nil
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
}
