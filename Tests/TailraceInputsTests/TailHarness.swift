import Glibc
import Logging
import Synchronization
import TailraceInputs
import TailraceSpool
import TestSupport

struct Line: Equatable, CustomStringConvertible {
    var body: [UInt8]
    var flags: RecordFlags = []
    var offset: UInt64 = 0
    /// The length that a cut line had.
    var length: Int64?

    var text: String { String(decoding: body, as: UTF8.self) }
    var description: String { "\(text.prefix(80))(\(body.count) bytes, flags \(flags.rawValue))" }
}

/// A spool that forgets: what was appended since `commit` is lost when it crashes.
final class FakeSink: BatchSink {
    struct State {
        var lines: [String: [Line]] = [:]
        /// Per source and line, the host and the input that it came with.
        var owners: [String: [String]] = [:]
        var lineCount = 0
        var batches = 0
        var positions: [SourceKey: [UInt8]] = [:]
        /// What `crash` goes back to.
        var committed: (lines: [String: [Line]], lineCount: Int, positions: [SourceKey: [UInt8]]) = ([:], 0, [:])
        var isClosed = false
        var isHeld = false
        var isBlocked = false
        var isWaiting = false
        var prospect = SinkProspect()
        var maximumBatchBytes = 0
        var interlude: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())
    private let pool: BatchPool

    init(blockCapacity: Int = 262_144, batches: Int = 4) {
        pool = BatchPool(blockCapacity: blockCapacity, limit: batches)
    }

    func take(timeoutMilliseconds: Int) -> RecordBatch? {
        state.withLock { $0.interlude.take() }?()
        for _ in 0..<max(1, timeoutMilliseconds) {
            let (closed, held) = state.withLock { ($0.isClosed, $0.isHeld) }
            if closed { return nil }
            if !held, let batch = pool.take() { return batch }
            usleep(1000)
        }
        return nil
    }

    func append(_ batch: RecordBatch) -> Bool {
        while state.withLock({
            $0.isWaiting = $0.isBlocked && !$0.isClosed
            return $0.isWaiting
        }) { usleep(1000) }
        defer { batch.recycle() }
        let context = batch.context.withUnsafeBytes { RecordContext(decoding: $0) }
        guard let context else { fatalError("a context that cannot be read") }
        var lines: [Line] = []
        for index in 0..<batch.recordCount {
            let entry = batch.records[index]
            var line = Line(
                body: Array(batch.body(index)), flags: entry.flags, offset: batch.baseOffset + UInt64(entry.start))
            if let attribute = batch.attributes.first(where: { $0.record == index }) {
                let bytes = UnsafeRawBufferPointer(
                    start: batch.block + Int(attribute.start), count: Int(attribute.length))
                let own = RecordAttributes.splitOffset(bytes)
                if let own { line.offset = own.offset }
                RecordAttributes.forEach(in: own?.rest ?? bytes) { key, value in
                    if case .integer(let number) = value, key.elementsEqual("truncated".utf8) { line.length = number }
                }
            }
            lines.append(line)
        }
        return state.withLock { state in
            if state.isClosed { return false }
            if !lines.isEmpty { state.lines[context.source, default: []] += lines }
            for _ in lines { state.owners[context.source, default: []].append("\(context.host)/\(context.input)") }
            state.lineCount += lines.count
            state.batches += 1
            state.maximumBatchBytes = max(state.maximumBatchBytes, batch.length)
            if let position = batch.position {
                state.positions[position.source] = position.value.isEmpty ? nil : position.value
            }
            return true
        }
    }

    func commit() { state.withLock { $0.committed = ($0.lines, $0.lineCount, $0.positions) } }

    func crash() {
        state.withLock {
            ($0.lines, $0.lineCount, $0.positions) = $0.committed
            $0.isClosed = false
        }
    }

    func close() { state.withLock { $0.isClosed = true } }
    func reopen() { state.withLock { $0.isClosed = false } }
    /// Blocked: `append` does not return, as with a full spool.
    func block(_ isBlocked: Bool) { state.withLock { $0.isBlocked = isBlocked } }
    var isWaiting: Bool { state.withLock { $0.isWaiting } }
    /// What happens while the next batch is waited for.
    func beforeNextTake(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.interlude = body } }
    /// What the outputs have yet to deliver, as the spool tells it.
    var prospect: SinkProspect {
        get { state.withLock { $0.prospect } }
        set { state.withLock { $0.prospect = newValue } }
    }
    func hold(_ isHeld: Bool) { state.withLock { $0.isHeld = isHeld } }

    var batches: Int { state.withLock { $0.batches } }
    var positions: [SourceKey: [UInt8]] { state.withLock { $0.positions } }
    var lines: [String: [Line]] { state.withLock { $0.lines } }
    var lineCount: Int { state.withLock { $0.lineCount } }
    var maximumBatchBytes: Int { state.withLock { $0.maximumBatchBytes } }
    func owners(_ source: String) -> [String] { state.withLock { $0.owners[source, default: []] } }
    func texts(_ source: String) -> [String] { lines[source, default: []].map(\.text) }

    /// Waits until the predicate holds; false after a generous while.
    func wait(seconds: Int = 30, until predicate: (FakeSink) -> Bool) -> Bool {
        let end = time(nil) + seconds
        while time(nil) <= end {
            if predicate(self) { return true }
            usleep(1000)
        }
        return predicate(self)
    }
}

/// A tailer on a thread of its own.
final class RunningTailer {
    let tailer: FileTailer
    private var thread = pthread_t()
    private var isJoined = false

    private final class Start {
        let tailer: FileTailer
        let prepare: @Sendable () -> Void
        init(_ tailer: FileTailer, _ prepare: @escaping @Sendable () -> Void) {
            self.tailer = tailer
            self.prepare = prepare
        }
    }

    init(
        _ inputs: [FileTailConfiguration], _ sink: FakeSink, limits: FileTailLimits = .test,
        prepare: @escaping @Sendable () -> Void = {}
    ) throws {
        var logger = Logger(label: "tail")
        logger.logLevel = getenv("TAIL_LOG") == nil ? .error : .debug
        tailer = try FileTailer(
            inputs: inputs, limits: limits, host: "h", positions: sink.positions, sink: sink, logger: logger)
        let start = Unmanaged.passRetained(Start(tailer, prepare))
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                start.prepare()
                start.tailer.run()
                return nil
            }, start.toOpaque())
    }

    func stop() {
        guard !isJoined else { return }
        isJoined = true
        tailer.stop()
        pthread_join(thread, nil)
    }

    deinit { stop() }
}

extension FileTailLimits {
    /// Short times, so that tests need not wait.
    static var test: FileTailLimits {
        var limits = FileTailLimits()
        limits.pollInterval = .milliseconds(20)
        limits.finalAfter = .milliseconds(100)
        limits.gatherInterval = .milliseconds(1)
        return limits
    }
}

func input(_ patterns: String..., exclude: [String] = [], maximumLine: Int = 1000) -> FileTailConfiguration {
    var input = FileTailConfiguration(
        name: "app", include: patterns.compactMap { GlobPattern($0) }, exclude: exclude.map { ExcludePattern($0) })
    input.maximumLine = maximumLine
    return input
}

/// A file being written: appends with one write each.
final class Writer {
    let descriptor: Int32

    init(_ path: String, truncate: Bool = false) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | (truncate ? O_TRUNC : 0), 0o644)
        precondition(descriptor >= 0, "\(path): \(String(cString: strerror(errno)))")
    }

    deinit { close(descriptor) }

    func write(_ bytes: [UInt8]) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
            precondition(count > 0)
            done += count
        }
    }

    func write(_ text: String) { write(Array(text.utf8)) }
}

func write(_ text: String, to path: String) { Writer(path).write(text) }

/// Waits until the file system's clock has moved on, so that the next file is told from this one by its birth time:
/// it ticks every few milliseconds.
func nextTick(after path: String) {
    var before = stat()
    stat(path, &before)
    let probe = path + ".tick"
    while true {
        var now = stat()
        write("", to: probe)
        stat(probe, &now)
        unlink(probe)
        if now.st_ctim.tv_sec != before.st_ctim.tv_sec || now.st_ctim.tv_nsec != before.st_ctim.tv_nsec { return }
    }
}

/// Makes the calling thread (not the process) open files as nobody.
@Sendable func giveUpRights() {
    typealias SetUser = @convention(c) (UInt32) -> Int32
    guard let symbol = dlsym(nil, "setfsuid") else { fatalError("no setfsuid") }
    _ = unsafeBitCast(symbol, to: SetUser.self)(65_534)
}
