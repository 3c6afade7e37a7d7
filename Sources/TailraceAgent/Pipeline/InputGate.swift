import Synchronization
internal import TailraceInputs
internal import TailraceSpool

/// The way of what shares a thread into the spool. It can be closed by itself, for the others to go on.
final class InputGate: BatchSink {
    /// So long, in milliseconds, a wait goes on at most when the gate is closed.
    private static let slice = 100

    private let sink: SpoolSink
    private let isClosed = Atomic<Bool>(false)

    init(_ sink: SpoolSink) { self.sink = sink }

    /// Ends every wait of its input, and refuses what comes later.
    func close() { isClosed.store(true, ordering: .relaxed) }

    func take(timeoutMilliseconds: Int) -> RecordBatch? {
        var left = timeoutMilliseconds
        while !isClosed.load(ordering: .relaxed) {
            if let batch = sink.take(timeoutMilliseconds: min(left, Self.slice)) { return batch }
            left -= Self.slice
            if left <= 0 { return nil }
        }
        return nil
    }

    func append(_ batch: RecordBatch) -> Bool {
        sink.append(batch, slice: Self.slice) { self.isClosed.load(ordering: .relaxed) }
    }

    var prospect: SinkProspect { sink.prospect }
}
