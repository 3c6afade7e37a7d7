internal import Logging
internal import NIOCore
internal import TailraceDelivery
internal import TailraceInputs
internal import TailraceSpool

/// The first phase of a reload: a new configuration, and all that it needs and that does not run yet. Making it touches
/// nothing that runs.
struct Preparation: Sendable {
    let configuration: AgentConfiguration
    let plan: ReloadPlan
    /// Inputs to begin, also in the place of others of their name.
    private(set) var inputs: [InputRunner] = []
    /// What all file inputs follow, and who does that when nobody did so far.
    let files: [FileTailConfiguration]
    private(set) var tailer: InputRunner?
    /// Outputs to begin, also in the place of others of their name.
    private(set) var outlets: [(settings: OutputSettings, outlet: any Outlet)] = []
    /// Of the outputs that are new.
    private(set) var ledgers: [String: (ledger: Ledger, floor: Int, keptFrom: UInt64)] = [:]
    private(set) var metrics: MetricsServer?
    /// Sockets that change hands.
    let heirloom: [ListeningSocket]

    /// - Throws: what is wrong; then nothing of it is left.
    init(_ agent: Agent, _ parts: AgentParts) throws {
        var new = try ConfigurationLoader.load(path: parts.configuration.file)
        let plan = ReloadPlan(from: parts.configuration, to: new)
        // Nothing of it can move while it is in use.
        new.stateDirectory = parts.configuration.stateDirectory
        configuration = new
        self.plan = plan
        for input in new.inputs where agent.roster.index(of: input.name) == nil {
            throw AgentError(
                "there have been \(InputRoster.limit) names of inputs since the start, and \(input.name) is another:"
                    + " start the agent anew")
        }
        let leaving = Set(plan.inputs.stopped + plan.inputs.replaced)
        let coming = Set(plan.inputs.begun + plan.inputs.replaced)
        heirloom = parts.inputs.filter { leaving.contains($0.name ?? "") }
            .flatMap { ($0.input as? SyslogInput)?.listeningSockets ?? [] }
        let makers = try InputMakers(new, heirloom: heirloom) { coming.contains($0) }
        let positions = { @Sendable [spool = agent.spool] in spool.positions() }
        inputs = try makers.make(positions: positions, sink: agent.sink, logger: agent.logger)
        files = makers.files
        if parts.tailer == nil {
            tailer = try makers.makeTailer(positions: positions, sink: agent.sink, logger: agent.logger)
        }
        do {
            try prepareOutputs(agent)
        } catch {
            discard(agent)
            throw error
        }
    }

    private mutating func prepareOutputs(_ agent: Agent) throws {
        for output in configuration.outputs where (plan.outputs.begun + plan.outputs.replaced).contains(output.name) {
            outlets.append((output, try Agent.outlet(output, eventLoop: agent.group.next(), logger: agent.logger)))
        }
        if plan.isMetricsChanged, let address = configuration.metrics { metrics = try agent.startMetrics(address) }
        // Last, because it is stored.
        for output in configuration.outputs where plan.outputs.begun.contains(output.name) {
            let (floor, first) = agent.floors.add()
            do {
                let ledger = try Ledger.open(
                    directory: configuration.places.spool, name: output.ledger, firstSequence: first,
                    logger: agent.logger)
                ledgers[output.name] = (ledger, floor, first)
            } catch {
                agent.floors.remove(output: floor)
                throw error
            }
        }
    }

    /// It is not carried out, or not to its end: of what has not begun nothing stays.
    func discard(_ agent: Agent, besides begun: [OutputPart] = []) {
        metrics?.stopAndWait()
        for (settings, outlet) in outlets where !begun.contains(where: { $0.name == settings.name }) {
            _ = outlet.close()
        }
        for (name, part) in ledgers where !begun.contains(where: { $0.name == name }) {
            part.ledger.close()
            agent.floors.remove(output: part.floor)
        }
    }
}
