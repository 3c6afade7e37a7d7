import TailraceInputs
import TailraceSpool

/// A spool that takes everything, keeps nothing, and closes once it has a source's bytes up to an offset: that ends the
/// input. For one thread.
final class DroppingSink: BatchSink, @unchecked Sendable {
    private let pool: BatchPool
    private let end: UInt64
    private(set) var records = 0
    private var isClosed = false

    /// - Parameter block: bytes of a batch.
    init(block: Int, end: UInt64) {
        pool = BatchPool(blockCapacity: block, limit: 8)
        self.end = end
    }

    var prospect: SinkProspect { SinkProspect() }

    func take(timeoutMilliseconds: Int) -> RecordBatch? { isClosed ? nil : pool.take() }

    func append(_ batch: RecordBatch) -> Bool {
        records += batch.recordCount
        isClosed = batch.baseOffset + UInt64(batch.length) >= end
        batch.recycle()
        return !isClosed
    }
}
