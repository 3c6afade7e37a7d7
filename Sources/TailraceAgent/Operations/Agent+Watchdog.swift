internal import NIOCore
internal import TailraceInputs
internal import TailraceSpool

// What the watchdog sees of the agent.
extension Agent {
    /// How every stage and output stands; waits for none of them.
    func sight() -> WatchdogThread.Sight {
        probe()
        var stages = [Watchdog.Stage(name: spool.mark.name, mark: spool.mark.value), loopMark.stage()]
        let parts = parts.withLock { $0 }
        for input in parts.inputs.map(\.input) {
            input.probe()
            stages += input.marks.enumerated().map { $1.stage(of: "\(input.description) \($0)") }
        }
        var outputs: [Watchdog.Output] = []
        for output in parts.outputs.map(\.runner) {
            let report = output.report()
            stages += output.marks.map { $0.stage(of: report.name) }
            outputs.append(
                Watchdog.Output(
                    name: report.name, settled: report.settled,
                    backlog: report.backlog, reason: report.obstacle))
        }
        return WatchdogThread.Sight(stages: stages, outputs: outputs)
    }

    /// Has the event loop of outputs and metrics show that it is alive.
    private func probe() {
        guard !loopMark.isAtWork else { return }
        loopMark.work()
        group.next().execute { [loopMark] in loopMark.rest() }
    }

    /// The balance since the start, and how the outputs stand: one line. What went wrong with the last reload comes first.
    func balanceLine() -> String {
        let parts = parts.withLock { $0 }
        let states = parts.outputs.map { "output \($0.name) \($0.runner.report().state)" }.joined(separator: ", ")
        let acknowledged = account.acknowledged(below: spool.statistics().released).reduce(0, &+)
        let filtered = (parts.configuration.inputs.map(\.name) + parts.removed.map(\.name)).map {
            sink.filterCounts($0)
        }
        let records = sink.totals.reduce(0) { $0 &+ $1.records }
        // A report of files costs a walk through all of them, and tells of no drops.
        let reports = parts.inputs.map(\.input).filter { !($0 is FileTailer) }
            .flatMap { $0.reports(timeoutMilliseconds: 0).values }
        let dropped = (reports + parts.past.values).reduce(filtered.reduce(0) { $0 &+ $1.notRedactable }) {
            $0 &+ $1.dropped
        }
        let held = filtered.reduce(0) { $0 &+ $1.filtered }
        let spooled = records &- min(records, acknowledged)
        let failure = history.withLock { $0.failure.map { "last reload failed: \($0); " } ?? "" }
        return "\(failure)existed \(records &+ held &+ dropped) = acknowledged \(acknowledged) + spooled \(spooled)"
            + " + filtered \(held) + dropped \(dropped); \(states)"
    }
}

extension StageMark {
    /// - Parameter owner: tells it from others of its name.
    fileprivate func stage(of owner: String = "") -> Watchdog.Stage {
        Watchdog.Stage(name: owner.isEmpty ? name : "\(name) (\(owner))", mark: value)
    }
}

extension StatusReport.Output {
    /// What stands in the way of its records, as far as it is known; nil when nothing does.
    var obstacle: String? {
        if state != OutputHealth.connected { return lastError }
        return partitions.firstResult { $0.trouble }
    }
}
