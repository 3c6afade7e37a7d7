package import NIOCore

extension EventLoop {
    /// As `makeFutureWithTask`, with a task that runs on `executor`, and so do those that it waits for; nil: anywhere.
    package func makeFuture<Value: Sendable>(
        on executor: (any TaskExecutor)?, _ body: @escaping @Sendable () async throws -> Value
    ) -> EventLoopFuture<Value> {
        let promise = makePromise(of: Value.self)
        Task(executorPreference: executor) {
            do {
                promise.succeed(try await body())
            } catch {
                promise.fail(error)
            }
        }
        return promise.futureResult
    }

    /// As `Task.sleep`, by this event loop's clock.
    package func sleep(for duration: Duration) async throws {
        let timer = scheduleTask(in: TimeAmount(duration)) {}
        try await withTaskCancellationHandler {
            try await timer.futureResult.get()
        } onCancel: {
            timer.cancel()
        }
    }
}
