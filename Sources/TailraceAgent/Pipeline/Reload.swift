internal import Logging
internal import TailraceDelivery
internal import TailraceInputs
internal import TailraceSpool

/// The second phase of a reload. What ends is told so first, all at once; what comes in its place begins when it has ended.
/// What stays the same is not touched.
struct Reload {
    private let agent: Agent
    private let new: Preparation
    private var plan: ReloadPlan { new.plan }

    init(_ agent: Agent, _ new: Preparation) {
        self.agent = agent
        self.new = new
    }

    /// Returns what stays as it was until a restart.
    func run() -> [String] {
        let before = agent.parts.withLock { $0 }
        // Whoever counts and carries is to know of what is new before it comes.
        let remarks = applySettings()
        let inputs = before.inputs.filter { runner in
            runner.name.map { plan.inputs.stopped.contains($0) || plan.inputs.replaced.contains($0) }
                ?? new.files.isEmpty
        }
        let outputs = before.outputs.filter {
            plan.outputs.stopped.contains($0.name) || plan.outputs.replaced.contains($0.name)
        }
        for socket in new.inputs.flatMap({ inherited(by: $0) }) { socket.passOn() }
        for input in inputs { input.stop() }
        for output in outputs { output.runner.stop() }
        follow(before)
        replace(inputs)
        replace(outputs)
        return remarks
    }

    private var isCut: Bool { agent.orders.isStopping }

    private func applySettings() -> [String] {
        var remarks: [String] = []
        let pool = Agent.pool(for: new.configuration)
        agent.sink.useIfLarger(pool)
        for input in new.configuration.inputs where plan.treated.contains(input.name) {
            agent.sink.treat(input.name, with: InputFilter(input))
        }
        if plan.isSpoolChanged {
            let settings = new.configuration.spool
            let size = agent.spool.change(
                maximumSize: settings.maximumSize, sync: new.configuration.mainSpool.sync,
                minimumFree: settings.minimumFree)
            if size != settings.maximumSize {
                let text =
                    "[spool] maximum_size is \(Quantity.describe(bytes: size)) until a restart: segments of the size that"
                    + " it has now do not fit into \(Quantity.describe(bytes: settings.maximumSize))"
                agent.logger.warning("\(text)")
                remarks.append(text)
            }
        }
        let metrics = agent.parts.withLock { parts -> MetricsServer? in
            parts.use(new.configuration)
            guard plan.isMetricsChanged else { return nil }
            defer { parts.metrics = new.metrics }
            return parts.metrics
        }
        metrics?.stopAndWait()
        return remarks
    }

    /// File inputs are not stopped for each other: their thread goes over to what is new.
    private func follow(_ before: AgentParts) {
        if plan.changesFiles, !new.files.isEmpty, let tailer = before.tailer?.input as? FileTailer {
            tailer.follow(new.files, host: new.configuration.host)
        }
        if let tailer = new.tailer { begin(tailer) }
    }

    private func begin(_ input: InputRunner) {
        agent.parts.withLock { $0.inputs.append(input) }
        agent.begin(input)
    }

    private func replace(_ inputs: [InputRunner]) {
        let begun = new.inputs.filter { plan.inputs.begun.contains($0.name ?? "") }
        for input in begun where inherited(by: input).isEmpty { begin(input) }
        agent.cutOff(inputs, after: StopLimits.replaced) { isCut }
        // In a stop they are ended with the others.
        guard !isCut else { return }
        for input in begun where !inherited(by: input).isEmpty { begin(input) }
        for old in inputs {
            let successor = new.inputs.first { $0.name == old.name && plan.inputs.replaced.contains($0.name ?? "") }
            agent.parts.withLock { parts in
                parts.remove(old)
                if let successor { parts.inputs.append(successor) }
            }
            if let successor { agent.begin(successor) }
        }
    }

    /// Sockets that somebody else still has: only one may read from them.
    private func inherited(by input: InputRunner) -> [ListeningSocket] {
        let sockets = (input.input as? SyslogInput)?.listeningSockets ?? []
        return sockets.filter { socket in new.heirloom.contains { $0 === socket } }
    }

    private func replace(_ outputs: [OutputPart]) {
        var begun: [OutputPart] = []
        for (settings, outlet) in new.outlets {
            guard let (ledger, floor, keptFrom) = new.ledgers[settings.name] else { continue }
            begun.append(begin(settings, outlet, ledger, floor: floor, after: OutputPart.Estate(keptFrom: keptFrom)))
        }
        for old in outputs {
            waitForEnd(of: old)
            guard !isCut else { break }
            guard let (settings, outlet) = new.outlets.first(where: { $0.settings.name == old.name }) else {
                remove(old)
                continue
            }
            agent.parts.withLock { $0.remove(old) }
            begun.append(begin(settings, outlet, old.ledger, floor: old.floor, after: old.estate))
        }
        if isCut { new.discard(agent, besides: begun) }
    }

    /// Its ledger is its alone, until it has ended.
    private func waitForEnd(of output: OutputPart) {
        guard !StopLimits.wait(for: [output.runner], milliseconds: StopLimits.outputs, unless: { isCut }), !isCut else {
            return
        }
        agent.logger.warning("the \(output.runner) does not end; the configuration waits for it")
        while !StopLimits.wait(for: [output.runner], milliseconds: StopLimits.outputs, unless: { isCut }), !isCut {}
    }

    private func begin(
        _ settings: OutputSettings, _ outlet: any Outlet, _ ledger: Ledger, floor: Int, after estate: OutputPart.Estate
    ) -> OutputPart {
        let part = OutputPart(
            settings, outlet, ledger, floor: floor, after: estate,
            OutputPart.Surroundings(
                spool: agent.spool, floors: agent.floors, account: agent.account, places: new.configuration.places,
                logger: agent.logger))
        if estate.deadLetters == nil { part.openDeadLetters(agent.logger) }
        agent.parts.withLock { $0.add(part) }
        agent.begin(part.runner)
        return part
    }

    /// Nothing waits for it any more.
    private func remove(_ output: OutputPart) {
        agent.parts.withLock { $0.remove(output) }
        output.ledger.close()
        output.deadLetters.close()
        agent.floors.remove(output: output.floor)
        agent.logger.notice(
            "an output was removed; its ledger stays, should it come back",
            metadata: ["output": "\(output.name)", "file": "\(new.configuration.places.spool)/\(output.name).ledger"])
    }
}
