internal import TailraceSpool

/// What becomes of dead letters by request.
package enum DeadLetterAction: String, Equatable, Sendable {
    /// They go to the main spool again, behind everything that is there, for their output alone.
    case replay
    /// They are given up.
    case drop
}

/// How far one piece of a replay or a drop came.
package struct SettlingProgress: Equatable, Sendable {
    package enum State: Equatable, Sendable {
        /// Ask again for the rest.
        case more
        /// Everything that was asked for is settled, on the disk.
        case done
        /// The main spool takes nothing now, or has not stored what it took: ask again later.
        case waiting(reason: String)
    }

    /// Records that were settled by this piece.
    package var records: UInt64 = 0
    /// Records that were asked for and are not settled.
    package var left: UInt64 = 0
    package var state = State.more

    package init() {}
}

/// What one piece of a replay or a drop may take.
package struct SettlingLimits: Sendable {
    /// Bytes of frames that are read.
    package var bytes = 32 << 20
    package var time = Duration.seconds(1)
    /// Of one batch for the main spool: records, and bytes of bodies unless one alone has more.
    package var batchRecords = 1000
    package var batchBytes = 512 << 10
    /// Until the disk has it, beyond `time`.
    package var flushMilliseconds = 5000

    package init() {}
}

extension DeadLetterArea {
    /// Settles the dead letters with ids in `wanted`, as far as the limits let, and returns when that is durable.
    ///
    /// The frame that brings replayed records into the main spool says which they were: after a crash at any time each is
    /// either here or there. Ids of no record are passed over.
    package func settle(
        _ action: DeadLetterAction, _ wanted: [Range<UInt64>], limits: SettlingLimits = SettlingLimits()
    ) throws(DeadLetterError) -> SettlingProgress {
        try alone { () throws(DeadLetterError) in
            guard let spool = opened else { throw .notOpen(output: output) }
            var settling = Settling(self, spool, action, wanted, limits)
            return try settling.run()
        }
    }
}

/// One piece of a replay or a drop.
private struct Settling {
    private let area: DeadLetterArea
    private let spool: Spool
    private let action: DeadLetterAction
    private let limits: SettlingLimits
    private let deadline: UInt64
    private let wanted: [Range<UInt64>]
    /// As the main spool knows it.
    private var settled: SettledLetters
    /// The same with what is dropped and what was found to be lost: the main spool is told at the end.
    private var ahead: SettledLetters
    private var dropped: UInt64 = 0
    private var lost: UInt64 = 0
    private var readBytes = 0
    private var progress = SettlingProgress()

    init(
        _ area: DeadLetterArea, _ spool: Spool, _ action: DeadLetterAction, _ wanted: [Range<UInt64>],
        _ limits: SettlingLimits
    ) {
        self.area = area
        self.spool = spool
        self.action = action
        self.limits = limits
        deadline = spool.environment.clocks.nanoseconds() + limits.time.wholeNanoseconds
        settled = area.settled
        // Ids before the first segment are nobody's any more.
        let (first, end) = (spool.statistics().firstSequence, spool.committed)
        self.wanted = SettledLetters(wanted).ranges.map { $0.clamped(to: min(first, end)..<end) }
        ahead = settled
        ahead.insert(0..<first)
    }

    mutating func run() throws(DeadLetterError) -> SettlingProgress {
        let isThrough = try walk()
        if try tellRest(), isThrough { progress.state = .done }
        if progress.records > 0 || progress.state == .done {
            if area.main.flush(timeoutMilliseconds: limits.flushMilliseconds) {
                area.release(settled)
            } else {
                progress.state = .waiting(reason: trouble ?? "the disk is slow")
            }
        }
        let all = spool.count(without: settled.ranges).records
        let others = spool.count(without: SettledLetters(settled.ranges + wanted).ranges).records
        progress.left = all - min(all, others)
        return progress
    }

    private var trouble: String? {
        switch area.main.statistics().trouble {
        case nil: nil
        case .full: "the spool is full until the outputs acknowledge something"
        case .noSpace(let text), .failing(let text): text
        }
    }

    /// False when it was not the end that ended it.
    private mutating func walk() throws(DeadLetterError) -> Bool {
        for range in wanted.flatMap({ ahead.rest(of: $0) }) {
            do throws(SpoolError) {
                let reader = try spool.reader(from: range.lowerBound)
                var unused: UInt64 = 0
                while let frame = try reader.next(), frame.firstSequence < range.upperBound {
                    let first = max(frame.firstSequence + UInt64(frame.startIndex), range.lowerBound)
                    pass(range, before: first, unused: reader.unusedSequences - unused)
                    unused = reader.unusedSequences
                    let end = min(frame.endSequence, range.upperBound)
                    let indices = Int(first - frame.firstSequence)..<Int(end - frame.firstSequence)
                    guard try settle(frame, indices), hasTime(frame) else { return false }
                }
                pass(range, before: range.upperBound, unused: reader.unusedSequences - unused)
            } catch {
                throw .spool(error)
            }
            guard ahead.ranges.count <= SettledLetters.maximumRanges else { throw .tooManyRanges }
        }
        return true
    }

    private mutating func hasTime(_ frame: SpoolFrame) -> Bool {
        readBytes += frame.length
        return readBytes < limits.bytes && spool.environment.clocks.nanoseconds() < deadline
    }

    /// No frame has the ids up to `first`: some never had a record, the others were damaged.
    private mutating func pass(_ range: Range<UInt64>, before first: UInt64, unused: UInt64) {
        let missing = ahead.rest(of: range.lowerBound..<first).reduce(0) { $0 + ($1.upperBound - $1.lowerBound) }
        lost += missing - min(missing, unused)
        ahead.insert(range.lowerBound..<first)
    }

    /// False when the main spool takes nothing.
    private mutating func settle(_ frame: SpoolFrame, _ indices: Range<Int>) throws(SpoolError) -> Bool {
        if action == .drop {
            ahead.insert(frame.ids(indices))
            dropped += UInt64(indices.count)
            return true
        }
        var index = indices.lowerBound
        while index < indices.upperBound {
            let part = index..<end(of: frame, from: index, before: indices.upperBound)
            var next = ahead
            next.insert(frame.ids(part))
            guard try offer(frame.replayed(part, to: area.output), next, records: part.count) else { return false }
            index = part.upperBound
        }
        return true
    }

    private func end(of frame: SpoolFrame, from first: Int, before end: Int) -> Int {
        var (index, bytes) = (first, 0)
        while index < end, index - first < limits.batchRecords {
            bytes += frame.body(index).count + frame.attributes(of: index).count
            if index > first, bytes > limits.batchBytes { break }
            index += 1
        }
        return index
    }

    /// What was dropped or lost, and no replayed record has told the main spool. False when it takes nothing.
    private mutating func tellRest() throws(DeadLetterError) -> Bool {
        guard ahead != settled else { return true }
        do throws(SpoolError) {
            return try offer(RecordBatch(capacity: 0), ahead, records: 0)
        } catch {
            throw .spool(error)
        }
    }

    /// Has the main spool take records with a position, once it has room; false when it has none in time.
    private mutating func offer(
        _ batch: RecordBatch, _ next: SettledLetters, records: Int
    ) throws(SpoolError) -> Bool {
        batch.position = SourcePosition(source: SettledLetters.key(output: area.output), value: next.value)
        while try !area.main.offer(batch) {
            // It comes back once what is queued is stored.
            let isStored = area.main.flush(timeoutMilliseconds: 100)
            let isLate = spool.environment.clocks.nanoseconds() >= deadline
            guard isLate || !isStored && !spool.environment.hasThreads else { continue }
            progress.state = .waiting(reason: trouble ?? "the spool is busy")
            return false
        }
        (settled, ahead) = (next, next)
        let (dropped, lost) = (self.dropped, self.lost)
        (self.dropped, self.lost) = (0, 0)
        progress.records += UInt64(records) + dropped
        area.note(next) {
            $0.replayed += UInt64(records)
            $0.dropped += dropped
            $0.lost += lost
        }
        return true
    }
}

extension SpoolFrame {
    fileprivate func ids(_ indices: Range<Int>) -> Range<UInt64> {
        (firstSequence + UInt64(indices.lowerBound))..<(firstSequence + UInt64(indices.upperBound))
    }

    /// Records as they were before they became dead letters, for one output alone.
    fileprivate func replayed(_ indices: Range<Int>, to output: String) -> RecordBatch {
        let run = RecordRun(self, indices)
        var capacity = 0
        for index in indices {
            capacity += body(index).count + attributes(of: index).count + RecordAttributes.offsetSize
        }
        let batch = RecordBatch(capacity: capacity)
        var context = RecordContext(decoding: context) ?? RecordContext(host: "", source: "", input: "")
        context.onlyOutput = output
        batch.context = context.encoded
        batch.time = time
        for index in indices {
            let record = run[index]
            batch.append(record, attributes: Array(DeadLetterReason.remove(from: record.attributes)))
        }
        return batch
    }
}

extension RecordBatch {
    /// Appends a record of another spool; its offset becomes one of its attributes. The batch has room.
    func append(_ record: DeliveryRecord, attributes: [UInt8]) {
        var own: [UInt8] = []
        own.reserveCapacity(RecordAttributes.offsetSize + attributes.count)
        RecordAttributes.append(RecordAttributes.offsetKey, Int64(bitPattern: record.offset), to: &own)
        own += attributes
        guard let start = copyIn(record.body), let place = own.withUnsafeBytes(copyIn) else {
            preconditionFailure("the batch was made large enough")
        }
        self.attributes.append(
            AttributeEntry(record: UInt32(recordCount), start: place, length: UInt32(own.count)))
        append(RecordEntry(start: start, length: UInt32(record.body.count), flags: record.flags))
    }
}

extension Duration {
    fileprivate var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
    }
}
