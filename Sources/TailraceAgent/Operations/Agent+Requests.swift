internal import Logging
internal import TailraceDelivery
internal import TailraceInputs
internal import TailraceSpool

/// What comes in by the control socket.
extension Agent {
    /// What moves a position waits for the spool at most this long.
    private static let flushMilliseconds = 5_000

    func answer(_ request: ControlServer.Request) -> [UInt8] {
        switch ControlRequest(line: request.line) {
        case .status(isJSON: true): return report().json
        case .status(isJSON: false): return Array(report().text.utf8)
        case .explain(let path, let isJSON):
            let explanation = explain(path)
            return Self.ok(isJSON ? explanation.json : Array(explanation.text.utf8))
        case .positions(let isJSON):
            let positions = PositionsReport(spool.positions())
            return Self.ok(isJSON ? positions.json : Array(positions.text.utf8))
        case .setPosition(let path, let place):
            return change("position set by request", request) { $0.setPosition(path, to: place) }
        case .forgetPosition(let path):
            return change("position forgotten by request", request) { $0.forgetPosition(path) }
        case .settle(let action, let output, let ranges): return settle(action, output, ranges, request)
        case nil: return Self.failed("unknown request; the command and the agent may be of different versions")
        }
    }

    /// Replays or drops a piece of what was asked for, waits until that is durable, and leaves a trace of who asked for it.
    private func settle(
        _ action: DeadLetterAction, _ output: String, _ ranges: [Range<UInt64>], _ request: ControlServer.Request
    ) -> [UInt8] {
        guard let area = deadLetters.first(where: { $0.output == output }) else {
            let directory = configuration.places.deadLetters(output: output)
            return Self.failed("the agent has no output \(output); when it is gone for good, so may be \(directory)")
        }
        do throws(DeadLetterError) {
            let progress = try area.settle(action, ranges)
            if progress.records > 0 {
                logger.notice(
                    action == .replay ? "dead letters replayed by request" : "dead letters dropped by request",
                    metadata: [
                        "output": "\(output)", "records": "\(progress.records)", "left": "\(progress.left)",
                        "user": "\(request.user.map(String.init) ?? "unknown")",
                    ])
            }
            return Self.ok(Array(SettlingReply.line(progress).utf8))
        } catch {
            return Self.failed("\(error)")
        }
    }

    private static func ok(_ text: [UInt8]) -> [UInt8] { Array("ok\n".utf8) + text }
    private static func failed(_ text: String) -> [UInt8] { Array("failed\n\(text)\n".utf8) }

    private var tailer: FileTailer? { parts.withLock { $0.tailer }?.input as? FileTailer }

    private func explain(_ path: String) -> PathExplanation {
        let answer = tailer.map { $0.explain(path) } ?? .some(nil)
        return PathExplanation(
            path, inputs: configuration.inputs, facts: PathFacts(path: path), known: answer ?? nil,
            positions: PositionsReport(spool.positions()).files, state: answer == nil ? .heldBack : .running)
    }

    /// Has a position moved, waits until that is durable, and leaves a trace of who asked for it.
    private func change(
        _ message: Logger.Message, _ request: ControlServer.Request,
        _ body: (FileTailer) -> Result<PositionChange, PositionRefusal>?
    ) -> [UInt8] {
        guard let tailer else { return Self.failed("there is no file input") }
        switch body(tailer) {
        case nil:
            return Self.failed("the file inputs are held back by the spool, nothing was changed: see tailrace status")
        case .failure(let refusal)?: return Self.failed(refusal.reason)
        case .success(let change)?:
            let isDurable =
                tailer.handOverPositions(timeoutMilliseconds: Self.flushMilliseconds)
                && spool.flush(timeoutMilliseconds: Self.flushMilliseconds)
            let to = change.to.map(String.init) ?? "none"
            logger.notice(
                message,
                metadata: [
                    "path": "\(change.path)", "source": "\(change.source)", "from": "\(change.from)", "to": "\(to)",
                    "user": "\(request.user.map(String.init) ?? "unknown")", "durable": "\(isDurable)",
                ])
            guard isDurable else {
                return Self.failed(
                    "\(change.path): moved from \(change.from) to \(to), but the spool has not stored that yet; it is lost"
                        + " when the agent ends before: see tailrace status")
            }
            return Self.ok(Array("\(change.text)\n".utf8))
        }
    }
}

extension PositionChange {
    fileprivate var text: String {
        guard let to else { return "\(path): forgotten, was read up to offset \(from)" }
        let again = isReadAgain ? "; \(from - to) bytes are read again" : ""
        return "\(path): moved from offset \(from) to \(to)\(again)"
    }
}

/// What can be told while no agent runs.
package enum StoppedAgent {
    package static func positions(_ configuration: AgentConfiguration) throws -> PositionsReport {
        do {
            return PositionsReport(try Spool.storedPositions(directory: configuration.places.spool))
        } catch SpoolError.file(let error) where error.isMissing {
            // It never ran.
            return PositionsReport([:])
        }
    }

    package static func explain(_ path: String, _ configuration: AgentConfiguration) throws -> PathExplanation {
        PathExplanation(
            path, inputs: configuration.inputs, facts: PathFacts(path: path), known: nil,
            positions: try positions(configuration).files, state: .stopped)
    }
}
