internal import NIOCore
import Synchronization

/// The results of a buffered client, from the first time that `results` was asked for until the client is closed.
///
/// Nothing is kept for those who never ask. Whoever asks should read: at most `BufferingOptions.resultBufferLength` events
/// wait here, then the oldest results go, and `droppedEventCount` tells of how many events. Nothing ever waits for a reader
/// (callbacks are what slows sending down). Several readers share the results: each goes to one of them.
public struct BufferedResults: AsyncSequence, Sendable {
    public typealias Element = BufferedSendResult
    public typealias Failure = Never

    let queue: ResultQueue

    /// Events whose results were dropped because nobody read them in time.
    public var droppedEventCount: Int { queue.dropped }

    public func makeAsyncIterator() -> Iterator { Iterator(queue: queue) }

    public struct Iterator: AsyncIteratorProtocol {
        let queue: ResultQueue

        /// The next result; nil when the client is closed and all have been read, or the task is cancelled.
        public func next() async -> BufferedSendResult? { await queue.next() }
    }
}

/// Results on their way to who reads them.
final class ResultQueue: Sendable {
    private struct State {
        var isWanted = false
        var isFinished = false
        var results = CircularBuffer<BufferedSendResult>()
        var events = 0
        var dropped = 0
        var readers: [(id: UInt64, continuation: CheckedContinuation<BufferedSendResult?, Never>)] = []
        var nextID: UInt64 = 0
    }
    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var dropped: Int { state.withLock { $0.dropped } }

    /// From now on results are kept.
    func want() { state.withLock { $0.isWanted = true } }

    var isWanted: Bool { state.withLock { $0.isWanted } }

    func append(_ result: @autoclosure () -> BufferedSendResult) {
        let reader = state.withLock { state -> (CheckedContinuation<BufferedSendResult?, Never>, BufferedSendResult)? in
            guard state.isWanted, !state.isFinished else { return nil }
            let result = result()
            if !state.readers.isEmpty { return (state.readers.removeFirst().continuation, result) }
            state.results.append(result)
            state.events += result.events.count
            while state.events > limit, state.results.count > 1 {
                let count = state.results.removeFirst().events.count
                state.events -= count
                state.dropped += count
            }
            return nil
        }
        if let (continuation, result) = reader { continuation.resume(returning: result) }
    }

    func finish() {
        let readers = state.withLock { state in
            state.isFinished = true
            defer { state.readers = [] }
            return state.readers
        }
        for reader in readers { reader.continuation.resume(returning: nil) }
    }

    func next() async -> BufferedSendResult? {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let result = state.withLock { state -> BufferedSendResult?? in
                    if let first = state.results.popFirst() {
                        state.events -= first.events.count
                        return .some(first)
                    }
                    // Cancelled before it waited: `cancel` found nobody.
                    if state.isFinished || Task.isCancelled { return .some(nil) }
                    state.readers.append((id, continuation))
                    return nil
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func cancel(_ id: UInt64) {
        let continuation = state.withLock { state -> CheckedContinuation<BufferedSendResult?, Never>? in
            guard let index = state.readers.firstIndex(where: { $0.id == id }) else { return nil }
            return state.readers.remove(at: index).continuation
        }
        continuation?.resume(returning: nil)
    }
}
