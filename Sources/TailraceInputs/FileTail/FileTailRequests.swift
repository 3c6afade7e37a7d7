import Glibc
import Synchronization

/// What other threads ask of the tailer's: done between two rounds of reading, each once, or not at all.
final class FileTailRequests: Sendable {
    private struct Request {
        var number: UInt64
        /// It moves positions: only done where no file is being read.
        var changes: Bool
        var body: @Sendable (FileTailEngine) -> Void
    }
    private struct State {
        var requests: [Request] = []
        var next: UInt64 = 0
    }
    private let state = Mutex(State())

    /// The answer; nil when the tailer's thread did not come to it in time, and then it never will.
    func ask<Answer: Sendable>(
        changes: Bool, timeoutMilliseconds: Int, wake: () -> Void,
        _ body: @escaping @Sendable (FileTailEngine) -> Answer
    ) -> Answer? {
        let answer = Box<Answer>()
        let number = state.withLock { state in
            state.next += 1
            state.requests.append(Request(number: state.next, changes: changes) { answer.set(body($0)) })
            return state.next
        }
        wake()
        var left = timeoutMilliseconds
        while true {
            if let value = answer.value { return value }
            if left <= 0, withdraw(number) { return nil }
            usleep(2_000)
            left -= 2
        }
    }

    /// It is done in its turn, however long that takes, where no file is being read.
    func post(wake: () -> Void, _ body: @escaping @Sendable (FileTailEngine) -> Void) {
        state.withLock { state in
            state.next += 1
            state.requests.append(Request(number: state.next, changes: true, body: body))
        }
        wake()
    }

    /// False when it was begun: then its answer comes.
    private func withdraw(_ number: UInt64) -> Bool {
        state.withLock { state in
            guard let index = state.requests.firstIndex(where: { $0.number == number }) else { return false }
            state.requests.remove(at: index)
            return true
        }
    }

    /// On the tailer's thread.
    ///
    /// - Parameter mayChange: false while a file is being read: then positions stay where they are.
    func serve(_ engine: FileTailEngine, mayChange: Bool) {
        while let request = next(mayChange: mayChange) { request.body(engine) }
    }

    private func next(mayChange: Bool) -> Request? {
        state.withLock { state in
            guard let index = state.requests.firstIndex(where: { mayChange || !$0.changes }) else { return nil }
            return state.requests.remove(at: index)
        }
    }

    private final class Box<Value: Sendable>: Sendable {
        private let content = Mutex<Value?>(nil)
        var value: Value? { content.withLock { $0 } }
        func set(_ value: Value) { content.withLock { $0 = value } }
    }
}
