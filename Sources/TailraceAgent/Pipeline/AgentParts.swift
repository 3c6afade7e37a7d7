internal import Logging
internal import TailraceDelivery
internal import TailraceInputs
internal import TailraceSpool

/// What of an agent runs, and by which configuration.
struct AgentParts: Sendable {
    var configuration: AgentConfiguration
    var inputs: [InputRunner] = []
    /// In the configuration's order.
    var outputs: [OutputPart] = []
    var metrics: MetricsServer?
    /// Inputs that the configuration has no more, and that were there since the start: their counts stay, of the last ones up to
    /// `removedLimit`.
    var removed: [RemovedInput] = []
    /// What inputs have counted that are not there any more, or were followed by others of their name.
    private(set) var past: [String: InputReport] = [:]

    /// So many are told of at most: each has its series in the metrics.
    static let removedLimit = 100

    struct RemovedInput: Equatable, Sendable {
        var name: String
        var type: String
    }

    init(configuration: AgentConfiguration) { self.configuration = configuration }

    /// The one that all file inputs share.
    var tailer: InputRunner? { inputs.first { $0.name == nil } }

    /// Goes over to another configuration: what was in the old one alone is told of as removed.
    mutating func use(_ new: AgentConfiguration) {
        for input in configuration.inputs where !new.inputs.contains(where: { $0.name == input.name }) {
            removed.append(RemovedInput(name: input.name, type: input.type))
        }
        removed.removeAll { gone in new.inputs.contains { $0.name == gone.name } }
        for forgotten in removed.dropLast(Self.removedLimit) { past[forgotten.name] = nil }
        removed = removed.suffix(Self.removedLimit)
        configuration = new
    }

    /// It has ended: what it counted stays.
    mutating func remove(_ runner: InputRunner) {
        inputs.removeAll { $0 === runner }
        for (name, report) in runner.input.reports(timeoutMilliseconds: 0) {
            past[name, default: InputReport()].addCounts(of: report)
        }
    }

    mutating func remove(_ output: OutputPart) { outputs.removeAll { $0.runner === output.runner } }

    mutating func add(_ output: OutputPart) {
        outputs.append(output)
        let order = configuration.outputs.map(\.name)
        outputs.sort { order.firstIndex(of: $0.name) ?? .max < order.firstIndex(of: $1.name) ?? .max }
    }
}

/// An output with what belongs to its name.
struct OutputPart: Sendable {
    /// What it has around it.
    struct Surroundings {
        var spool: Spool
        var floors: SpoolFloors
        var account: InputAccount
        var places: AgentPlaces
        var logger: Logger
    }

    let name: String
    let runner: any RunningOutput
    let ledger: Ledger
    let deadLetters: DeadLetterArea
    /// Its index among the floors.
    let floor: Int
    private let keptFrom: UInt64

    /// What an output leaves to the one that comes after it: what it has counted, and where its dead letters are.
    struct Estate {
        var counted = PastDrains()
        var deadLetters: DeadLetterArea?
        /// Ids below this may go at any time.
        var keptFrom: UInt64 = 0
    }

    /// - Parameter estate: of the one that it comes after in this process; nil in one that begins.
    init(
        _ settings: OutputSettings, _ outlet: any Outlet, _ ledger: Ledger, floor: Int, after estate: Estate?,
        _ around: Surroundings
    ) {
        name = settings.name
        self.ledger = ledger
        self.floor = floor
        keptFrom = estate?.keptFrom ?? 0
        deadLetters =
            estate?.deadLetters
            ?? DeadLetterArea(
                output: settings.name, directory: around.places.deadLetters(output: settings.name), main: around.spool,
                logger: around.logger)
        let floors = around.floors
        runner = outlet.output(
            settings.name, key: settings.key, partitionCheck: settings.partitionCheck, spool: around.spool,
            ledger: ledger, deadLetters: deadLetters, account: around.account, past: estate?.counted,
            keptFrom: keptFrom, logger: around.logger, release: { floors.set($0, output: floor) })
    }

    var estate: Estate { Estate(counted: runner.counted, deadLetters: deadLetters, keptFrom: keptFrom) }

    /// So that the status tells of dead letters, and they can be replayed; what is wrong with them must not stop the rest.
    func openDeadLetters(_ logger: Logger) {
        do throws(DeadLetterError) {
            _ = try deadLetters.openIfThere()
        } catch {
            logger.error(
                "cannot open the dead-letter area",
                metadata: ["directory": "\(deadLetters.directory)", "reason": "\(error)"])
        }
    }
}

extension InputReport {
    /// Adds what another has counted since the start, not how it stands.
    mutating func addCounts(of other: InputReport) {
        for drop in other.drops {
            if let index = drops.firstIndex(where: { $0.reason == drop.reason }) {
                drops[index].records &+= drop.records
            } else {
                drops.append(drop)
            }
        }
        for event in other.events {
            if let index = events.firstIndex(where: { $0.name == event.name }) {
                events[index].value &+= event.value
            } else {
                events.append(event)
            }
        }
        lostBytes &+= other.lostBytes
        notices &+= other.notices
    }
}
