import Glibc
package import Logging
import Synchronization
package import TailraceSpool

/// Follows the files of all file inputs and passes their lines on as batches, on one thread.
///
/// `run()` occupies the calling thread until `stop()`; give it one of its own. A file's position travels in the batch
/// that it covers, so what the sink makes durable and what is resumed from cannot disagree.
package final class FileTailer: RunningInput {
    private let inputs: [FileTailConfiguration]
    private let limits: FileTailLimits
    private let host: String
    private let positions: @Sendable () -> [SourceKey: [UInt8]]
    /// Of the inputs that it has now.
    let names: Mutex<[String]>
    private let sink: any BatchSink
    private let logger: Logger
    private let shared: FileTailShared

    /// - Parameters:
    ///   - inputs: A file that several match belongs to the first of them.
    ///   - host: A property of every record.
    ///   - positions: What the spool holds when it begins to run; those of other inputs are passed over.
    package init(
        inputs: [FileTailConfiguration], limits: FileTailLimits = FileTailLimits(), host: String,
        positions: @autoclosure @escaping @Sendable () -> [SourceKey: [UInt8]], sink: any BatchSink, logger: Logger
    ) throws(FileTailError) {
        for input in inputs where input.maximumLine < 1 || input.maximumLine > RecordEntry.maximumLength {
            throw FileTailError.maximumLine(input: input.name, bytes: input.maximumLine)
        }
        self.inputs = inputs
        names = Mutex(inputs.map(\.name))
        self.limits = limits
        self.host = host
        self.positions = positions
        self.logger = logger
        shared = try FileTailShared()
        self.sink = MarkedSink(sink, shared.mark)
    }

    package convenience init(
        configuration: FileTailConfiguration, host: String,
        positions: @autoclosure @escaping @Sendable () -> [SourceKey: [UInt8]], sink: any BatchSink, logger: Logger
    ) throws(FileTailError) {
        try self.init(inputs: [configuration], host: host, positions: positions(), sink: sink, logger: logger)
    }

    /// Follows the files until `stop()` is called or the sink is closed. Call it once.
    package func run() {
        let engine = FileTailEngine(
            inputs: inputs, limits: limits, host: host, positions: positions(), sink: sink, logger: logger,
            shared: shared)
        shared.mark.work()
        defer { shared.mark.rest() }
        engine.run()
        shared.publish(engine.currentStatistics, files: [])
    }

    /// Asks `run()` to return. It does so soon, unless the sink makes it wait: then closing the sink ends that.
    package func stop() { shared.stop() }

    package var marks: [StageMark] { [shared.mark] }

    package var statistics: FileTailStatistics { shared.statistics }

    /// How every known file stands. Waits at most `timeoutMilliseconds` for the tailer to tell; when it is held up (the
    /// spool is full), what it told last, which may be nothing.
    package func files(timeoutMilliseconds: Int = 500) -> [TailedFileState] {
        shared.files(timeoutMilliseconds: timeoutMilliseconds)
    }

    func post(_ body: @escaping @Sendable (FileTailEngine) -> Void) {
        shared.requests.post(wake: { shared.wake() }, body)
    }

    /// Nil when the tailer's thread did not come to it in time.
    func ask<Answer: Sendable>(
        changes: Bool, _ timeoutMilliseconds: Int, _ body: @escaping @Sendable (FileTailEngine) -> Answer
    ) -> Answer? {
        shared.requests.ask(
            changes: changes, timeoutMilliseconds: timeoutMilliseconds, wake: { shared.wake() }, body)
    }
}

extension FileTailer {
    package var description: String { "file inputs" }

    package func reports(timeoutMilliseconds: Int) -> [String: InputReport] {
        var reports: [String: InputReport] = [:]
        let names = names.withLock { $0 }
        for name in names { reports[name] = InputReport() }
        for file in files(timeoutMilliseconds: timeoutMilliseconds) {
            reports[file.input]?.sources.append(InputReport.Source(file))
        }
        // The inputs share one thread and one count of what was lost, and of what happened.
        if let first = names.first {
            let statistics = statistics
            reports[first]?.lostBytes = statistics.lostBytes
            reports[first]?.events = statistics.events
            reports[first]?.levels = statistics.levels
        }
        return reports
    }
}

extension InputReport.Source {
    fileprivate init(_ file: TailedFileState) {
        var isTroubled = false
        let condition: String
        switch file.condition {
        case .followed: condition = "followed"
        case .rotated: condition = "rotated"
        case .unlinked: condition = "unlinked"
        case .missing: condition = "missing"
        case .copying: condition = "copying"
        case .troubled(let reason):
            condition = "troubled: \(reason)"
            isTroubled = true
        }
        self.init(file.path, condition, isTroubled: isTroubled, size: file.size, offset: file.offset)
    }
}

package enum FileTailError: Error, CustomStringConvertible {
    case maximumLine(input: String, bytes: Int)
    case pipe(errno: Int32)

    package var description: String {
        switch self {
        case .maximumLine(let input, let bytes):
            "input.\(input): maximum_line = \(bytes) is not between 1 and \(RecordEntry.maximumLength) bytes"
        case .pipe(let code):
            "cannot make a pipe for the file input: \(describeErrno(code)); raise the limit of open files (LimitNOFILE)"
        }
    }
}

func describeErrno(_ code: Int32) -> String {
    strerror(code).map { String(cString: $0) } ?? "error \(code)"
}

/// What the tailer's thread and the others share: requests in, reports out, and a pipe that wakes the thread.
final class FileTailShared: Sendable {
    private struct State {
        var stops = false
        var wantsFiles = false
        var reports: UInt64 = 0
        var statistics = FileTailStatistics()
        var files: [TailedFileState] = []
    }
    private let state = Mutex(State())
    let requests = FileTailRequests()
    let wakes: WakePipe
    let mark = StageMark("files")

    init() throws(FileTailError) {
        guard let pipe = WakePipe() else { throw FileTailError.pipe(errno: errno) }
        wakes = pipe
    }

    func stop() {
        state.withLock { $0.stops = true }
        wake()
    }

    func wake() { wakes.wake() }

    var stops: Bool { state.withLock { $0.stops } }
    var wantsFiles: Bool { state.withLock { $0.wantsFiles } }
    var statistics: FileTailStatistics { state.withLock { $0.statistics } }

    func publish(_ statistics: FileTailStatistics, files: [TailedFileState]?) {
        state.withLock {
            $0.statistics = statistics
            guard let files else { return }
            $0.files = files
            $0.wantsFiles = false
            $0.reports += 1
        }
    }

    func files(timeoutMilliseconds: Int) -> [TailedFileState] {
        let before = state.withLock { state in
            state.wantsFiles = true
            return state.reports
        }
        wake()
        var left = timeoutMilliseconds
        while left > 0, state.withLock({ $0.reports }) == before {
            usleep(2_000)
            left -= 2
        }
        return state.withLock { $0.files }
    }
}
