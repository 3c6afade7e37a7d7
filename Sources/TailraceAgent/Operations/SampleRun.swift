import Glibc
package import Logging
import Synchronization
internal import TailraceInputs
internal import TailraceSpool

/// What a configured input makes of a file: the input's own code reads it, and a sink shows what would reach the spool.
///
/// Neither the state directory nor any output is touched.
package enum SampleRun {
    /// A last line without newline is given up after so many milliseconds beyond the input's own patience.
    private static let settlingTime: Int64 = 2000
    /// The file must have been found after so long.
    private static let startLimit: Int64 = 30_000

    /// - Parameters:
    ///   - path: the sample.
    ///   - name: which input; nil when there is only one.
    ///   - write: gets each line of the report.
    package static func run(
        _ configuration: AgentConfiguration, path: String, input name: String?, logger: Logger,
        write: @escaping @Sendable (String) -> Void
    ) throws {
        let settings = try input(configuration, name)
        guard let resolved = realpath(path, nil) else {
            throw AgentError("cannot read the sample \(path): \(SystemError.describe(errno)); name a file with --try")
        }
        defer { free(resolved) }
        let file = String(cString: resolved)
        var status = stat()
        guard stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, access(file, R_OK) == 0 else {
            throw AgentError("cannot read the sample \(path): it is no readable file; name a file with --try")
        }
        guard let pattern = GlobPattern(escaped(file)) else {
            throw AgentError("cannot read the sample \(path): its name is no path of a file; copy it elsewhere")
        }
        var tail = FileTailConfiguration(name: settings.name, include: [pattern])
        if case .file(let file) = settings.kind {
            tail = try InputMakers.tail(settings.name, file)
            tail.include = [pattern]
            tail.exclude = []
            tail.startAt = .beginning
            tail.ignoreOlder = nil
        } else {
            write("input \(settings.name) is of type \(settings.type): each line of the sample is taken for a record")
        }
        var limits = FileTailLimits()
        limits.finalAfter = .milliseconds(200)
        let sink = SampleSink(settings, write: write)
        let tailer = try FileTailer(
            inputs: [tail], limits: limits, host: configuration.host, positions: [:], sink: sink, logger: logger)
        let life = Life()
        life.start("sample") { tailer.run() }
        var patience = settlingTime
        if let multiline = tail.multiline {
            patience += multiline.timeout.milliseconds
        } else if tail.format != nil {
            patience += 3000
        }
        var rest: UInt64 = 0
        while true {
            usleep(20_000)
            let known = tailer.files()
            let isRead = known.first.map { $0.offset >= $0.size } ?? (status.st_size == 0)
            rest = known.first.map(\.lag) ?? UInt64(status.st_size)
            if !known.isEmpty, isRead || sink.millisecondsOfRest > patience { break }
            if sink.millisecondsOfRest > Self.startLimit { break }
        }
        tailer.stop()
        _ = life.hasEnded(withinMilliseconds: 5000)
        write(sink.summary)
        if rest > 0 {
            write("\(counted(rest, "byte")) at the end of the file wait for the newline that ends their line")
        }
    }

    private static func input(_ configuration: AgentConfiguration, _ name: String?) throws(AgentError) -> InputSettings
    {
        let names = configuration.inputs.map(\.name).joined(separator: ", ")
        if let name {
            guard let input = configuration.inputs.first(where: { $0.name == name }) else {
                throw AgentError("there is no input \(name); name one of \(names) with --input")
            }
            return input
        }
        guard configuration.inputs.count == 1, let input = configuration.inputs.first else {
            throw AgentError("there are several inputs; name one of \(names) with --input")
        }
        return input
    }

    /// Without the special characters of patterns.
    private static func escaped(_ path: String) -> String {
        path.reduce(into: "") { text, character in
            if "\\*?[]{}".contains(character) { text.append("\\") }
            text.append(character)
        }
    }
}

/// Takes batches apart and passes each record through the input's filter alone, to tell what became of it.
private final class SampleSink: BatchSink {
    private struct State {
        var records: UInt64 = 0
        var bytes: UInt64 = 0
        var lastChange: Int64 = Timestamp.now()
        let filter: RecordFilter
    }
    private let state: Mutex<State>
    private let pool: BatchPool
    private let fields: String
    private let write: @Sendable (String) -> Void

    init(_ input: InputSettings, write: @escaping @Sendable (String) -> Void) {
        let (rules, name) = (input.filter, input.name)
        state = Mutex(State(filter: RecordFilter(rules, name: name)))
        pool = BatchPool(
            blockCapacity: max(1 << 20, (input.maximumLine + LineSplitter.reserve + 8192) & ~4095), limit: 2)
        fields = input.fields.map { " \($0.key)=\"\($0.value)\"" }.joined()
        self.write = write
    }

    var prospect: SinkProspect { SinkProspect() }

    func take(timeoutMilliseconds: Int) -> RecordBatch? { pool.take() }

    func append(_ batch: RecordBatch) -> Bool {
        defer { batch.recycle() }
        state.withLock { state in
            state.lastChange = Timestamp.now()
            for record in 0..<batch.recordCount { show(record, of: batch, &state) }
        }
        return true
    }

    private func show(_ record: Int, of batch: RecordBatch, _ state: inout State) {
        let one = RecordBatch(capacity: batch.records[record].length + 1024)
        guard let start = one.copyIn(batch.body(record)) else { return }
        let entry = batch.records[record]
        one.append(RecordEntry(start: start, length: UInt32(entry.length), flags: entry.flags))
        var attributes = UnsafeRawBufferPointer(start: nil, count: 0)
        var offset = batch.baseOffset + UInt64(entry.start)
        if let found = batch.attributes.first(where: { $0.record == record }) {
            attributes = UnsafeRawBufferPointer(start: batch.block + Int(found.start), count: Int(found.length))
            if let own = RecordAttributes.splitOffset(attributes) { (offset, attributes) = own }
        }
        let lines = batch.body(record).count { $0 == 0x0A } + 1
        let before = state.filter.counts
        state.filter.apply(to: one)
        let after = state.filter.counts
        state.records += 1
        state.bytes += UInt64(entry.length)
        var title =
            "record \(state.records) at \(offset), \(counted(entry.length, "byte"))"
        if lines > 1 { title += " in \(lines) lines" }
        if entry.flags.contains(.unterminated) { title += ", without a newline" }
        switch true {
        case after.notKept > before.notKept: title += ": FILTERED, matches no pattern of keep"
        case after.dropped > before.dropped: title += ": FILTERED, matches a pattern of drop"
        case after.notSampled > before.notSampled: title += ": FILTERED, not in the sample"
        case after.notRedactable > before.notRedactable:
            write(title + ": DROPPED, redaction reached its limits")
            return
        case after.redacted > before.redacted: title += ": REDACTED"
        default: break
        }
        if after.undecided > before.undecided { title += ", a pattern reached its limits" }
        write(title)
        if one.recordCount > 0 {
            let properties = RecordText.properties(attributes) + fields
            if !properties.isEmpty { write("    \(properties)") }
            for line in RecordText.lines(of: one.body(0)) { write(line) }
        } else {
            for line in RecordText.lines(of: batch.body(record)) { write(line) }
        }
    }

    var millisecondsOfRest: Int64 { state.withLock { Timestamp.now() - $0.lastChange } }

    var summary: String {
        state.withLock { state in
            let counts = state.filter.counts
            return "\(counted(state.records, "record")) of \(counted(state.bytes, "byte")): "
                + "\(state.records - counts.filtered - counts.notRedactable) go along (\(counts.redacted) redacted), "
                + "\(counts.filtered) filtered, \(counts.notRedactable) dropped"
        }
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
