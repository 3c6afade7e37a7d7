package import Logging
import Synchronization
package import TailraceSpool

/// Where one output's dead letters are: a spool of its own, and which of them were replayed or dropped since, which lies in
/// the main spool.
///
/// One drain at a time appends; replays and drops come one at a time. Opened by the first who needs it, closed once, for good.
package final class DeadLetterArea: Sendable {
    /// Records that are looked at when a drain begins, and kept for that also when they are settled.
    static let remembered: UInt64 = 256

    /// The output's name.
    package let output: String
    package var directory: String { configuration.directory }
    let main: Spool
    private let configuration: SpoolConfiguration
    private let logger: Logger
    private let state = Mutex(State())
    /// Only one replays or drops.
    private let isBusy = Atomic<Bool>(false)

    private struct State {
        var spool: Spool?
        var isClosed = false
        var settled = SettledLetters()
        /// Records that were here when the area was opened.
        var carriedOver: UInt64 = 0
        var counts = DeadLetterCounts()
    }

    /// - Parameters:
    ///   - directory: of this output alone; made when needed, its parent must exist.
    ///   - main: where the output's records come from, and where replayed ones go.
    ///   - maximumSize: bytes; what does not fit is dropped by the drain, counted and told in the log.
    package init(output: String, directory: String, main: Spool, maximumSize: UInt64 = 1 << 30, logger: Logger) {
        var configuration = SpoolConfiguration(directory: directory)
        configuration.environment = main.environment
        configuration.maximumSize = maximumSize
        configuration.segmentSize = 16 << 20
        self.configuration = configuration
        self.output = output
        self.main = main
        self.logger = logger
    }

    /// The spool, made if it is not there. Not by two threads at once: before a drain runs, or on the drain's thread.
    func open() throws(DeadLetterError) -> Spool {
        let (known, isClosed) = state.withLock { ($0.spool, $0.isClosed) }
        if let known { return known }
        guard !isClosed else { throw .spool(.closed) }
        let settled = try stored()
        var configuration = configuration
        // An area that was thrown away begins anew, but not its ids: those that are settled stay so.
        configuration.minimumNextSequence = settled.end
        let opened: Spool
        do throws(SpoolError) {
            opened = try Spool.open(configuration, logger: logger)
        } catch {
            throw .spool(error)
        }
        let isKept = state.withLock { state in
            guard !state.isClosed else { return false }
            state.spool = opened
            state.settled = settled
            state.carriedOver = opened.count(without: settled.ranges).records
            return true
        }
        guard isKept else {
            opened.close()
            throw .spool(.closed)
        }
        release(settled)
        return opened
    }

    var opened: Spool? { state.withLock { $0.spool } }

    /// Of the thread that writes; nil while the area is not open.
    package var mark: StageMark? { opened?.mark }

    /// Opens the spool if there is one on the disk, before a drain runs. False when there is none.
    package func openIfThere() throws(DeadLetterError) -> Bool {
        let names: [String]
        do throws(SpoolFileError) {
            names = try SpoolDirectory(path: directory, disk: main.environment.disk).names()
        } catch {
            guard error.isMissing else { throw .spool(.file(error)) }
            return false
        }
        guard !names.isEmpty else { return false }
        _ = try open()
        return true
    }

    package func close() {
        let spool = state.withLock { state in
            state.isClosed = true
            defer { state.spool = nil }
            return state.spool
        }
        spool?.close()
    }

    /// What the main spool says.
    private func stored() throws(DeadLetterError) -> SettledLetters {
        guard let value = main.positions()[SettledLetters.key(output: output)] else { return SettledLetters() }
        guard let settled = SettledLetters(value: value) else { throw .unknownPosition(output: output) }
        return settled
    }

    /// Lets segments go. What is settled must be durable in the main spool.
    func release(_ settled: SettledLetters) {
        guard let spool = opened else { return }
        let next = spool.statistics().nextSequence
        spool.release(below: min(settled.floor, next - min(next, Self.remembered)))
    }

    /// How things stand; nil while there is no area, or none that can be opened.
    package var counts: DeadLetterCounts? {
        state.withLock { state in
            guard let spool = state.spool else { return nil }
            var counts = state.counts
            counts.carriedOver = state.carriedOver
            (counts.inArea, counts.kept) = spool.count(without: state.settled.ranges)
            return counts
        }
    }

    // MARK: Replays and drops

    /// Nobody else replays or drops during `body`.
    func alone<T>(_ body: () throws(DeadLetterError) -> T) throws(DeadLetterError) -> T {
        guard isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
            throw .busy(output: output)
        }
        defer { isBusy.store(false, ordering: .releasing) }
        return try body()
    }

    var settled: SettledLetters { state.withLock { $0.settled } }

    /// The main spool has taken a position that says so.
    func note(_ settled: SettledLetters, _ add: (inout DeadLetterCounts) -> Void) {
        state.withLock {
            $0.settled = settled
            add(&$0.counts)
        }
    }
}

/// The balance of a dead-letter area since it was opened, in records:
/// `carriedOver + kept = inArea + replayed + dropped + lost`.
package struct DeadLetterCounts: Equatable, Sendable {
    /// Those that lay there when it was opened.
    package var carriedOver: UInt64 = 0
    /// Those that the drain put there.
    package var kept: UInt64 = 0
    /// Those that are there.
    package var inArea: UInt64 = 0
    /// Those that went to the main spool again.
    package var replayed: UInt64 = 0
    /// Those that somebody dropped.
    package var dropped: UInt64 = 0
    /// Those that were damaged when their turn came to be replayed or dropped.
    package var lost: UInt64 = 0

    package init() {}

    /// What the balance leaves unexplained: 0, or a bug.
    package var unexplained: Int64 {
        Int64(bitPattern: carriedOver &+ kept &- inArea &- replayed &- dropped &- lost)
    }
}

/// Why dead letters cannot be replayed or dropped.
package enum DeadLetterError: Error, Equatable, Sendable, CustomStringConvertible {
    case spool(SpoolError)
    /// The main spool's position is of a later version.
    case unknownPosition(output: String)
    case busy(output: String)
    case tooManyRanges
    case notOpen(output: String)

    package var description: String {
        switch self {
        case .spool(let error): error.description
        case .unknownPosition(let output):
            "a later version of tailrace wrote which dead letters of output \(output) are settled: use that version"
        case .busy(let output): "somebody else replays or drops dead letters of output \(output): try again then"
        case .notOpen(let output):
            "the dead letters of output \(output) could not be opened: the agent's log says why"
        case .tooManyRanges:
            "more than \(SettledLetters.maximumRanges) holes would be among the dead letters: take those with lower ids first, "
                + "with --through"
        }
    }
}
