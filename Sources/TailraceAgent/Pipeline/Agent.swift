import Glibc
package import Logging
internal import NIOCore
import NIOPosix
import Synchronization
internal import TailraceDelivery
internal import TailraceInputs
internal import TailraceSpool

/// The whole agent: inputs, spool and outputs of one configuration after the other, put together, supervised and stopped.
///
/// What runs is in `parts`. The supervisor, one thread, changes that; everybody else looks.
package final class Agent: Sendable {
    let logger: Logger
    let started = Timestamp.now()
    let spool: Spool
    let sink: SpoolSink
    let roster: InputRoster
    let account: InputAccount
    let floors: SpoolFloors
    let group: MultiThreadedEventLoopGroup
    let progress = Mutex(ProgressWatch())
    let orders = AgentOrders()
    let parts: Mutex<AgentParts>
    let history: Mutex<ReloadHistory>
    /// Of the event loop of outputs and metrics.
    let loopMark = StageMark("event loop")
    let watch = Mutex<WatchdogThread?>(nil)

    var configuration: AgentConfiguration { parts.withLock { $0.configuration } }

    /// Opens the spool and everything that lies in it; nothing runs before `run`.
    ///
    /// - Throws: what stands in the way, such as another agent with the same state directory.
    package init(_ configuration: AgentConfiguration, logger: Logger) throws {
        self.logger = logger
        // What can be wrong without touching the state directory comes first.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.group = group
        let outlets = try configuration.outputs.map {
            try Self.outlet($0, eventLoop: group.next(), logger: logger)
        }
        let makers = try InputMakers(configuration)
        try Self.makeDirectory(configuration.stateDirectory)
        let spool = try Spool.open(configuration.mainSpool, logger: logger)
        self.spool = spool
        let roster = InputRoster(configuration.inputs.map(\.name))
        self.roster = roster
        sink = SpoolSink(spool: spool, pool: Self.pool(for: configuration), roster: roster, logger: logger)
        for input in configuration.inputs { sink.treat(input.name, with: InputFilter(input)) }
        account = InputAccount(spool: spool, roster: roster)
        floors = SpoolFloors(spool, outputs: configuration.outputs.count)
        var parts = AgentParts(configuration: configuration)
        let positions = { @Sendable in spool.positions() }
        if let tailer = try makers.makeTailer(positions: positions, sink: sink, logger: logger) {
            parts.inputs.append(tailer)
        }
        parts.inputs += try makers.make(positions: positions, sink: sink, logger: logger)
        for (index, output) in configuration.outputs.enumerated() {
            let ledger = try Ledger.open(
                directory: configuration.places.spool, name: output.ledger,
                firstSequence: spool.statistics().firstSequence, logger: logger)
            parts.outputs.append(
                OutputPart(
                    output, outlets[index], ledger, floor: index, after: nil,
                    OutputPart.Surroundings(
                        spool: spool, floors: floors, account: account, places: configuration.places, logger: logger)))
        }
        self.parts = Mutex(parts)
        history = Mutex(ReloadHistory(loaded: started))
        tellOfOrphans()
        for output in parts.outputs { output.openDeadLetters(logger) }
    }

    /// One per output.
    var deadLetters: [DeadLetterArea] { parts.withLock { $0.outputs.map(\.deadLetters) } }

    /// An output that was removed or renamed leaves its ledger behind; whoever renamed it should know that the new name
    /// begins with the oldest record that is still in the spool.
    func tellOfOrphans() {
        let configuration = configuration
        guard let stream = opendir(configuration.places.spool) else { return }
        defer { closedir(stream) }
        let known = Set(configuration.outputs.map(\.ledger))
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasSuffix(".ledger"), !known.contains(name) else { continue }
            logger.warning(
                "a ledger belongs to no output of the configuration; remove the file when its output is gone for good",
                metadata: ["file": "\(configuration.places.spool)/\(name)"])
        }
    }

    static func outlet(
        _ settings: OutputSettings, eventLoop: any EventLoop, logger: Logger
    ) throws(AgentError) -> any Outlet {
        let executor = TaskThread("tasks \(settings.name)")
        return switch settings {
        case .eventHubs(let settings):
            try EventHubsOutlet(settings, executor: executor, eventLoop: eventLoop, logger: logger)
        case .pulsar(let settings):
            try PulsarOutlet(settings, executor: executor, eventLoop: eventLoop, logger: logger)
        }
    }

    /// Batches with room for the longest record of a configuration. Inputs that can wait ship as much with 4 MiB of them as with
    /// 8; datagrams are lost when they find none while a slow disk syncs.
    static func pool(for configuration: AgentConfiguration) -> BatchPool {
        let longest = configuration.inputs.map(\.maximumLine).max() ?? 0
        let block = max(1 << 20, (longest + LineSplitter.reserve + 8192) & ~4095)
        let bytes = configuration.inputs.allSatisfy(\.canWait) ? 4 << 20 : 8 << 20
        return BatchPool(blockCapacity: block, limit: max(4, bytes / block))
    }

    /// Makes the last two components at most: a path that is wrong further up is a mistake.
    private static func makeDirectory(_ path: String) throws(AgentError) {
        if mkdir(path, 0o750) == 0 || errno == EEXIST { return }
        let parent = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
        if errno == ENOENT, !parent.isEmpty {
            mkdir(String(parent), 0o755)
            if mkdir(path, 0o750) == 0 || errno == EEXIST { return }
        }
        throw AgentError(
            "cannot make the state directory \(path): \(SystemError.describe(errno)); make it for the agent's user")
    }
}

extension OutputSettings {
    /// The name of its ledger.
    var ledger: String { "\(name).ledger" }
}
