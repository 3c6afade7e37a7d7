import Glibc
package import TailraceSpool

/// Makes records of the lines of a chunk, in place: undoes a container's format, joins partial lines, and puts lines
/// together to records of several lines. For one thread at a time; the state is that of one call.
///
/// A record that later lines may continue stays out of the batch, with everything behind its beginning, and is read again
/// with what comes then: so no record is cut where a chunk or a run of the agent ends. Files in which lines of two streams
/// take turns keep the order in which their records begin.
package struct LineAssembler {
    /// What is known of each record of the batch besides its entry.
    private struct Origin {
        /// Where its first line begins in the block, and its last.
        var line: Int
        var lastLine: Int
        var time: Int64?
        var stream: UInt8
        /// `ContainerFormat.Problem`, or 0.
        var problem: UInt8
        /// Cut by the splitter: a record of its own.
        var isCut: Bool
        /// Another line of its stream continues it: of the container's partial lines.
        var isPartial = false
    }

    private let format: ContainerFormat?
    /// One per stream.
    private var machines: [MultilineMachine]
    /// The chunk is closed when its file has not grown for so long.
    package let timeout: Duration
    private var origins: [Origin] = []
    /// The open record of each stream, by its index; -1 = none.
    private var open: [Int]
    private var scratch: [UInt8] = []

    /// Partial lines of a container are waited for so long when there are no rules for several lines.
    static let partialTimeout = Duration.seconds(3)

    /// Nil when each line is a record as it is.
    package init?(format: ContainerFormat?, multiline: MultilineRules?) {
        guard format != nil || multiline != nil else { return nil }
        self.format = format
        let streams = format == nil ? 1 : ContainerFormat.Stream.allCases.count
        machines = multiline.map { rules in (0..<streams).map { _ in MultilineMachine(rules) } } ?? []
        open = Array(repeating: -1, count: streams)
        timeout = multiline?.timeout ?? Self.partialTimeout
    }

    /// Whether bodies move in the block, and need room for properties behind the lines.
    package var rewrites: Bool { format != nil }

    /// - Parameters:
    ///   - consumed: where the last line ends, with its newline.
    ///   - maximumLength: a record of several lines ends before it becomes longer.
    ///   - isFull: the chunk is as large as can be, so that a record that fills it ends.
    ///   - isClosing: no line is waited for.
    ///   - offsets: of the lines in their file, when they were converted.
    /// - Returns: where the first line begins that is to be read again; `consumed` when there is none.
    package mutating func assemble(
        _ batch: RecordBatch, consumed: Int, maximumLength: Int, isFull: Bool = false, isClosing: Bool = false,
        offsets: LineOffsets? = nil
    ) -> Int {
        note(batch)
        let cut = cutLengths(batch)
        var held = consumed
        if let format { held = min(held, decode(batch, format, maximumLength)) }
        if !machines.isEmpty { held = min(held, group(batch, maximumLength)) }
        var count = batch.recordCount
        // A record that goes on behind the beginning of an open one of the other stream is held back with it.
        for record in (0..<count).reversed() where origins[record].lastLine >= held {
            held = min(held, origins[record].line)
        }
        if isClosing || isFull && held == origins.first?.line { held = consumed }
        while count > 0, origins[count - 1].line >= held { count -= 1 }
        if format != nil || !cut.isEmpty || offsets != nil {
            batch.length = held
            let written = writeAttributes(batch, count: count, cut: cut, offsets)
            if written < count {
                held = origins[written].line
                count = written
            }
        } else {
            batch.length = held
        }
        batch.setRecordCount(count)
        return held
    }

    private mutating func note(_ batch: RecordBatch) {
        origins.removeAll(keepingCapacity: true)
        for record in 0..<batch.recordCount {
            let entry = batch.records[record]
            origins.append(
                Origin(
                    line: Int(entry.start), lastLine: Int(entry.start), time: nil, stream: 0, problem: 0,
                    isCut: entry.flags.contains(.truncated)))
        }
    }

    /// The attributes that the splitter gave to lines that it cut: by where the line begins.
    private func cutLengths(_ batch: RecordBatch) -> [(line: Int, attributes: [UInt8])] {
        defer { batch.attributes.removeAll(keepingCapacity: true) }
        return batch.attributes.map { attribute in
            let bytes = UnsafeRawBufferPointer(
                start: batch.block + Int(attribute.start), count: Int(attribute.length))
            return (origins[Int(attribute.record)].line, Array(bytes))
        }
    }

    // MARK: Containers

    /// Undoes the format and joins partial lines.
    private mutating func decode(
        _ batch: RecordBatch, _ format: ContainerFormat, _ maximumLength: Int
    ) -> Int {
        for stream in open.indices { open[stream] = -1 }
        var count = 0
        for line in 0..<batch.recordCount {
            var entry = batch.records[line]
            var origin = origins[line]
            if origin.isCut {
                origin.problem = ContainerFormat.Problem.cut.rawValue
            } else {
                let bytes = UnsafeMutableRawBufferPointer(start: batch.block + Int(entry.start), count: entry.length)
                switch format.decode(bytes) {
                case .failure(let refusal): origin.problem = refusal.problem.rawValue
                case .success(let found):
                    entry = RecordEntry(
                        start: entry.start + UInt32(found.body.lowerBound), length: UInt32(found.body.count),
                        flags: entry.flags)
                    origin.stream = found.stream.rawValue
                    origin.time = found.time
                    origin.isPartial = found.isPartial
                    let first = open[Int(origin.stream)]
                    if first >= 0 {
                        open[Int(origin.stream)] = -1
                        if batch.records[first].length + entry.length <= maximumLength,
                            join(entry, to: first, of: count, batch, separated: false)
                        {
                            origins[first].isPartial = found.isPartial
                            origins[first].lastLine = origin.lastLine
                            if found.isPartial { open[Int(origin.stream)] = first }
                            continue
                        }
                    }
                    if found.isPartial { open[Int(origin.stream)] = count }
                }
            }
            batch.records[count] = entry
            origins[count] = origin
            count += 1
        }
        batch.setRecordCount(count)
        return firstOpen
    }

    // MARK: Several lines

    private mutating func group(_ batch: RecordBatch, _ maximumLength: Int) -> Int {
        for stream in open.indices {
            open[stream] = -1
            machines[stream].close()
        }
        var count = 0
        for line in 0..<batch.recordCount {
            let entry = batch.records[line]
            let origin = origins[line]
            let stream = Int(origin.stream)
            if origin.isCut || origin.problem != 0 {
                // Nobody knows what it would be part of.
                if origin.isCut {
                    machines[stream].close()
                    open[stream] = -1
                }
            } else {
                let body = UnsafeRawBufferPointer(start: batch.block + Int(entry.start), count: entry.length)
                let first = open[stream]
                if first >= 0, batch.records[first].length + 1 + entry.length <= maximumLength,
                    machines[stream].continues(body), join(entry, to: first, of: count, batch, separated: true)
                {
                    origins[first].lastLine = origin.lastLine
                    if !machines[stream].isOpen { open[stream] = -1 }
                    continue
                }
                machines[stream].begin(body)
                open[stream] = machines[stream].isOpen ? count : -1
            }
            batch.records[count] = entry
            origins[count] = origin
            count += 1
        }
        batch.setRecordCount(count)
        return firstOpen
    }

    /// Where the first line of the first open record begins; `Int.max` when none is open.
    private var firstOpen: Int {
        var line = Int.max
        for record in open where record >= 0 { line = min(line, origins[record].line) }
        return line
    }

    /// Puts the bytes of `entry` behind those of record `first`. The records between the two, of another stream, move up
    /// by as much: the bytes that are joined make room. False when the room is too small for the separator.
    private mutating func join(
        _ entry: RecordEntry, to first: Int, of count: Int, _ batch: RecordBatch, separated: Bool
    ) -> Bool {
        let target = batch.records[first]
        let end = Int(target.start) + target.length
        let added = entry.length + (separated ? 1 : 0)
        let flags = target.flags.union(entry.flags)
        if first == count - 1 {
            if separated, Int(entry.start) == end + 1 {
                // Next to each other, as lines of a file are.
                batch.block.storeBytes(of: 0x0A, toByteOffset: end, as: UInt8.self)
            } else {
                guard end + added <= Int(entry.start) + entry.length else { return false }
                memmove(batch.block + end + added - entry.length, batch.block + Int(entry.start), entry.length)
                if separated { batch.block.storeBytes(of: 0x0A, toByteOffset: end, as: UInt8.self) }
            }
        } else {
            let last = batch.records[count - 1]
            let lastEnd = Int(last.start) + last.length
            guard lastEnd + added <= Int(entry.start) + entry.length else { return false }
            scratch.removeAll(keepingCapacity: true)
            if separated { scratch.append(0x0A) }
            scratch.append(
                contentsOf: UnsafeRawBufferPointer(start: batch.block + Int(entry.start), count: entry.length))
            memmove(batch.block + end + added, batch.block + end, lastEnd - end)
            scratch.withUnsafeBytes { (batch.block + end).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            for record in (first + 1)..<count { batch.records[record].start += UInt32(added) }
        }
        batch.records[first] = RecordEntry(start: target.start, length: UInt32(target.length + added), flags: flags)
        return true
    }

    // MARK: Properties

    /// Returns how many records got theirs; the others do not fit.
    private mutating func writeAttributes(
        _ batch: RecordBatch, count: Int, cut: [(line: Int, attributes: [UInt8])], _ offsets: LineOffsets?
    ) -> Int {
        var nextCut = 0
        for record in 0..<count {
            let origin = origins[record]
            scratch.removeAll(keepingCapacity: true)
            offsets?.append(ofLineAt: origin.line, batch.records[record], to: &scratch)
            if origin.isCut {
                while nextCut < cut.count, cut[nextCut].line < origin.line { nextCut += 1 }
                if nextCut < cut.count { scratch.append(contentsOf: cut[nextCut].attributes) }
            }
            if let problem = ContainerFormat.Problem(rawValue: origin.problem) {
                append(RecordAttributes.parseErrorKey, problem.text)
            } else if format != nil, let stream = ContainerFormat.Stream(rawValue: origin.stream) {
                append("stream", stream.name)
                if let time = origin.time { RecordAttributes.append(RecordAttributes.eventTimeKey, time, to: &scratch) }
            }
            if scratch.isEmpty { continue }
            guard let start = scratch.withUnsafeBytes({ batch.copyIn($0) }) else { return record }
            batch.attributes.append(
                AttributeEntry(record: UInt32(record), start: start, length: UInt32(scratch.count)))
        }
        return count
    }

    private mutating func append(_ key: StaticString, _ value: StaticString) {
        value.withUTF8Buffer { RecordAttributes.append(key, UnsafeRawBufferPointer($0), to: &scratch) }
    }
}
