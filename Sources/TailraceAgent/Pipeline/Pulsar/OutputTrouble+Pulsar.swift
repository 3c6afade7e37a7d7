internal import Pulsar

extension OutputTrouble {
    init(_ error: PulsarError) {
        state =
            switch error.code {
            case .authenticationFailed, .authorizationFailed, .credentialsUnavailable: "unauthorized; trying again"
            case .topicNotFound: "topic not found; trying again"
            case .topicTerminated: "not sending: the topic was ended for good"
            case .producerBusy: "not sending: another producer has this one's name; trying again"
            case .quotaExceeded, .quotaExceededRefused: "held back: the topic's backlog quota is used up"
            case .connectFailed, .connectionLost, .serviceNotReady, .lookupFailed, .timeout:
                "not connected; trying again"
            default: "failing; trying again"
            }
        self.error = "\(error)"
    }
}
