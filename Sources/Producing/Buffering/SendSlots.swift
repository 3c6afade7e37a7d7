internal import NIOCore
import Synchronization

/// The transmissions that may be under way at once, over all partitions of a producer: first come, first served.
final class SendSlots: Sendable {
    private struct State {
        var free: Int
        var waiting = CircularBuffer<@Sendable () -> Void>()
    }
    private let state: Mutex<State>

    init(_ count: Int) {
        precondition(count > 0)
        state = Mutex(State(free: count))
    }

    /// True: the caller has a slot. False: `granted` is called when it has one.
    func acquire(_ granted: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return true
            }
            state.waiting.append(granted)
            return false
        }
    }

    func release() {
        let granted = state.withLock { state -> (@Sendable () -> Void)? in
            if let next = state.waiting.popFirst() { return next }
            state.free += 1
            return nil
        }
        granted?()
    }
}
