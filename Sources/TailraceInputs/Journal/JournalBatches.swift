import Glibc
internal import TailraceSpool

/// Gathers records into batches, with a section for each host in a row, and passes each batch on with the position behind
/// its last entry.
struct JournalBatches {
    private let sink: any BatchSink
    private let input: String
    private let source: String
    private let key: SourceKey
    /// This machine's name as journald knows it, and the name that records of this machine get.
    private let machine: [UInt8]
    private let host: String

    private var batch: RecordBatch?
    /// The name in the entries of the current context, and the context.
    private var hostname: [UInt8] = []
    private var context: [UInt8]
    /// Behind the last entry that was added or passed over.
    private(set) var position: JournalPosition?
    private var hasMoved = false
    /// When the first record of the batch came.
    private(set) var started: ContinuousClock.Instant?

    init(_ configuration: JournalConfiguration, host: String, machine: String, key: SourceKey, sink: any BatchSink) {
        self.sink = sink
        self.key = key
        self.host = host
        self.machine = Array(machine.utf8)
        input = configuration.name
        source = configuration.source
        hostname = self.machine
        context = RecordContext(host: host, source: source, input: input).encoded
    }

    /// How long what comes may wait for more because the disk waits, too.
    var gathering: Duration { sink.prospect.gathering }

    enum Outcome { case added, closed }

    /// Adds a record, after passing on the batch when it has no room.
    ///
    /// - Parameters:
    ///   - hostname: of the entry; nil when it has none.
    ///   - wait: called while no batch is free; false when the input is to stop.
    mutating func add(
        body: UnsafeRawBufferPointer, isCut: Bool, attributes: [UInt8], hostname: UnsafeRawBufferPointer?,
        wait: () -> Bool
    ) -> Outcome {
        if !isCurrent(hostname) {
            if let batch, batch.recordCount > batch.sectionRecord { batch.closeSection(context: context) }
            setContext(hostname)
        }
        if let batch, !hasRoom(batch, body.count + attributes.count) { guard flush() else { return .closed } }
        if batch == nil {
            while true {
                if let taken = sink.take(timeoutMilliseconds: 100) {
                    batch = taken
                    break
                }
                guard wait() else { return .closed }
            }
            batch?.time = wallClockMilliseconds()
            started = ContinuousClock.now
        }
        guard let batch else { return .closed }
        // A block has room for the longest body and its attributes; should it not, the body is cut further.
        let room = max(0, batch.capacity - batch.length - attributes.count)
        let kept = UnsafeRawBufferPointer(rebasing: body.prefix(min(room, body.count)))
        guard let start = batch.copyIn(kept) else { preconditionFailure("a body that was cut to the room") }
        batch.append(
            RecordEntry(
                start: start - UInt32(batch.sectionStart), length: UInt32(kept.count),
                flags: isCut || kept.count < body.count ? .truncated : []))
        guard !attributes.isEmpty, let place = attributes.withUnsafeBytes({ batch.copyIn($0) }) else { return .added }
        batch.attributes.append(
            AttributeEntry(
                record: UInt32(batch.recordCount - 1 - batch.sectionRecord), start: place - UInt32(batch.sectionStart),
                length: UInt32(attributes.count)))
        return .added
    }

    private func hasRoom(_ batch: RecordBatch, _ bytes: Int) -> Bool {
        bytes <= batch.capacity - batch.length && batch.recordCount < LineSplitter.maximumRecords
    }

    /// Everything up to this entry is in the batch, or counted.
    mutating func move(to cursor: UnsafeRawBufferPointer, realtime: UInt64) {
        if position?.kind == .after {
            position?.cursor.removeAll(keepingCapacity: true)
            position?.cursor.append(contentsOf: cursor)
            position?.realtime = realtime
        } else {
            position = JournalPosition(kind: .after, realtime: realtime, cursor: Array(cursor))
        }
        hasMoved = true
    }

    /// Where to begin. A place that is not stored yet is, at the next flush.
    mutating func begin(at position: JournalPosition, isStored: Bool) {
        self.position = position
        hasMoved = !isStored
    }

    var isEmpty: Bool { batch == nil }
    /// Whether there is a position to store although there may be no record.
    var needsFlush: Bool { hasMoved || batch != nil }

    /// Passes on what is there: records with their position, or only a position. False when the sink is closed.
    mutating func flush() -> Bool {
        guard needsFlush else { return true }
        if batch == nil {
            guard let taken = sink.take(timeoutMilliseconds: 0) else { return true }
            batch = taken
            taken.time = wallClockMilliseconds()
        }
        guard let full = batch else { return true }
        full.context = context
        if !full.sections.isEmpty, full.recordCount > full.sectionRecord { full.closeSection(context: context) }
        full.position = position.map { SourcePosition(source: key, value: $0.value) }
        batch = nil
        started = nil
        hasMoved = false
        return sink.append(full)
    }

    // MARK: Hosts

    private func isCurrent(_ name: UnsafeRawBufferPointer?) -> Bool {
        guard let name else { return hostname == machine }
        return hostname.count == name.count && hostname.elementsEqual(name)
    }

    private mutating func setContext(_ name: UnsafeRawBufferPointer?) {
        hostname = name.map { Array($0) } ?? machine
        // The configuration may call this machine otherwise than the machine itself does; other machines' entries, in
        // journals that were sent here, keep the name that they came with.
        let shown = hostname == machine ? host : String(decoding: hostname, as: UTF8.self)
        context = RecordContext(host: shown, source: source, input: input).encoded
    }
}
