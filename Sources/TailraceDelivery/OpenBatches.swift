internal import TailraceSpool

/// The batches that are being filled: one per partition at most.
struct OpenBatches<Encoder: BatchEncoder> {
    struct Sealed {
        let batch: Encoder.Batch
        let span: RecordSpan
        let bytes: Int
        let records: Int
    }

    private struct Batch {
        let key: String
        var span: RecordSpan
        var records = 0
        let since: ContinuousClock.Instant
    }

    /// Records of one batch at most.
    private let maximumRecords: Int
    private var encoders: [Encoder]
    private var batches: [Batch?]
    /// Of all of them.
    private(set) var bytes = 0
    private(set) var records = 0

    init(_ encoders: [Encoder], maximumRecords: Int) {
        self.encoders = encoders
        self.maximumRecords = maximumRecords
        batches = Array(repeating: nil, count: encoders.count)
    }

    mutating func prepare(_ partition: Int, _ context: RecordContext, key: String) -> Encoder.Header {
        encoders[partition].prepare(context, key: key)
    }

    /// The ids of a partition's batch, which has records.
    func span(_ partition: Int) -> RecordSpan? { batches[partition].flatMap { $0.records > 0 ? $0.span : nil } }

    /// When it was begun.
    func since(_ partition: Int) -> ContinuousClock.Instant? { batches[partition]?.since }

    /// The key of a partition's batch; nil when there is none.
    func key(_ partition: Int) -> String? { batches[partition]?.key }

    mutating func begin(_ route: Route<Encoder.Header>, _ sequence: UInt64, _ now: ContinuousClock.Instant) {
        let partition = route.partition
        encoders[partition].begin(route.header)
        bytes += encoders[partition].size
        batches[partition] = Batch(key: route.key, span: RecordSpan(first: sequence, end: sequence), since: now)
    }

    /// Appends records of a frame from `index` on, as many as there is room for, and returns how many.
    mutating func append(_ view: SpoolFrame, _ index: Int, _ route: Route<Encoder.Header>) -> Int {
        let partition = route.partition
        let room = maximumRecords - (batches[partition]?.records ?? 0)
        guard room > 0 else { return 0 }
        let before = encoders[partition].size
        let run = RecordRun(view, index..<min(view.recordCount, index + room))
        let taken = encoders[partition].append(run, route.header)
        precondition(taken >= 0 && taken <= run.count)
        bytes += encoders[partition].size - before
        records += taken
        batches[partition]?.records += taken
        if taken > 0 { batches[partition]?.span.end = view.firstSequence + UInt64(index + taken) }
        return taken
    }

    /// Appends as much of a record as an empty batch has room for. False when that is nothing: then there is no batch.
    mutating func appendCut(_ view: SpoolFrame, _ index: Int, _ route: Route<Encoder.Header>) -> Bool {
        let partition = route.partition
        let before = encoders[partition].size
        guard encoders[partition].appendCut(RecordRun(view, index..<(index + 1))[index], route.header) != nil else {
            bytes -= before
            batches[partition] = nil
            return false
        }
        bytes += encoders[partition].size - before
        records += 1
        batches[partition]?.records = 1
        batches[partition]?.span.end = view.firstSequence + UInt64(index + 1)
        return true
    }

    /// A frame's records from `index` on are read again later.
    mutating func pass(_ view: SpoolFrame, _ index: Int, _ route: Route<Encoder.Header>) {
        encoders[route.partition].pass(RecordRun(view, index..<view.recordCount), route.header)
    }

    /// Ends a partition's batch; nil when it has none with records.
    mutating func seal(_ partition: Int) -> Sealed? {
        guard let batch = batches[partition], batch.records > 0 else { return nil }
        let size = encoders[partition].size
        bytes -= size
        records -= batch.records
        batches[partition] = nil
        return Sealed(
            batch: encoders[partition].seal(), span: batch.span, bytes: size, records: batch.records)
    }

    mutating func reuse(_ batch: Encoder.Batch, _ partition: Int) { encoders[partition].reuse(batch) }

    /// For when there is no batch.
    mutating func releaseStorage() {
        for partition in encoders.indices { encoders[partition].releaseStorage() }
    }
}
