internal import TailraceSpool

/// The sink of one thread: whatever waits in it waits for the spool, whose own thread is watched, and not for itself.
final class MarkedSink: BatchSink {
    private let sink: any BatchSink
    private let mark: StageMark

    init(_ sink: any BatchSink, _ mark: StageMark) {
        self.sink = sink
        self.mark = mark
    }

    func take(timeoutMilliseconds: Int) -> RecordBatch? {
        mark.rest()
        defer { mark.work() }
        return sink.take(timeoutMilliseconds: timeoutMilliseconds)
    }

    func append(_ batch: RecordBatch) -> Bool {
        mark.rest()
        defer { mark.work() }
        return sink.append(batch)
    }

    var prospect: SinkProspect { sink.prospect }
}
