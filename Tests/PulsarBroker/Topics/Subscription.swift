internal import Pulsar

/// A subscription, kept in memory only: enough for a client to read back what was stored. Lives on the broker's event
/// loop.
final class Subscription {
    let type: SubscriptionType
    let topic: Topic
    private(set) var consumers: [BrokerConsumer] = []
    /// The next entry that nobody has got.
    private var next: Int
    /// Entries without an acknowledgement, and who has them.
    private var unacknowledged: [Int: ObjectIdentifier] = [:]
    private var again: [Int] = []
    private var turn = 0

    init(type: SubscriptionType, topic: Topic, first: Int) {
        self.type = type
        self.topic = topic
        next = first
    }

    /// False: another consumer has it for itself.
    func enter(_ consumer: BrokerConsumer) -> Bool {
        guard type != .exclusive || consumers.isEmpty else { return false }
        consumers.append(consumer)
        return true
    }

    func leave(_ consumer: BrokerConsumer) {
        consumers.removeAll { $0 === consumer }
        giveAgain { $0 == ObjectIdentifier(consumer) }
    }

    /// Those that the consumer has, or some of them.
    func redeliver(_ entries: [Int], to consumer: BrokerConsumer) {
        let wanted = Set(entries)
        giveAgain(where: { wanted.isEmpty || wanted.contains($0) }) { $0 == ObjectIdentifier(consumer) }
    }

    private func giveAgain(where isWanted: (Int) -> Bool = { _ in true }, from isOwner: (ObjectIdentifier) -> Bool) {
        let entries = unacknowledged.filter { isWanted($0.key) && isOwner($0.value) }.keys
        for entry in entries { unacknowledged[entry] = nil }
        again = (again + entries).sorted()
        dispatch()
    }

    func acknowledge(_ entry: Int, isCumulative: Bool) {
        guard isCumulative else {
            unacknowledged[entry] = nil
            return
        }
        unacknowledged = unacknowledged.filter { $0.key > entry }
    }

    func dispatch() {
        while !again.isEmpty || next < topic.log.count {
            let index = again.first ?? next
            guard let entry = try? topic.log.entry(index), let metadata = try? entry.metadata(),
                let consumer = consumer(for: metadata)
            else { return }
            if again.isEmpty { next += 1 } else { again.removeFirst() }
            unacknowledged[index] = ObjectIdentifier(consumer)
            consumer.deliver(entry, topic.position(index), messages: Int(metadata.numMessagesInBatch ?? 1))
        }
    }

    private func consumer(for metadata: MessageMetadata) -> BrokerConsumer? {
        switch type {
        case .shared:
            for _ in consumers {
                turn += 1
                let consumer = consumers[turn % consumers.count]
                if consumer.permits > 0 { return consumer }
            }
            return nil
        case .keyShared:
            let key = metadata.orderingKey ?? Array((metadata.partitionKey ?? "").utf8)
            let hash = key.reduce(0) { ($0 * 31 + Int($1)) & 0xFFFF }
            return consumers.isEmpty ? nil : consumers[hash % consumers.count].permitted
        default: return consumers.first?.permitted
        }
    }
}

/// One consumer of one connection.
final class BrokerConsumer {
    let id: UInt64
    let subscription: Subscription
    private let send: (Frame) -> Void
    /// Messages that it will still take.
    private(set) var permits = 0

    init(id: UInt64, subscription: Subscription, send: @escaping (Frame) -> Void) {
        self.id = id
        self.subscription = subscription
        self.send = send
    }

    var permitted: BrokerConsumer? { permits > 0 ? self : nil }

    func permit(_ more: UInt32) {
        permits += Int(more)
        subscription.dispatch()
    }

    func deliver(_ entry: FramePayload, _ position: MessageIDData, messages: Int) {
        permits -= messages
        send(Frame(.message(MessageCommand(consumerID: id, messageID: position, redeliveryCount: 0)), payload: entry))
    }
}
