internal import AMQP
internal import Logging
internal import NIOCore

/// Names a sender link of a connection.
struct SenderKey: Hashable {
    /// Nil: the hub itself.
    let partitionID: String?
    /// Links of idempotent publishers are theirs alone.
    let publisher: UInt64?

    init(_ partitionID: String?, publisher: UInt64? = nil) {
        self.partitionID = partitionID
        self.publisher = publisher
    }
}

extension EventHubConnection {
    /// The attached sender of a partition, or of the hub. On the event loop.
    func sender(_ partitionID: String?) -> EventLoopFuture<AMQPSender> { sender(SenderKey(partitionID), nil) }

    /// - Parameter publisher: whose link it is; it is asked what to attach with and told what was granted.
    func sender(_ key: SenderKey, _ publisher: PartitionPublisher?) -> EventLoopFuture<AMQPSender> {
        // What is in flight on the link before must have ended when the service tells where it stands.
        if let ending = publisher?.ending { return ending.flatMap { self.sender(key, publisher) } }
        return established().flatMap { established in
            if let link = self.senders[key], link.connection === established.connection {
                return link.attached
            }
            let link = SenderLink(
                established.connection, self.attach(established.connection, key.partitionID, publisher))
            self.senders[key] = link
            link.attached.whenComplete { result in
                switch result {
                case .failure(let error):
                    self.forget(link, key)
                    if (error as? EventHubsError)?.code == .unauthorized { self.renewAfterRefusal() }
                case .success(let sender):
                    link.sender = sender
                    sender.closeFuture.whenSuccess { termination in
                        self.forget(link, key)
                        sender.session.end()
                        let metadata: Logger.Metadata = [
                            "address": "\(self.place(key.partitionID))", "reason": "\(termination)",
                        ]
                        self.logger.debug("link ended", metadata: metadata)
                    }
                }
            }
            return link.attached
        }
    }

    /// Gives back a link that nobody needs any more, if there is one.
    func detach(_ key: SenderKey, _ publisher: PartitionPublisher? = nil) {
        guard let link = senders[key] else { return }
        if let sender = link.sender {
            drop(sender, key, publisher, nil)
        } else {
            link.attached.whenSuccess { self.drop($0, key, publisher, nil) }
        }
    }

    private func forget(_ link: SenderLink, _ key: SenderKey) {
        if senders[key] === link { senders[key] = nil }
    }

    /// Every sender has a session of its own, so that what ends one leaves the others alone.
    private func attach(
        _ connection: AMQPClientConnection, _ partitionID: String?, _ publisher: PartitionPublisher?
    ) -> EventLoopFuture<AMQPSender> {
        let address = EventHubsName.senderAddress(hub: endpoint.hub, partitionID: partitionID)
        let limit = TimeAmount(options.attachTimeout)
        var attach = Attach(name: "tailrace-\(AMQPUUID())", handle: 0, role: .sender)
        attach.senderSettleMode = .unsettled
        attach.source = Source(address: attach.name)
        attach.target = Target(address: address)
        attach.initialDeliveryCount = 0
        // No limit of ours: the service names its own.
        attach.maxMessageSize = 0
        attach.properties[symbol: EventHubsName.timeout] = .uint(
            UInt32(clamping: TimeAmount(options.sendTimeout).nanoseconds / 1_000_000))
        publisher?.ask(in: &attach)
        let request = attach
        let attached = connection.beginSession().flatMap { session in
            session.attachSender(request).flatMapErrorThrowing { error in
                session.end()
                throw error
            }
        }
        return withDeadline(attached, limit, "attaching a link to \(place(partitionID))", late: { $0.session.end() })
            .flatMapThrowing { sender in
                do {
                    try publisher?.attached(sender)
                } catch {
                    sender.detach()
                    throw error
                }
                return sender
            }.flatMapErrorThrowing { error in
                let refusal = EventHubsError(attaching: self.place(partitionID), error)
                throw TokenRefusal.explained(refusal, self.current?.token, now: self.options.wallSeconds())
            }
    }

    /// Gives a link up; the next batch attaches a new one.
    ///
    /// - Parameter publisher: waits until the link is gone.
    func drop(_ sender: AMQPSender, _ key: SenderKey, _ publisher: PartitionPublisher?, _ error: AMQPError?) {
        if senders[key]?.sender === sender { senders[key] = nil }
        let connection = sender.session.connection
        let detached = sender.detach(error)
        // A peer that does not even confirm a detach is gone.
        let guardTimer = eventLoop.scheduleTask(in: TimeAmount(options.attachTimeout)) { connection.drop() }
        detached.whenComplete { _ in guardTimer.cancel() }
        publisher?.isEnding(detached.map { _ in })
    }
}

/// The sender link of one partition while its connection lasts.
final class SenderLink: @unchecked Sendable {
    let connection: AMQPClientConnection
    let attached: EventLoopFuture<AMQPSender>
    /// Set once it is attached.
    var sender: AMQPSender?

    init(_ connection: AMQPClientConnection, _ attached: EventLoopFuture<AMQPSender>) {
        self.connection = connection
        self.attached = attached
    }
}
