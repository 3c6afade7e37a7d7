import Glibc
package import Logging
import Synchronization
package import TailraceSpool

/// Follows one journal through a journalctl of its own, and passes its entries on as batches, on one thread.
///
/// The position travels in the batch that it covers, so what the sink makes durable and what is resumed from cannot
/// disagree.
package final class JournalReader: RunningInput {
    private let configuration: JournalConfiguration
    private let limits: JournalLimits
    private let host: String
    private let machine: String
    private let positions: @Sendable () -> [SourceKey: [UInt8]]
    private let sink: any BatchSink
    private let logger: Logger
    private let shared: JournalShared

    /// - Parameters:
    ///   - host: what records of this machine carry.
    ///   - machine: this machine's name as the kernel knows it, which journald writes into its entries.
    ///   - positions: What the spool holds when it begins to run; those of other inputs are passed over.
    package init(
        _ configuration: JournalConfiguration, limits: JournalLimits = JournalLimits(), host: String, machine: String,
        positions: @autoclosure @escaping @Sendable () -> [SourceKey: [UInt8]], sink: any BatchSink, logger: Logger
    ) throws(JournalError) {
        self.configuration = configuration
        self.limits = limits
        self.host = host
        self.machine = machine
        self.logger = logger
        self.positions = positions
        shared = try JournalShared()
        self.sink = MarkedSink(sink, shared.mark)
    }

    fileprivate static func key(_ configuration: JournalConfiguration) -> SourceKey {
        JournalPosition.key(input: configuration.name, journal: configuration.source)
    }

    package var description: String { "journal input \(configuration.name)" }

    package func run() {
        let batches = JournalBatches(
            configuration, host: host, machine: machine, key: Self.key(configuration), sink: sink)
        let engine = JournalEngine(
            configuration, limits: limits, stored: positions()[Self.key(configuration)], batches: batches,
            shared: shared, logger: logger)
        shared.mark.work()
        defer { shared.mark.rest() }
        engine.run()
    }

    package func stop() { shared.stop() }

    package var marks: [StageMark] { [shared.mark] }

    package var statistics: JournalStatistics { shared.state.statistics }

    package func reports(timeoutMilliseconds: Int) -> [String: InputReport] {
        let state = shared.state
        var report = InputReport()
        report.drops = state.statistics.drops
        report.sources = [
            InputReport.Source(
                configuration.source, state.condition, isTroubled: state.trouble != nil || state.accessTrouble != nil)
        ]
        return [configuration.name: report]
    }
}

package enum JournalError: Error, CustomStringConvertible {
    case pipe(errno: Int32)

    package var description: String {
        switch self {
        case .pipe(let code):
            "cannot make a pipe for a journal input: \(describeErrno(code)); raise the limit of open files (LimitNOFILE)"
        }
    }
}

/// What the input's thread and the others share.
final class JournalShared: Sendable {
    struct State {
        var stops = false
        var statistics = JournalStatistics()
        /// Why nothing comes just now.
        var trouble: String?
        /// Why some entries do not come.
        var accessTrouble: String?
        var isHeld = false

        var condition: String {
            if let trouble { return "troubled: \(trouble)" }
            if let accessTrouble { return "troubled: \(accessTrouble)" }
            var text = isHeld ? "held back: the spool takes nothing" : "followed"
            if statistics.gaps > 0 { text += ", \(statistics.gaps) times with entries missing" }
            if statistics.restarts > 0 { text += ", journalctl started again \(statistics.restarts) times" }
            return text
        }
    }
    private let mutex = Mutex(State())
    let wake: WakePipe
    let mark = StageMark("journal")

    init() throws(JournalError) {
        guard let pipe = WakePipe() else { throw .pipe(errno: errno) }
        wake = pipe
    }

    var state: State { mutex.withLock { $0 } }
    var stops: Bool { mutex.withLock { $0.stops } }

    func stop() {
        mutex.withLock { $0.stops = true }
        wake.wake()
    }

    func publish(_ statistics: JournalStatistics) { mutex.withLock { $0.statistics = statistics } }
    func publish(trouble: String?) { mutex.withLock { $0.trouble = trouble } }
    func publish(accessTrouble: String?) { mutex.withLock { $0.accessTrouble = accessTrouble } }
    func publish(isHeld: Bool) { mutex.withLock { $0.isHeld = isHeld } }
}
