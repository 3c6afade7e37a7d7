/// The statuses of the last seconds, and what follows from them.
package struct TopHistory: Sendable {
    /// Rates are over so many seconds.
    package static let span: Int64 = 10

    /// How the agent stood when it was asked, by the nanoseconds of a clock that never goes back.
    private struct Sample {
        var instant: Int64
        var report: StatusReport
    }
    private var samples: [Sample] = []

    package init() {}

    package var latest: StatusReport? { samples.last?.report }

    package mutating func add(_ report: StatusReport, instant: Int64) {
        // An agent that was started anew counts anew.
        if let latest, latest.started != report.started { samples = [] }
        samples.append(Sample(instant: instant, report: report))
        while samples.count > 2, instant - samples[1].instant >= Self.span * 1_000_000_000 {
            samples.removeFirst()
        }
    }

    /// What was counted per second; nil while there is only one sample, or none of it in the first.
    package func rate(_ count: (StatusReport) -> UInt64?) -> Double? {
        guard let first = samples.first, let last = samples.last, last.instant > first.instant,
            let before = count(first.report), let after = count(last.report)
        else { return nil }
        return Double(after > before ? after - before : 0) / (Double(last.instant - first.instant) / 1e9)
    }

    /// Where a backlog leads as things go.
    package enum Forecast: Equatable, Sendable {
        case empty(seconds: Double)
        case full(seconds: Double)
        /// It neither grows nor shrinks to speak of.
        case steady
    }

    /// Of an output; nil while there is no backlog, or nothing to reckon from.
    package func forecast(_ output: Int) -> Forecast? {
        guard let latest, latest.outputs.indices.contains(output), latest.outputs[output].backlog > 0,
            let into = rate({ $0.outputs.indices.contains(output) ? $0.outputs[output].spooled : nil }),
            let out = rate({ $0.outputs.indices.contains(output) ? $0.outputs[output].settled : nil })
        else { return nil }
        let shrinks = out - into
        if shrinks > 0.01 * max(1, out) { return .empty(seconds: Double(latest.outputs[output].backlog) / shrinks) }
        let existed = latest.inputs.reduce(0) { $0 &+ $1.existed }
        let bytes = latest.inputs.reduce(0) { $0 &+ $1.bytes }
        guard -shrinks > 0.01 * max(1, into), existed > 0, latest.spool.maximumBytes > latest.spool.bytes else {
            return .steady
        }
        // A record's share of a frame comes on top of its bytes.
        let record = Double(bytes) / Double(existed) * 1.1 + 16
        return .full(seconds: Double(latest.spool.maximumBytes - latest.spool.bytes) / (-shrinks * record))
    }
}
