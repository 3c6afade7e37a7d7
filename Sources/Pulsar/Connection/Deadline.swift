internal import NIOCore

/// Waits that end.
enum Deadline {
    /// What `work` comes to, or `late` when it takes longer than `limit`; then it is cancelled, and left to itself if it
    /// does not heed that.
    ///
    /// - Parameter executor: where that happens; nil: anywhere.
    static func limit<Value: Sendable>(
        _ limit: TimeAmount, on eventLoop: any EventLoop, executor: (any TaskExecutor)?,
        late: @escaping @Sendable () -> PulsarError,
        work: @escaping @Sendable () async throws -> Value
    ) -> EventLoopFuture<Value> {
        let promise = eventLoop.makePromise(of: Value.self)
        let task = Task(executorPreference: executor) { try await work() }
        let timer = eventLoop.scheduleTask(in: limit) {
            task.cancel()
            promise.fail(late())
        }
        Task(executorPreference: executor) {
            let result = await task.result
            eventLoop.execute {
                timer.cancel()
                promise.completeWith(result)
            }
        }
        return promise.futureResult
    }

    /// What `future` comes to, or `late` when that is not before `deadline`.
    static func get<Value: Sendable>(
        _ future: EventLoopFuture<Value>, until deadline: NIODeadline, late: @escaping @Sendable () -> PulsarError
    ) async throws -> Value {
        let promise = future.eventLoop.makePromise(of: Value.self)
        let timer = future.eventLoop.scheduleTask(deadline: deadline) { promise.fail(late()) }
        future.whenComplete { result in
            timer.cancel()
            promise.completeWith(result)
        }
        return try await promise.futureResult.get()
    }
}
