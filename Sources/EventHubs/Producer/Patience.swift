internal import NIOCore
import Synchronization

/// Waiting for what ends by a callback: no longer than until a deadline, and no longer than the waiting task lives.
enum Patience {
    /// - Parameters:
    ///   - deadline: nil: as long as it takes.
    ///   - expired: thrown when the deadline comes first.
    ///   - start: begins what is waited for, and tells its end; ends that come too late are ignored.
    /// - Throws: what was told, `expired`, or `CancellationError`.
    static func wait<Value: Sendable>(
        until deadline: ContinuousClock.Instant?, on eventLoop: any EventLoop,
        expired: @autoclosure @escaping @Sendable () -> EventHubsError,
        _ start: (@escaping @Sendable (Result<Value, any Error>) -> Void) -> Void
    ) async throws -> Value {
        let reply = Reply<Value>()
        var timer: Scheduled<Void>?
        if let deadline {
            timer = eventLoop.scheduleTask(in: TimeAmount(max(deadline - .now, .zero))) {
                reply.end(.failure(expired()))
            }
        }
        defer { timer?.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                reply.wait(continuation)
                // Not begun for a task that is cancelled already.
                if !reply.isOver { start { reply.end($0) } }
            }
        } onCancel: {
            reply.end(.failure(CancellationError()))
        }
    }

    static func wait<Value: Sendable>(
        until deadline: ContinuousClock.Instant?, expired: @autoclosure @escaping @Sendable () -> EventHubsError,
        for future: EventLoopFuture<Value>
    ) async throws -> Value {
        try await wait(until: deadline, on: future.eventLoop, expired: expired()) { future.whenComplete($0) }
    }

    /// The first end counts.
    private final class Reply<Value: Sendable>: Sendable {
        private enum State {
            case open(CheckedContinuation<Value, any Error>?)
            case over(Result<Value, any Error>)
        }
        private let state = Mutex(State.open(nil))

        var isOver: Bool { state.withLock { if case .over = $0 { true } else { false } } }

        func wait(_ continuation: CheckedContinuation<Value, any Error>) {
            let result = state.withLock { state -> Result<Value, any Error>? in
                if case .over(let result) = state { return result }
                state = .open(continuation)
                return nil
            }
            if let result { continuation.resume(with: result) }
        }

        func end(_ result: Result<Value, any Error>) {
            let continuation = state.withLock { state -> CheckedContinuation<Value, any Error>? in
                guard case .open(let continuation) = state else { return nil }
                state = .over(result)
                return continuation
            }
            continuation?.resume(with: result)
        }
    }
}
