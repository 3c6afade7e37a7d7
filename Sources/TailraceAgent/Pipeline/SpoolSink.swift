import Glibc
package import Logging
import Synchronization
package import TailraceInputs
package import TailraceSpool

/// Puts the spool behind the inputs: hands out empty batches, takes full ones, and counts what each input brought.
package final class SpoolSink: BatchSink {
    /// What an input brought since the start.
    package struct Counts: Equatable, Sendable {
        package var records: UInt64 = 0
        /// Of the records' bodies.
        package var bytes: UInt64 = 0
    }

    private let spool: Spool
    private let pool: Mutex<BatchPool>
    private let logger: Logger
    private let isClosed = Atomic<Bool>(false)
    private let roster: InputRoster
    /// What becomes of an input's batches first, by its number; none where nothing does.
    private let filters = Mutex<[Int: InputFilter]>([:])
    /// By the inputs' numbers, as far as they brought something; and which input a context belongs to, so that it is decoded
    /// once per source and not per batch.
    private let counts = Mutex<[Counts]>([])
    private let contexts = Mutex<[[UInt8]: Int]>([:])
    /// Contexts remembered at most; beyond, all are forgotten and learnt again.
    private static let contextLimit = 4096

    package init(spool: Spool, pool: BatchPool, roster: InputRoster, logger: Logger) {
        self.spool = spool
        self.pool = Mutex(pool)
        self.roster = roster
        self.logger = logger
    }

    /// Batches come from here from now on, if they are larger, or more, than those before.
    func useIfLarger(_ new: BatchPool) {
        pool.withLock { old in
            if new.blockCapacity > old.blockCapacity || new.limit * new.blockCapacity > old.limit * old.blockCapacity {
                old = new
            }
        }
    }

    /// What becomes of an input's batches from now on; the counts of what did before go on.
    func treat(_ input: String, with filter: InputFilter?) {
        guard let index = roster.index(of: input) else { return }
        filters.withLock { filters in
            guard let before = filters[index] else { return filters[index] = filter }
            // Where nothing is done any more, what was done is still told.
            let next = filter ?? InputFilter()
            next.goOn(from: before)
            filters[index] = next
        }
    }

    package func take(timeoutMilliseconds: Int) -> RecordBatch? {
        // Batches come back from the spool's thread within a sync's time; when they do not, the disk or the spool is
        // the brake, and looking again every 20 ms is soon enough.
        var waited = 0
        var pause = 250
        while !isClosed.load(ordering: .relaxed) {
            if let batch = pool.withLock({ $0 }).take() { return batch }
            guard waited < timeoutMilliseconds * 1000 else { return nil }
            usleep(UInt32(pause))
            waited += pause
            pause = min(pause * 2, 20_000)
        }
        return nil
    }

    package func append(_ batch: RecordBatch) -> Bool { append(batch, slice: nil) { false } }

    package var prospect: SinkProspect {
        var prospect = SinkProspect(backlog: spool.unreleasedBytes)
        if case .interval(let interval) = spool.sync { prospect.syncInterval = interval }
        return prospect
    }

    /// Batches that nobody fills go; they are made again when they are wanted.
    func releaseMemory() { pool.withLock { $0 }.removeIdle() }

    /// - Parameters:
    ///   - slice: milliseconds; after so long, and again, it is asked whether the input's own way is closed.
    ///   - isRefused: the input's own way is closed.
    func append(_ batch: RecordBatch, slice: Int?, unless isRefused: () -> Bool) -> Bool {
        // All parts of a batch are of one input.
        let input = index(of: batch.part(0).context)
        if let input, let filter = filters.withLock({ $0[input] }) {
            filter.apply(to: batch)
            if batch.recordCount == 0, batch.position == nil {
                batch.recycle()
                return true
            }
        }
        // Counted first, so that nobody sees a record acknowledged that has not existed yet.
        let records = UInt64(batch.recordCount)
        var bytes: UInt64 = 0
        for index in 0..<batch.recordCount { bytes &+= UInt64(batch.records[index].length) }
        count(input, records, bytes)
        while !isClosed.load(ordering: .relaxed), !isRefused() {
            do throws(SpoolError) {
                if try spool.append(batch, timeoutMilliseconds: slice) { return true }
            } catch .closed {
                break
            } catch {
                // Nothing may be thrown away: the input waits until somebody has made room or stopped the agent.
                logger.error("an input is held back", metadata: ["reason": "\(error)"])
                for _ in 0..<50 where !isClosed.load(ordering: .relaxed) && !isRefused() { usleep(20_000) }
            }
        }
        count(input, 0 &- records, 0 &- bytes)
        batch.recycle()
        return false
    }

    private func count(_ input: Int?, _ records: UInt64, _ bytes: UInt64) {
        guard let input else { return }
        counts.withLock {
            while $0.count <= input { $0.append(Counts()) }
            $0[input].records &+= records
            $0[input].bytes &+= bytes
        }
    }

    /// Ends every wait and refuses what comes later. The spool is to be closed too: an append may wait in it.
    package func close() { isClosed.store(true, ordering: .relaxed) }

    /// What the filter of an input did since the start.
    package func filterCounts(_ input: String) -> RecordFilterCounts {
        guard let index = roster.index(of: input) else { return RecordFilterCounts() }
        return filters.withLock { $0[index] }?.counts ?? RecordFilterCounts()
    }

    /// By the inputs' numbers; those that have brought nothing yet may be missing at the end.
    package var totals: [Counts] { counts.withLock { $0 } }

    /// The number of the input that a batch with this context came from.
    package func index(of context: some Collection<UInt8>) -> Int? {
        let key = Array(context)
        if let known = contexts.withLock({ $0[key] }) { return known }
        let decoded = key.withUnsafeBytes { RecordContext(decoding: $0) }
        guard let decoded, let index = roster.index(of: decoded.input) else { return nil }
        contexts.withLock {
            if $0.count >= Self.contextLimit { $0.removeAll(keepingCapacity: true) }
            $0[key] = index
        }
        return index
    }
}
