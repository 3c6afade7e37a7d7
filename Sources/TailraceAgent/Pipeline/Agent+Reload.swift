import CTailrace
internal import Logging
import Synchronization
internal import TailraceInputs

// From one configuration to another, while it runs. On the supervisor's thread.
extension Agent {
    /// The first phase takes no longer than this, in milliseconds: somebody may have to write a key into a pipe.
    private static let preparationLimit = 30_000

    /// Two phases. What can be wrong with a configuration shows in the first, which touches nothing that runs; the second
    /// carries out the plan.
    func reload() {
        guard let result = prepare() else { return }
        switch result {
        case .success(let preparation):
            let (reload, left) = (Reload(self, preparation), preparation.plan.refused.map(\.description))
            for text in left { logger.warning("\(text)") }
            for warning in preparation.configuration.warnings { logger.warning("\(warning)") }
            let more = reload.run()
            history.withLock { $0.noteSuccess(at: Timestamp.now(), needsRestart: left + more) }
            logger.info("configuration loaded", metadata: preparation.plan.metadata)
            if !preparation.plan.isEmpty { tailrace_trim_memory() }
        case .failure(let error):
            let lines =
                (error as? ConfigurationError)?.problems.map(\.description)
                ?? ["\(configuration.file): \(error)"]
            for line in lines { logger.error("\(line)") }
            logger.error("the configuration was not loaded; the one before it stays in force")
            history.withLock { $0.noteFailure(lines.joined(separator: "\n"), at: Timestamp.now()) }
        }
    }

    /// Nil when a stop came first.
    private func prepare() -> Result<Preparation, any Error>? {
        // On a thread of its own: files may be on a disk that does not answer.
        let (life, parts) = (Life(), parts.withLock { $0 })
        let found = Handover<Preparation>()
        life.start("reload") {
            let result = Result { try Preparation(self, parts) }
            if let late = found.put(result) { late.discard(self) }
        }
        var waited = 0
        while !life.hasEnded(withinMilliseconds: 50) {
            waited += 50
            if orders.isStopping || waited >= Self.preparationLimit {
                let result = found.take()
                if orders.isStopping {
                    if case .success(let preparation)? = result { preparation.discard(self) }
                    return nil
                }
                return result
                    ?? .failure(
                        AgentError(
                            "it was not read in \(Self.preparationLimit / 1000) s: a file that it names, or the disk, does"
                                + " not answer"))
            }
        }
        return found.take()
    }
}

/// What one thread makes for another, which may have gone on without it.
private final class Handover<Value: Sendable>: Sendable {
    private struct State {
        var result: Result<Value, any Error>?
        var isTaken = false
    }
    private let state = Mutex(State())

    /// What nobody waits for any more comes back.
    func put(_ result: Result<Value, any Error>) -> Value? {
        state.withLock { state in
            guard state.isTaken else {
                state.result = result
                return nil
            }
            return try? result.get()
        }
    }

    func take() -> Result<Value, any Error>? {
        state.withLock { state in
            state.isTaken = true
            return state.result
        }
    }
}

extension ReloadPlan {
    fileprivate var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = [:]
        func add(_ key: String, _ names: [String]) {
            if !names.isEmpty { metadata[key] = "\(names.joined(separator: ", "))" }
        }
        add("inputs begun", inputs.begun + files.begun)
        add("inputs changed", inputs.replaced + files.replaced)
        add("inputs removed", inputs.stopped + files.stopped)
        add("outputs begun", outputs.begun)
        add("outputs changed", outputs.replaced)
        add("outputs removed", outputs.stopped)
        return metadata
    }
}
