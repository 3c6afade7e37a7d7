import Synchronization

/// The result of one message, and the task that waits for it.
final class SendReply: Sendable {
    private enum State {
        case open(CheckedContinuation<PulsarMessageID, any Error>?)
        case over(Result<PulsarMessageID, any Error>)
    }
    private let state = Mutex(State.open(nil))

    /// The first end counts.
    func end(_ result: Result<PulsarMessageID, any Error>) {
        let continuation = state.withLock { state -> CheckedContinuation<PulsarMessageID, any Error>? in
            guard case .open(let continuation) = state else { return nil }
            state = .over(result)
            return continuation
        }
        continuation?.resume(with: result)
    }

    /// Of the one task that waits; its cancellation ends the wait.
    func value() async throws -> PulsarMessageID {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result = state.withLock { state -> Result<PulsarMessageID, any Error>? in
                    if case .over(let result) = state { return result }
                    state = .open(continuation)
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            end(.failure(CancellationError()))
        }
    }
}
