import Measuring

/// What became of a turn's datagrams.
struct Outcome {
    /// A second, as sent.
    var rate: Double
    var sent: Int
    /// As the kernel counts the socket's.
    var lostInKernel: Int
    /// Processor seconds of a million that arrived.
    var processor: Double
    /// Resident, in MiB.
    var peak: Double
    /// As the agent counts; nil for another program, which counts nothing.
    var agent: AgentCounts?

    var lost: Int { max(lostInKernel, agent?.lost ?? 0) }
}

/// The agent's account of its input.
struct AgentCounts {
    /// Messages that became records.
    var received = 0
    /// By reason.
    var drops: [(reason: String, records: Int)] = []

    var lost: Int { drops.reduce(0) { $0 + $1.records } }

    /// From `tailrace status --json`; nil when the agent does not answer.
    init?(status: String) {
        guard let existed = number("existed", in: status), let dropped = number("dropped", in: status),
            let notices = number("notices", in: status)
        else { return nil }
        received = existed - dropped - notices
        // "drops":[{"reason":"…","records":N},…],"filters":…
        var words = status.split(separator: "\"", omittingEmptySubsequences: false)[...]
        while let word = words.popFirst(), word != "drops" {}
        while let word = words.popFirst(), word != "filters" {
            guard word == "reason", words.count > 4 else { continue }
            let records = words[words.startIndex + 4].filter(\.isNumber)
            drops.append((String(words[words.startIndex + 1]), Int(records) ?? 0))
        }
    }
}
