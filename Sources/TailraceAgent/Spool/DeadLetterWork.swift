import Glibc
internal import Logging
package import TailraceDelivery
internal import TailraceSpool

/// A replay or a drop from beginning to end, piece by piece: by the agent that runs; where none does, in its spool.
///
/// Each piece is durable before the next, so that whoever ends the command ends the work, between two pieces.
package struct DeadLetterWork {
    /// Without any progress for so long, it ends with an error. What was done stays done.
    package static let patience = Duration.seconds(60)
    /// Between two pieces when the spool took nothing.
    private static let pause: UInt32 = 500_000
    /// Ranges of one request: so many fit into its line.
    private static let requestRanges = 200

    package enum Failure: Error, Equatable, CustomStringConvertible {
        case stuck(records: UInt64, reason: String)
        case unknownReply
        case foreignOwner(directory: String, owner: UInt32)
        case noOutput(String)

        package var description: String {
            switch self {
            case .stuck(let records, let reason):
                "\(counted(records, "record")) done, then nothing went on: \(reason); what is left can be done later"
            case .unknownReply:
                "the agent's reply is not understood: the command and the agent may be of different versions"
            case .foreignOwner(let directory, let owner):
                "no agent runs, and \(directory) belongs to the user with the number \(owner): run this as that user, as the"
                    + " agent could not use what others write there; or start the agent first"
            case .noOutput(let name): "the configuration has no output \(name)"
            }
        }
    }

    private let action: DeadLetterAction
    private let output: String
    private let ranges: [Range<UInt64>]
    private let configurationPath: String
    /// Told how many records are done and how many are left, and what stands in the way.
    private let progress: (_ done: UInt64, _ left: UInt64, _ obstacle: String?) -> Void

    /// - Parameter ranges: ids of the output's dead-letter area.
    package init(
        _ action: DeadLetterAction, output: String, _ ranges: [Range<UInt64>], configurationPath: String,
        progress: @escaping (_ done: UInt64, _ left: UInt64, _ obstacle: String?) -> Void
    ) {
        self.action = action
        self.output = output
        self.ranges = SettledLetters(ranges).ranges
        self.configurationPath = configurationPath
        self.progress = progress
    }

    /// Returns how many records were replayed or dropped.
    package func run() throws -> UInt64 {
        let socket = try ConfigurationLoader.places(ofConfigurationAt: configurationPath).controlSocket
        do {
            return try run { try ask($0, socket) }
        } catch ControlError.notRunning {
            return try runAlone()
        }
    }

    private func ask(_ ranges: [Range<UInt64>], _ socket: String) throws -> SettlingProgress {
        let answer = try ControlClient.answer(to: .settle(action, output: output, ranges), path: socket)
        guard let progress = SettlingReply.progress(String(decoding: answer, as: UTF8.self)) else {
            throw Failure.unknownReply
        }
        return progress
    }

    /// The spool's own lock keeps an agent from starting meanwhile.
    private func runAlone() throws -> UInt64 {
        let configuration = try ConfigurationLoader.load(path: configurationPath)
        guard configuration.outputs.contains(where: { $0.name == output }) else { throw Failure.noOutput(output) }
        var facts = stat()
        let directory = configuration.places.spool
        if stat(directory, &facts) == 0, facts.st_uid != geteuid() {
            throw Failure.foreignOwner(directory: directory, owner: facts.st_uid)
        }
        let logger = Logger(label: "tailrace") { StandardErrorLog(label: $0, level: .warning, shared: .init()) }
        let spool = try Spool.open(configuration.mainSpool, logger: logger)
        defer { spool.close() }
        let area = DeadLetterArea(
            output: output, directory: configuration.places.deadLetters(output: output), main: spool, logger: logger)
        defer { area.close() }
        guard try area.openIfThere() else { return 0 }
        return try run { try area.settle(action, $0) }
    }

    private func run(_ piece: ([Range<UInt64>]) throws -> SettlingProgress) throws -> UInt64 {
        var done: UInt64 = 0
        var movedAt = ContinuousClock.now
        for start in stride(from: 0, to: ranges.count, by: Self.requestRanges) {
            let part = Array(ranges[start..<min(start + Self.requestRanges, ranges.count)])
            while true {
                let step = try piece(part)
                done += step.records
                if step.records > 0 { movedAt = .now }
                if step.state == .done { break }
                var obstacle: String?
                if case .waiting(let reason) = step.state { obstacle = reason }
                progress(done, step.left, obstacle)
                guard let obstacle else { continue }
                guard movedAt.duration(to: .now) < Self.patience else {
                    throw Failure.stuck(records: done, reason: obstacle)
                }
                if step.records == 0 { usleep(Self.pause) }
            }
        }
        return done
    }
}
