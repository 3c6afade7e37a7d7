internal import AMQP
internal import Logging
internal import NIOCore
internal import TailraceSpool

/// One client of the hub. Everything happens on its event loop, hence `@unchecked Sendable`.
final class HubConnection: AMQPConnectionDelegate, @unchecked Sendable {
    let hub: LocalHub
    let eventLoop: any EventLoop
    private(set) var handler: AMQPConnectionHandler?
    var authorization: HubAuthorization
    var links: [LinkID: Link] = [:]
    /// Those that are told something one after the other are told in this order.
    var linksByAge: [(key: LinkID, value: Link)] { links.sorted { $0.key < $1.key } }
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

    var now: Int64 { hub.now / 1000 }

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

    // MARK: - Expiry

    /// Links whose claim ends are detached, as the service does.
    func watchExpiry() {
        expiryTimer?.cancel()
        expiryTimer = nil
        // A token may be answered late, when the connection is over.
        guard handler != nil, let expiry = authorization.nextExpiry else { return }
        let wait = max(0, min(expiry - now, 24 * 3600))
        expiryTimer = eventLoop.assumeIsolated().scheduleTask(in: .seconds(wait)) { [weak self] in
            self?.claimsExpired()
        }
    }

    private func claimsExpired() {
        authorization.dropExpired(now: now)
        for (link, kind) in linksByAge {
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
