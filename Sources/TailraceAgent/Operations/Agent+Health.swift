import Glibc
internal import TailraceSpool

// What others ask over HTTP.
extension Agent {
    /// On an event loop: waits for no stage.
    func answer(_ path: MetricsServer.Path) -> MetricsServer.Answer {
        switch path {
        case .metrics: .init(body: report(timeoutMilliseconds: 0).metrics(ProcessUsage.current()))
        case .health: Self.verdict(health())
        case .ready: Self.verdict(readiness().obstacles)
        }
    }

    /// 200 and "ok", or 503 and what is wrong, one line for each.
    private static func verdict(_ troubles: [String]) -> MetricsServer.Answer {
        let text = troubles.isEmpty ? "ok\n" : troubles.joined(separator: "\n") + "\n"
        return .init(isHealthy: troubles.isEmpty, body: Array(text.utf8))
    }

    /// What keeps records from getting through.
    private func health() -> [String] {
        let report = report(timeoutMilliseconds: 0)
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        let now = Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        var troubles: [String] = []
        if let failure = report.spool.failure { troubles.append("spool: \(failure)") }
        troubles += report.blocked.map { "blocked: \($0)" }
        for output in report.outputs {
            let stuck = progress.withLock {
                $0.note(
                    output.name, acknowledged: output.acknowledged, backlog: output.backlog, now: now)
            }
            if let stuck {
                troubles.append("output \(output.name): no progress for \(stuck / 1000) s, \(output.state)")
            }
        }
        return troubles
    }

    private func readiness() -> Readiness {
        var readiness = Readiness(isStopping: orders.isStopping)
        let parts = parts.withLock { $0 }
        readiness.inputs = parts.inputs.map { .init(name: $0.description, stage: $0.stage) }
        readiness.outputs = parts.outputs.map { .init(name: $0.name, state: $0.runner.report().state) }
        readiness.spoolFailure = spool.statistics().trouble?.text
        readiness.blocked = blockages
        return readiness
    }
}
