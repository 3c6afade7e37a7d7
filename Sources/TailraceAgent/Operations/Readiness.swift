/// Whether the agent takes in what comes and knows how its outputs stand: what `/ready` answers. No IO.
///
/// It is ready once every input has got through its first piece of work, the spool can store, and every output has either
/// connected or knows why it cannot, so that its records wait: a service that is away makes no agent less ready to take
/// records. It is no more ready when a part of it is blocked, and from the first signal to stop on.
struct Readiness: Equatable, Sendable {
    enum Stage: Equatable, Sendable {
        /// Before its first piece of work is done.
        case begins
        case runs
        case ended
    }

    struct Input: Equatable, Sendable {
        var name: String
        var stage: Stage
    }

    struct Output: Equatable, Sendable {
        var name: String
        /// As the status has it.
        var state: String
    }

    var isStopping = false
    var inputs: [Input] = []
    var outputs: [Output] = []
    /// Why the spool stores nothing.
    var spoolFailure: String?
    var blocked: [String] = []

    /// What is in the way, one line for each; empty when it is ready.
    var obstacles: [String] {
        var obstacles = isStopping ? ["the agent stops"] : []
        for input in inputs {
            switch input.stage {
            case .begins: obstacles.append("\(input.name): not begun yet")
            case .ended: obstacles.append("\(input.name): ended")
            case .runs: break
            }
        }
        for output in outputs where output.state == OutputHealth.connecting {
            obstacles.append("output \(output.name): \(output.state)")
        }
        if let spoolFailure { obstacles.append("spool: \(spoolFailure)") }
        return obstacles + blocked.map { "blocked: \($0)" }
    }
}
