import Glibc
import Logging
import Synchronization
import TailraceAgent
import TailraceSpool
import TestSupport

@testable import TailraceInputs

/// A file tailer on a thread of its own, and a spool that forgets what was not made durable when the tailer is killed.
final class TorturedTailer: TortureReader {
    private let sink: TortureSink
    private let input: FileTailConfiguration
    private final class Lines: Sendable { let all = Mutex<[String]>([]) }
    private let lines = Lines()
    private var running: (tailer: FileTailer, thread: TortureThread)?

    init(logs: String, seed: UInt64) {
        sink = TortureSink(seed: seed &+ 300)
        input = FileTailConfiguration(name: "app", include: [GlobPattern("\(logs)/*.log")].compactMap { $0 })
    }

    func start() throws {
        let shared = StandardErrorLog.Shared(journal: false) { [lines] line in
            lines.all.withLock { $0.append(String(decoding: line.dropLast(), as: UTF8.self)) }
        }
        let logger = Logger(label: "tailer") { StandardErrorLog(label: $0, level: .debug, shared: shared) }
        logger.debug("started")
        var limits = FileTailLimits()
        limits.finalAfter = .seconds(1)
        limits.pollInterval = .milliseconds(200)
        let positions = sink.positions
        let tailer = try FileTailer(
            inputs: [input], limits: limits, host: "h", positions: positions, sink: sink, logger: logger)
        running = (tailer, TortureThread { tailer.run() })
    }

    func kill() {
        guard let (tailer, thread) = running else { return }
        sink.close()
        tailer.stop()
        thread.join()
        running = nil
        sink.forget()
    }

    var isRead: @Sendable (Int32) -> Bool {
        { [sink] descriptor in
            sink.makeDurable()
            return Torture.isRead(descriptor) { sink.positions }
        }
    }

    /// Waits until there are so many records and nothing has come for a while, or for half a minute; then the tailer ends.
    func settle(atLeast records: Int) {
        var quiet = 0
        var last = 0
        for _ in 0..<600 where quiet < 40 {
            let count = sink.count
            quiet = count >= records && count == last ? quiet + 1 : 0
            last = count
            usleep(50_000)
        }
        sink.makeDurable()
        kill()
    }

    func forEachRecord(_ body: (_ body: [UInt8], _ source: String?) -> Void) { sink.forEachRecord(body) }

    var notes: [Substring] { lines.all.withLock { $0.map { $0[...] } } }
}

/// Makes what it takes durable now and then, and keeps the tailer waiting now and then.
private final class TortureSink: BatchSink {
    private struct State {
        var generator: SeededGenerator
        var records: [(body: [UInt8], source: String)] = []
        var positions: [SourceKey: [UInt8]] = [:]
        var durable: (records: Int, positions: [SourceKey: [UInt8]]) = (0, [:])
        var isClosed = false
    }
    private let state: Mutex<State>
    private let pool = BatchPool(blockCapacity: 65_536, limit: 3)

    var prospect: SinkProspect { SinkProspect() }

    init(seed: UInt64) { state = Mutex(State(generator: SeededGenerator(seed: seed))) }

    func take(timeoutMilliseconds: Int) -> RecordBatch? {
        let (chance, isClosed) = state.withLock { (Int.random(in: 0..<100, using: &$0.generator), $0.isClosed) }
        if isClosed { return nil }
        if chance < 10 { usleep(UInt32(chance) * 1000) }
        return chance < 5 ? nil : pool.take()
    }

    func append(_ batch: RecordBatch) -> Bool {
        defer { batch.recycle() }
        let source = batch.context.withUnsafeBytes { RecordContext(decoding: $0) }?.source ?? ""
        return state.withLock { state in
            if state.isClosed { return false }
            for index in 0..<batch.recordCount { state.records.append((Array(batch.body(index)), source)) }
            if let position = batch.position {
                state.positions[position.source] = position.value.isEmpty ? nil : position.value
            }
            if Int.random(in: 0..<10, using: &state.generator) < 3 {
                state.durable = (state.records.count, state.positions)
            }
            return true
        }
    }

    func close() { state.withLock { $0.isClosed = true } }

    func forget() {
        state.withLock { state in
            state.records.removeLast(state.records.count - state.durable.records)
            state.positions = state.durable.positions
            state.isClosed = false
        }
    }

    func makeDurable() { state.withLock { $0.durable = ($0.records.count, $0.positions) } }

    var count: Int { state.withLock { $0.records.count } }
    var positions: [SourceKey: [UInt8]] { state.withLock { $0.positions } }

    func forEachRecord(_ body: (_ body: [UInt8], _ source: String?) -> Void) {
        let records = state.withLock { state in state.records.map { $0 } }
        for record in records { body(record.body, record.source) }
    }
}
