package import EventHubs
internal import Producing
import Synchronization

/// How the way to an output stands, for the status: told by every attempt.
package final class OutputHealth: Sendable {
    package struct State: Equatable, Sendable {
        package var text = "connecting"
        package var lastError: String?
        /// Milliseconds since 1970.
        package var lastErrorTime: Int64?
        /// Another agent has taken over: that stays, whatever else goes well.
        var isTakenOver = false
    }
    private let state = Mutex(State())

    /// What stands in the way for ever, unless somebody repairs it, is asked for again this often.
    static let repairInterval = Duration.seconds(5)

    package init() {}

    package var current: State { state.withLock { $0 } }

    package func noteConnected() { state.withLock { if !$0.isTakenOver { $0.text = "connected" } } }

    package func note(_ error: EventHubsError) {
        let text =
            switch error.code {
            case .unauthorized: "unauthorized; trying again"
            case .notFound: "event hub not found; trying again"
            case .connectFailed, .connectionLost: "not connected; trying again"
            case .serverBusy: "throttled by the service"
            case .notSupported: "not sending: the namespace does not support idempotent publishing"
            case .producerDisconnected: "not sending: another agent goes on with this one's producer"
            default: "failing; trying again"
            }
        state.withLock {
            guard !$0.isTakenOver || error.code == .producerDisconnected else { return }
            $0.isTakenOver = error.code == .producerDisconnected
            $0.text = text
            $0.lastError = "\(error)"
            $0.lastErrorTime = Timestamp.now()
        }
    }

    /// Notes how a send ended, and says what the lane is to do.
    func note(_ result: SendResult) -> SendOutcome {
        switch result {
        case .accepted:
            noteConnected()
            return .accepted
        case .failed(let error, let prospect):
            note(error)
            switch prospect {
            case .retriable(let after): return .retry(reason: "\(error)", after: after > .zero ? after : nil)
            case .unknown: return .unknown(reason: "\(error)")
            case .batchRefused: return .rejected(reason: "\(error)")
            case .blocked: return .retry(reason: "\(error)", after: Self.repairInterval)
            }
        }
    }
}
