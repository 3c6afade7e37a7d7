import Synchronization

/// How the way to an output stands, for the status: told by every attempt.
package final class OutputHealth: Sendable {
    package struct State: Equatable, Sendable {
        package var text = OutputHealth.connecting
        package var lastError: String?
        /// Milliseconds since 1970.
        package var lastErrorTime: Int64?
        fileprivate var isTakenOver = false
    }
    private let state = Mutex(State())

    package init() {}

    /// What stands in the way for ever, unless somebody repairs it, is asked for again this often.
    static let repairInterval = Duration.seconds(5)

    package var current: State { state.withLock { $0 } }

    /// The state until the first attempt has ended, one way or the other.
    static let connecting = "connecting"
    /// The state in which nothing stands in the way.
    static let connected = "connected"

    func noteConnected() { state.withLock { if !$0.isTakenOver { $0.text = Self.connected } } }

    func note(_ trouble: OutputTrouble) {
        state.withLock {
            guard !$0.isTakenOver || trouble.isTakeover else { return }
            $0.isTakenOver = trouble.isTakeover
            $0.text = trouble.state
            $0.lastError = trouble.error
            $0.lastErrorTime = Timestamp.now()
        }
    }
}
