import Synchronization
package import TailraceSpool

/// Releases what every output has acknowledged: a segment goes when the slowest output is past it (promise 3).
package final class SpoolFloors: Sendable {
    private let spool: Spool
    private struct State {
        var floors: [Int: UInt64] = [:]
        var next = 0
    }
    private let state = Mutex(State())

    /// - Parameter outputs: how many there are at first; each is known by its index.
    package init(_ spool: Spool, outputs: Int) {
        precondition(outputs > 0)
        self.spool = spool
        for _ in 0..<outputs { _ = add() }
    }

    /// One more output. Nothing is released from now on until it says that it does not need it.
    ///
    /// - Returns: its index, which no other has had, and the first id that is sure to be there for it.
    package func add() -> (output: Int, first: UInt64) {
        state.withLock { state in
            defer { state.next += 1 }
            state.floors[state.next] = 0
            return (state.next, spool.statistics().released)
        }
    }

    /// The output needs nothing any more.
    package func remove(output: Int) {
        state.withLock { state in
            state.floors[output] = nil
            release(state)
        }
    }

    /// Of an output that has left, nothing is heard.
    package func set(_ floor: UInt64, output: Int) {
        state.withLock { state in
            guard let before = state.floors[output], floor > before else { return }
            state.floors[output] = floor
            release(state)
        }
    }

    /// With the state locked, so that an output that comes finds what it was promised.
    private func release(_ state: State) {
        if let lowest = state.floors.values.min() { spool.release(below: lowest) }
    }
}
