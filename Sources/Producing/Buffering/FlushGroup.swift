import Synchronization

/// A flush over several partitions: ends once, when all of them are done, or before.
final class FlushGroup: Sendable {
    enum End: Sendable { case done, timedOut, cancelled }

    private struct State {
        var remaining: Int
        var end: End?
        var continuation: CheckedContinuation<End, Never>?
    }
    private let state: Mutex<State>

    init(partitions: Int) { state = Mutex(State(remaining: partitions, end: partitions == 0 ? .done : nil)) }

    func partitionDone() {
        let isLast = state.withLock { state in
            state.remaining -= 1
            return state.remaining == 0
        }
        if isLast { finish(.done) }
    }

    func finish(_ end: End) {
        let continuation = state.withLock { state -> CheckedContinuation<End, Never>? in
            guard state.end == nil else { return nil }
            state.end = end
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume(returning: end)
    }

    func wait() async -> End {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let end = state.withLock { state -> End? in
                    if state.end == nil { state.continuation = continuation }
                    return state.end
                }
                if let end { continuation.resume(returning: end) }
            }
        } onCancel: {
            finish(.cancelled)
        }
    }
}
