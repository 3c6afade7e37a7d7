internal import TailraceSpool

/// What the agent's supervisor is to do next, told by any thread. Nothing is lost, and what is told twice is done once.
final class AgentOrders: @unchecked Sendable {
    enum Order {
        case stop
        case reload
        /// Something ended by itself.
        case fail(any Error)
    }

    private let monitor = Monitor()
    private let told: Monitor.Condition
    // With the monitor locked.
    private var stops = false
    private var reloads = false
    private var failure: (any Error)?

    init() { told = Monitor.Condition(monitor) }

    func stop() { change { $0.stops = true } }
    func reload() { change { $0.reloads = true } }
    /// The first counts.
    func fail(_ error: any Error) { change { $0.failure = $0.failure ?? error } }

    /// Nothing that takes long is to be gone on with.
    var isStopping: Bool { monitor.withLock { stops || failure != nil } }

    private func change(_ body: (AgentOrders) -> Void) {
        monitor.withLock {
            body(self)
            told.signal()
        }
    }

    /// Waits for the next one: a stop before all else.
    func next() -> Order {
        monitor.withLock {
            while true {
                if stops { return .stop }
                if let failure { return .fail(failure) }
                if reloads {
                    reloads = false
                    return .reload
                }
                told.wait()
            }
        }
    }
}
