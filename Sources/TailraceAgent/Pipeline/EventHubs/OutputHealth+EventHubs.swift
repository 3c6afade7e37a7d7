internal import EventHubs
internal import Producing

extension OutputTrouble {
    init(_ error: EventHubsError) {
        state =
            switch error.code {
            case .unauthorized: "unauthorized; trying again"
            case .notFound: "event hub not found; trying again"
            case .connectFailed, .connectionLost: "not connected; trying again"
            case .serverBusy: "throttled by the service"
            case .notSupported: "not sending: the namespace does not support idempotent publishing"
            case .producerDisconnected: "not sending: another agent goes on with this one's producer"
            default: "failing; trying again"
            }
        self.error = "\(error)"
        isTakeover = error.code == .producerDisconnected
    }
}

extension OutputHealth {
    /// Notes how a send ended, and says what the lane is to do.
    func note(_ result: SendResult) -> SendOutcome {
        switch result {
        case .accepted:
            noteConnected()
            return .accepted
        case .failed(let error, let prospect):
            note(OutputTrouble(error))
            switch prospect {
            case .retriable(let after): return .retry(reason: "\(error)", after: after > .zero ? after : nil)
            case .unknown: return .unknown(reason: "\(error)")
            case .batchRefused: return .rejected(reason: "\(error)")
            case .blocked: return .retry(reason: "\(error)", after: Self.repairInterval)
            }
        }
    }
}
