internal import NIOCore
internal import Pulsar

extension BrokerConnection {
    func answer(_ command: PartitionedMetadataCommand) {
        send(
            .partitionedMetadataResponse(
                PartitionedMetadataResponseCommand(
                    partitions: UInt32(broker.partitions(of: command.topic)), requestID: command.requestID,
                    response: .success)))
    }

    func answer(_ command: LookupCommand) {
        let owner = broker.owner(of: command.topic)
        var reply = LookupResponseCommand(requestID: command.requestID)
        if role == .proxy {
            reply.response = .connect
            reply.authoritative = true
            reply.brokerServiceURL = "pulsar://\(PulsarBroker.behindProxy)"
            reply.brokerServiceURLTLS = "pulsar+ssl://\(PulsarBroker.behindProxy)"
            reply.proxyThroughServiceURL = true
        } else {
            reply.response = role == .broker(owner) ? .connect : .redirect
            reply.authoritative = true
            reply.brokerServiceURL = broker.url(of: .broker(owner), tls: false)
            reply.brokerServiceURLTLS = broker.url(of: .broker(owner), tls: true)
            reply.proxyThroughServiceURL = false
        }
        send(.lookupResponse(reply))
    }

    /// The topic, when a producer or consumer may open it here.
    func topic(_ name: String, _ requestID: UInt64) -> Topic? {
        guard role == .broker(broker.owner(of: name)) || role == .proxy && isProxied else {
            refuse(requestID, .serviceNotReady, "Namespace bundle is not owned by this broker: ask for its owner")
            return nil
        }
        guard broker.partitions(of: name) == 0 else {
            refuse(requestID, .notAllowedError, "the topic has partitions: open these")
            return nil
        }
        do {
            return try broker.topic(name)
        } catch {
            refuse(requestID, .metadataError, "\(error)")
            return nil
        }
    }
}
