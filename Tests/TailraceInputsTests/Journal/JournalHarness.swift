import Glibc
import Logging
import Synchronization
import TailraceSpool
import TestSupport

@testable import TailraceInputs

struct JournalLine: Equatable {
    var body: [UInt8]
    var attributes: [String: String] = [:]
    var host = ""
    var source = ""
    var isCut = false

    var text: String { String(decoding: body, as: UTF8.self) }
}

/// A spool that keeps records as texts, and the last position.
final class JournalSink: BatchSink {
    private struct State {
        var lines: [JournalLine] = []
        var positions: [SourceKey: [UInt8]] = [:]
        var batches = 0
        var isClosed = false
        var isHeld = false
    }
    private let state = Mutex(State())
    private let pool: BatchPool
    let prospect: SinkProspect

    init(blockCapacity: Int = 2 << 20, prospect: SinkProspect = SinkProspect()) {
        self.prospect = prospect
        pool = BatchPool(blockCapacity: blockCapacity, limit: 4)
    }

    func take(timeoutMilliseconds: Int) -> RecordBatch? {
        for _ in 0...timeoutMilliseconds {
            let (isClosed, isHeld) = state.withLock { ($0.isClosed, $0.isHeld) }
            if isClosed { return nil }
            if !isHeld, let batch = pool.take() { return batch }
            if timeoutMilliseconds > 0 { usleep(1000) }
        }
        return nil
    }

    func append(_ batch: RecordBatch) -> Bool {
        defer { batch.recycle() }
        var lines: [JournalLine] = []
        for index in 0..<batch.partCount {
            let part = batch.part(index)
            guard let context = part.context.withUnsafeBytes({ RecordContext(decoding: $0) }) else {
                fatalError("a context that cannot be read")
            }
            var attributes = batch.attributes[part.attributes]
            for record in part.records {
                var line = JournalLine(body: Array(batch.body(record)), host: context.host, source: context.source)
                line.isCut = batch.records[record].flags.contains(.truncated)
                if let place = attributes.first, Int(place.record) == record - part.records.lowerBound {
                    attributes.removeFirst()
                    line.attributes = attributeTexts(
                        Array(
                            UnsafeRawBufferPointer(
                                start: batch.block + part.bytes.lowerBound + Int(place.start),
                                count: Int(place.length))))
                }
                lines.append(line)
            }
            precondition(attributes.isEmpty, "attributes that are not in the order of their records")
        }
        return state.withLock { state in
            if state.isClosed { return false }
            state.lines += lines
            state.batches += 1
            if let position = batch.position { state.positions[position.source] = position.value }
            return true
        }
    }

    func hold(_ isHeld: Bool) { state.withLock { $0.isHeld = isHeld } }
    func close() { state.withLock { $0.isClosed = true } }
    func setPosition(_ key: SourceKey, _ value: [UInt8]?) { state.withLock { $0.positions[key] = value } }

    var positions: [SourceKey: [UInt8]] { state.withLock { $0.positions } }
    var lines: [JournalLine] { state.withLock { $0.lines } }
    var count: Int { state.withLock { $0.lines.count } }
    var batches: Int { state.withLock { $0.batches } }
    var texts: [String] { lines.map(\.text) }

    /// Waits until the predicate holds; false after a generous while.
    func wait(seconds: Int = 30, until predicate: (JournalSink) -> Bool) -> Bool {
        for _ in 0..<(seconds * 200) {
            if predicate(self) { return true }
            usleep(5000)
        }
        return predicate(self)
    }

    func wait(forCount count: Int) -> Bool { wait { $0.count >= count } }
}

/// A journal input on a thread of its own.
final class RunningJournal {
    let reader: JournalReader
    private var thread = pthread_t()
    private var isJoined = false

    init(_ configuration: JournalConfiguration, _ sink: JournalSink, limits: JournalLimits = .test) throws {
        var logger = Logger(label: "journal")
        logger.logLevel = getenv("JOURNAL_LOG") == nil ? .critical : .debug
        reader = try JournalReader(
            configuration, limits: limits, host: "configured", machine: "machine", positions: sink.positions,
            sink: sink, logger: logger)
        let start = Unmanaged.passRetained(reader)
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<JournalReader>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, start.toOpaque())
    }

    /// Of the journalctl that runs; waits for it.
    func process(other than: Int32 = 0) -> Int32 {
        for _ in 0..<6000 {
            let process = reader.statistics.process
            if process != 0, process != than { return process }
            usleep(5000)
        }
        return 0
    }

    func wait(until predicate: (JournalReader) -> Bool) -> Bool {
        for _ in 0..<6000 {
            if predicate(reader) { return true }
            usleep(5000)
        }
        return false
    }

    func stop() {
        guard !isJoined else { return }
        isJoined = true
        reader.stop()
        pthread_join(thread, nil)
    }

    deinit { stop() }
}

extension JournalLimits {
    /// Short times, so that tests need not wait.
    static var test: JournalLimits {
        var limits = JournalLimits()
        limits.gatherInterval = .milliseconds(1)
        limits.minimumBackoff = .milliseconds(5)
        limits.maximumBackoff = .milliseconds(100)
        return limits
    }
}

/// Journal files, written by systemd-journal-remote.
struct JournalFiles {
    let directory: TemporaryDirectory
    var path: String { directory("journal") }

    init() {
        directory = TemporaryDirectory("journal-files")
        mkdir(path, 0o755)
    }

    var configuration: JournalConfiguration {
        var configuration = JournalConfiguration(name: "j")
        configuration.directory = path
        configuration.start = .all
        return configuration
    }

    /// Adds entries to the file `name`, which is made when it is missing.
    func add(_ bytes: [UInt8], to name: String = "x.journal", options: [String] = []) throws {
        let export = directory("in.export")
        let descriptor = open(export, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
            guard count > 0 else { throw ChildProcess.Failure("cannot write \(export)") }
            done += count
        }
        close(descriptor)
        let child = try ChildProcess(
            "/lib/systemd/systemd-journal-remote", options + ["--output=\(path)/\(name)", export])
        guard child.wait() == .code(0) else { throw ChildProcess.Failure(child.errorOutput) }
    }

    /// An entry for `add`: journald itself gives it a cursor.
    static func entry(
        _ number: Int, _ text: String, boot: String = JournalExport.boot, realtime: Int? = nil, host: String? = nil,
        fields: [(String, String)] = []
    ) -> [UInt8] {
        var export = JournalExport()
        export.add("__REALTIME_TIMESTAMP", "\(realtime ?? JournalExport.start + number)")
        export.add("__MONOTONIC_TIMESTAMP", "\(1000 + number)")
        export.add("_BOOT_ID", boot)
        export.add("_MACHINE_ID", "00112233445566778899aabbccddeeff")
        if let host { export.add("_HOSTNAME", host) }
        for (name, value) in fields { export.add(name, value) }
        export.add("MESSAGE", text)
        export.end()
        return export.bytes
    }

    static func entries(_ numbers: Range<Int>) -> [UInt8] { numbers.flatMap { entry($0, "entry \($0)") } }
}
