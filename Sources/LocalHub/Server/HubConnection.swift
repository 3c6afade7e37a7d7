internal import AMQP
import EventHubs
internal import Logging
internal import NIOCore
internal import TailraceSpool

/// One client of the hub. Everything happens on its event loop, hence `@unchecked Sendable`.
final class HubConnection: AMQPConnectionDelegate, @unchecked Sendable {
    let hub: LocalHub
    let eventLoop: any EventLoop
    private(set) var handler: AMQPConnectionHandler?
    private var authorization: HubAuthorization
    var links: [LinkID: Link] = [:]
    private var expiryTimer: Scheduled<Void>?
    /// What a fault script makes of links once they are agreed to.
    var faults: [LinkID: HubAttachFault] = [:]
    var held: [HubPartition.Receipt] = []

    enum Link {
        /// Nil: the hub routes.
        case producer(partition: Int?)
        /// One that numbers its events.
        case idempotentProducer(partition: Int, id: Int64, epoch: Int16)
        case receiver(HubReceiver, ReceiverRegistry.Place)
        /// A client's sender to `$cbs` or `$management`.
        case requests(HubAddress)
        /// A client's receiver from there; the address that requests name as reply-to.
        case responses(HubAddress, replyTo: AMQPValue)
    }

    init(hub: LocalHub, eventLoop: any EventLoop) {
        self.hub = hub
        self.eventLoop = eventLoop
        authorization = HubAuthorization(
            key: .init(name: hub.configuration.sharedAccessKeyName, value: hub.configuration.sharedAccessKey),
            acceptsToken: hub.configuration.acceptsToken)
    }

    func makeHandler() -> AMQPConnectionHandler {
        var configuration = ConnectionConfiguration(containerID: hub.containerID)
        configuration.maximumFrameSize = hub.configuration.maximumFrameSize
        configuration.channelMax = 4999
        configuration.idleTimeOut = hub.configuration.idleTimeOut
        configuration.session.handleMax = 255
        let handler = AMQPConnectionHandler(
            AMQPHandlerConfiguration(
                .server(mechanisms: ["MSSBCBS", "PLAIN", "ANONYMOUS"], allowsNoSASL: false), configuration),
            delegate: self)
        self.handler = handler
        return handler
    }

    private var now: Int64 { HubPartition.now() / 1000 }

    // MARK: - Events

    func authenticate(_ identity: SASLIdentity, on connection: AMQPConnectionHandler) {
        guard case .plain(_, let user, let password) = identity else {
            connection.decide(.ok)
            return
        }
        connection.decide(authorization.acceptPassword(user: user, password: password) ? .ok : .authentication)
    }

    func handle(_ event: ConnectionEvent, on connection: AMQPConnectionHandler) {
        switch event {
        case .attachRequested(let link, let attach):
            do throws(AMQPError) {
                try accept(link, attach)
            } catch {
                hub.logger.debug("refused a link", metadata: ["error": "\(error)"])
                handler?.refuse(link, error)
            }
        case .linkEnded(let link, let termination): ended(link, termination)
        case .credit(let link, _, _):
            if case .receiver(let receiver, _)? = links[link] { receiver.goOn() }
        case .result(let link, _, _):
            if case .receiver(let receiver, _)? = links[link] { receiver.goOn() }
        case .delivery(let link, let delivery): received(link, delivery)
        case .closed(let termination):
            hub.logger.debug("connection over", metadata: ["reason": "\(termination)"])
            expiryTimer?.cancel()
            handler = nil
            hub.closed(self)
        case .opened, .sessionBegun, .sessionEnded, .attached, .drained, .settledBySender: break
        }
    }

    private func ended(_ link: LinkID, _ termination: AMQPTermination) {
        faults[link] = nil
        switch links.removeValue(forKey: link) {
        case .receiver(let receiver, let place):
            receiver.end()
            hub.receivers.leave(receiver, place)
        case .idempotentProducer(let partition, let id, _): hub.partitions[partition].leave(id, self, link)
        case .producer, .requests, .responses, nil: break
        }
    }

    // MARK: - Links

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

    private func admitted(_ admission: HubPartition.Admission) {
        // The client may have gone meanwhile.
        guard links[admission.link] != nil else { return }
        agree(admission.link, admission.answer, credit: .window(hub.configuration.linkCredit))
    }

    private func acceptReceiver(
        _ link: LinkID, _ attach: Attach, _ answer: Attach, _ group: String, _ partition: Int
    ) throws(AMQPError) {
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

    private func path(of address: HubAddress) -> [Substring] {
        let name = hub.configuration.hubName.lowercased()[...]
        switch address {
        case .claims: return ["$cbs"]
        case .management, .hub: return [name]
        case .partition(let index): return [name, "partitions", "\(index)"]
        case .receiver(let group, let index): return [name, "consumergroups", "\(group)", "partitions", "\(index)"]
        }
    }

    func detach(_ link: LinkID, _ error: AMQPError) { handler?.detach(link, error) }

    // MARK: - Deliveries

    private func received(_ link: LinkID, _ delivery: IncomingDelivery) {
        switch links[link] {
        case .producer(let partition): store(link, delivery, partition)
        case .idempotentProducer(let partition, let id, let epoch):
            store(link, delivery, partition, producer: (id, epoch))
        case .requests(let address): answer(link, delivery, address)
        case .receiver, .responses, nil: break
        }
    }

    private func answer(_ link: LinkID, _ delivery: IncomingDelivery, _ address: HubAddress) {
        let request: AMQPMessage
        do throws(AMQPCodecError) {
            request = try AMQPMessage(decoding: delivery.payload)
        } catch {
            let state = DeliveryState.rejected(AMQPError(AMQPCondition.decodeError, error.description))
            handler?.settle(link.session, delivery.id, state)
            return
        }
        if !delivery.settled { handler?.settle(link.session, delivery.id, .accepted) }
        switch address == .claims ? hub.tokenFault() : nil {
        case .silence?: break
        case .delay(let time)?:
            eventLoop.assumeIsolated().scheduleTask(in: time) { self.respond(request, address, link.session) }
        case .answer(let status, let text)?:
            respond(request, address, link.session, HubManagement.Answer(status: status, text: text))
        case nil: respond(request, address, link.session)
        }
    }

    private func respond(
        _ request: AMQPMessage, _ address: HubAddress, _ session: SessionID, _ scripted: HubManagement.Answer? = nil
    ) {
        let result: HubManagement.Answer
        if let scripted {
            result = scripted
        } else if address == .claims {
            result = HubManagement.putToken(request, &authorization, now: now)
            watchExpiry()
        } else {
            result = HubManagement(hub: hub).read(request, authorization, now: now)
        }
        guard let answerLink = responseLink(for: request, address, session) else { return }
        let response = HubManagement.response(to: request, result)
        _ = handler?.send(answerLink, OutgoingDelivery(payload: response.encoded(), settled: true))
    }

    /// The link that the request names; without a name, the session's own, or any.
    private func responseLink(for request: AMQPMessage, _ address: HubAddress, _ session: SessionID) -> LinkID? {
        let replyTo = request.properties?.replyTo ?? .null
        var fallback: LinkID?
        for case (let id, .responses(address, let target)) in links {
            if replyTo != .null, target == replyTo { return id }
            if fallback == nil || id.session == session { fallback = id }
        }
        return fallback
    }

    private func store(
        _ link: LinkID, _ delivery: IncomingDelivery, _ partition: Int?, producer: (id: Int64, epoch: Int16)? = nil
    ) {
        let batch = hub.takeBatch(delivery.payload.readableBytes)
        let key: String?
        do throws(AMQPCodecError) {
            key = try EventMessage.store(delivery.payload, messageFormat: delivery.messageFormat, in: batch)
        } catch {
            batch.recycle()
            let state = DeliveryState.rejected(AMQPError(AMQPCondition.decodeError, error.description))
            handler?.settle(link.session, delivery.id, state)
            return
        }
        if let key { batch.context = Array(key.utf8.prefix(Self.keyLimit)) }
        let index = partition ?? hub.route(key)
        let fault = hub.fault(
            HubDelivery(number: 0, partition: index, events: batch.recordCount, bytes: delivery.payload.readableBytes))
        switch fault {
        case .answer(let state):
            batch.recycle()
            handler?.settle(link.session, delivery.id, state)
            return
        case .end(let cut):
            batch.recycle()
            perform(cut, link)
            return
        default: break
        }
        guard batch.recordCount > 0 else {
            batch.recycle()
            handler?.settle(link.session, delivery.id, .accepted)
            return
        }
        let receipt = HubPartition.Receipt(
            connection: self, link: link, deliveryID: delivery.id, settled: delivery.settled, fault: fault)
        guard let producer else {
            hub.partitions[index].append(batch, receipt)
            return
        }
        var refusal: AMQPError?
        do throws(AMQPError) {
            refusal = hub.partitions[index].append(batch, try PublishedNumbers(batch), of: producer, receipt)
        } catch {
            refusal = error
        }
        guard let refusal else { return }
        batch.recycle()
        handler?.settle(link.session, delivery.id, .rejected(refusal))
    }

    /// Bytes of a partition key that are kept.
    private static let keyLimit = 1024

    /// The spool has what these speak for.
    func completed(_ completions: [HubPartition.Completion]) {
        for completion in completions {
            switch completion {
            case .stored(let receipt): stored(receipt)
            case .admitted(let admission): admitted(admission)
            }
        }
    }

    private func stored(_ receipt: HubPartition.Receipt) {
        switch receipt.fault {
        case .storeThenEnd(let cut): perform(cut, receipt.link)
        case .silence: break
        case .hold: held.append(receipt)
        case .delay(let time):
            eventLoop.assumeIsolated().scheduleTask(in: time) { self.accept(receipt) }
        default: accept(receipt)
        }
    }

    func accept(_ receipt: HubPartition.Receipt) {
        guard !receipt.settled else { return }
        handler?.settle(receipt.link.session, receipt.deliveryID, .accepted)
    }

    // MARK: - Expiry

    /// Links whose claim ends are detached, as the service does.
    private func watchExpiry() {
        expiryTimer?.cancel()
        expiryTimer = nil
        guard let expiry = authorization.nextExpiry else { return }
        let wait = max(0, min(expiry - now, 24 * 3600))
        expiryTimer = eventLoop.assumeIsolated().scheduleTask(in: .seconds(wait)) { [weak self] in
            self?.claimsExpired()
        }
    }

    private func claimsExpired() {
        authorization.dropExpired(now: now)
        for (link, kind) in links {
            let address: HubAddress
            switch kind {
            case .producer(let partition): address = partition.map { .partition($0) } ?? .hub
            case .idempotentProducer(let partition, _, _): address = .partition(partition)
            case .receiver(_, let place): address = .receiver(group: place.group, partition: place.partition)
            case .requests(let node), .responses(let node, _): address = node
            }
            guard address != .claims, !authorization.allows(path(of: address), now: now) else { continue }
            handler?.detach(link, AMQPError(AMQPCondition.unauthorizedAccess, "ExpiredToken: the token is expired"))
        }
        watchExpiry()
    }
}
