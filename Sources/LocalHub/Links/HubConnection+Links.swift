internal import AMQP
import EventHubs
internal import NIOCore

/// Which links the hub agrees to, and on what terms.
extension HubConnection {
    func accept(_ link: LinkID, _ attach: Attach, isDelayed: Bool = false) throws(AMQPError) {
        // The role is the peer's.
        let terminus = attach.role == .sender ? attach.target?.address : attach.source?.address
        let address = try HubAddress(
            terminus ?? .null, hub: hub.configuration.hubName, partitionCount: hub.partitions.count)
        guard address == .claims || authorization.allows(path(of: address), now: now) else {
            throw AMQPError(
                AMQPCondition.unauthorizedAccess,
                "unauthorized access: no valid claim to this entity was put on $cbs of this connection")
        }
        if !isDelayed, let fault = hub.fault(HubAttach(address, attach)) {
            switch fault {
            case .refuse(let error): throw error
            case .silence: return
            case .delay(let time):
                eventLoop.assumeIsolated().scheduleTask(in: time) { self.acceptLate(link, attach) }
                return
            case .acceptThenEnd, .credit: faults[link] = fault
            }
        }
        var answer = Attach(name: attach.name, handle: 0, role: attach.role == .sender ? .receiver : .sender)
        answer.source = attach.source
        answer.target = attach.target
        answer.senderSettleMode = attach.senderSettleMode
        answer.receiverSettleMode = attach.receiverSettleMode
        switch (address, attach.role) {
        case (.claims, .sender), (.management, .sender):
            answer.maxMessageSize = Self.requestSize
            links[link] = .requests(address)
            agree(link, answer, credit: .window(100))
        case (.claims, .receiver), (.management, .receiver):
            answer.initialDeliveryCount = 0
            links[link] = .responses(address, replyTo: attach.target?.address ?? .null)
            agree(link, answer)
        case (.hub, .sender), (.partition, .sender):
            let asked = attach.maxMessageSize ?? 0
            let limit = hub.configuration.maximumMessageSize
            answer.maxMessageSize = asked == 0 ? limit : min(asked, limit)
            let partition: Int? = if case .partition(let index) = address { index } else { nil }
            if hub.configuration.supportsIdempotentPublishing,
                attach.desiredCapabilities.contains(EventHubsName.idempotentProducer)
            {
                try admit(link, attach, answer, partition)
                return
            }
            links[link] = .producer(partition: partition)
            agree(link, answer, credit: .window(hub.configuration.linkCredit))
        case (.receiver(let group, let partition), .receiver):
            try acceptReceiver(link, attach, answer, group, partition)
        default:
            throw AMQPError(AMQPCondition.notAllowed, "this entity does not serve a link in this direction")
        }
    }

    /// Bytes of a request on `$cbs` or `$management`.
    private static let requestSize: UInt64 = 64 << 10

    /// A producer that numbers its events: see the protocol page, 8.2.
    private func admit(
        _ link: LinkID, _ attach: Attach, _ answer: Attach, _ partition: Int?
    ) throws(AMQPError) {
        guard let partition else {
            throw AMQPError(
                AMQPCondition.notAllowed, "an idempotent producer publishes to a partition, not to the hub")
        }
        var answer = answer
        answer.offeredCapabilities = [EventHubsName.idempotentProducer]
        let grant = try hub.partitions[partition].admit(
            ProducerTable.Request(attach.properties), self, link, answer)
        links[link] = .idempotentProducer(partition: partition, id: grant.producerID, epoch: grant.epoch)
    }

    func admitted(_ admission: HubPartition.Admission) {
        // The client may have gone meanwhile.
        guard links[admission.link] != nil else { return }
        agree(admission.link, admission.answer, credit: .window(hub.configuration.linkCredit))
    }

    private func acceptReceiver(
        _ link: LinkID, _ attach: Attach, _ answer: Attach, _ group: String, _ partition: Int
    ) throws(AMQPError) {
        guard hub.readers != nil else {
            throw AMQPError(AMQPCondition.notImplemented, "this hub has no threads to read events with")
        }
        var position = EventPosition.earliest
        for entry in attach.source?.filter.entries ?? [] {
            guard case .symbol("apache.org:selector-filter:string") = entry.key else { continue }
            var value = entry.value
            if case .described(_, let inner) = value { value = inner }
            guard case .string(let selector) = value, let parsed = EventPosition(selector: selector) else {
                throw AMQPError(
                    AMQPCondition.invalidField,
                    "the selector is not understood; it has the form amqp.annotation.x-opt-offset > '123'")
            }
            position = parsed
        }
        let ownerLevel: Int64? =
            switch attach.properties[symbol: "com.microsoft:epoch"] {
            case .long(let level): level
            case .int(let level): Int64(level)
            case .uint(let level): Int64(level)
            case .ulong(let level): Int64(clamping: level)
            default: nil
            }
        let receiver = HubReceiver(
            link: link, partition: hub.partitions[partition], ownerLevel: ownerLevel, position: position,
            connection: self)
        let place = ReceiverRegistry.Place(group: group, partition: partition)
        if let error = hub.receivers.enter(receiver, of: self, at: place) { throw error }
        links[link] = .receiver(receiver, place)
        var answer = answer
        answer.initialDeliveryCount = 0
        // Receivers of events answer nothing: there is nothing to give back or to lock.
        answer.senderSettleMode = .settled
        answer.maxMessageSize = hub.configuration.maximumMessageSize
        answer.properties = attach.properties
        agree(link, answer)
    }

    func path(of address: HubAddress) -> [Substring] {
        let name = hub.configuration.hubName.lowercased()[...]
        switch address {
        case .claims: return ["$cbs"]
        case .management, .hub: return [name]
        case .partition(let index): return [name, "partitions", "\(index)"]
        case .receiver(let group, let index): return [name, "consumergroups", "\(group)", "partitions", "\(index)"]
        }
    }

    func detach(_ link: LinkID, _ error: AMQPError) { handler?.detach(link, error) }
}
