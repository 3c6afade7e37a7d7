internal import NIOCore
internal import Pulsar

extension BrokerConnection {
    func subscribe(_ command: SubscribeCommand) {
        guard let topic = topic(command.topic, command.requestID) else { return }
        let subscription: Subscription
        if command.durable != false, let known = topic.subscriptions[command.subscription] {
            subscription = known
        } else {
            subscription = Subscription(type: command.subType, topic: topic, first: Self.first(command, topic))
            topic.subscriptions[command.subscription] = subscription
        }
        let consumer = BrokerConsumer(id: command.consumerID, subscription: subscription) { [weak self] frame in
            self?.send(frame)
        }
        guard subscription.enter(consumer) else {
            return refuse(command.requestID, .consumerBusy, "Exclusive consumer is already connected")
        }
        consumers[command.consumerID] = consumer
        send(.success(SuccessCommand(requestID: command.requestID)))
    }

    /// Readers say where they begin: the earliest is ledger -1, the latest the highest number; a message of a batch has the
    /// client pass over those before it.
    private static func first(_ command: SubscribeCommand, _ topic: Topic) -> Int {
        guard let start = command.startMessageID else {
            return command.initialPosition == .earliest ? 0 : topic.log.count
        }
        if start.ledgerID < 0 { return 0 }
        if start.ledgerID == .max { return topic.log.count }
        let entry = min(Int(clamping: start.entryID), topic.log.count - 1)
        return max(0, start.batchIndex ?? -1 >= 0 ? entry : entry + 1)
    }

    func acknowledge(_ command: AckCommand) {
        if let subscription = consumers[command.consumerID]?.subscription {
            // A part of a batch is no entry yet.
            for position in command.messageID where position.ackSet.isEmpty {
                subscription.acknowledge(Int(clamping: position.entryID), isCumulative: command.ackType == .cumulative)
            }
        }
        guard let requestID = command.requestID else { return }
        send(.ackResponse(AckResponseCommand(consumerID: command.consumerID, requestID: requestID)))
    }

    func leave(_ consumerID: UInt64, forEver: Bool = false) {
        guard let consumer = consumers.removeValue(forKey: consumerID) else { return }
        consumer.subscription.leave(consumer)
        if forEver { broker.forget(consumer.subscription) }
    }

    func answer(_ command: GetLastMessageIDCommand) {
        guard let topic = consumers[command.consumerID]?.subscription.topic else {
            return refuse(command.requestID, .metadataError, "there is no such consumer")
        }
        send(
            .getLastMessageIDResponse(
                GetLastMessageIDResponseCommand(
                    lastMessageID: topic.position(topic.log.count - 1), requestID: command.requestID)))
    }
}
