internal import AMQP
package import NIOCore
internal import Transports

extension EventHubConnection {
    /// What the service tells about the hub; fails with `EventHubsError`.
    package func eventHubProperties() -> EventLoopFuture<EventHubProperties> {
        read("com.microsoft:eventhub", partitionID: nil, "asking for the properties of \(endpoint.hub)")
            .flatMapThrowing { try EventHubProperties($0) }
    }

    /// What the service tells about a partition; fails with `EventHubsError`.
    package func partitionProperties(_ id: String) -> EventLoopFuture<PartitionProperties> {
        read("com.microsoft:partition", partitionID: id, "asking for the properties of \(place(id))")
            .flatMapThrowing { try PartitionProperties($0) }
    }

    private func read(_ type: String, partitionID: String?, _ doing: String) -> EventLoopFuture<AMQPMessage> {
        eventLoop.flatSubmit {
            let start = self.eventLoop.now
            let limit = TimeAmount(self.options.requestTimeout)
            return self.management().and(self.acquireToken(limit: limit)).flatMap { link, token in
                var message = AMQPMessage()
                var properties = AMQPMap([.init(.string("name"), .string(self.endpoint.hub))])
                if let partitionID { properties[string: "partition"] = .string(partitionID) }
                properties[string: "security_token"] = .string(token.value)
                properties[string: "operation"] = .string("READ")
                properties[string: "type"] = .string(type)
                message.applicationProperties = properties
                let left = max(.milliseconds(1), limit - (self.eventLoop.now - start))
                return link.request(message, deadline: left, doing)
            }
        }
    }

    /// Bytes that a message to this partition (or to the hub) may have; attaches the link if there is none.
    package func maximumMessageSize(partitionID: String?) -> EventLoopFuture<Int> {
        eventLoop.flatSubmit {
            self.sender(partitionID).map { sender in
                let limit = Int(clamping: sender.maximumMessageSize)
                return limit == 0 ? EventHubsName.fallbackMessageSize : limit
            }
        }
    }
}
