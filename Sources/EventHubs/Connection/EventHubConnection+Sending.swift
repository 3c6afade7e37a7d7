internal import AMQP
internal import Logging
package import NIOCore

extension EventHubConnection {
    /// Sends one batch to a partition, or to the hub; `completion` is called once, on the event loop, within the send
    /// deadline. Batches for one partition reach the service in the order of the calls.
    package func send(
        payload: ByteBuffer, format: UInt32 = EventHubsName.batchFormat, partitionID: String?,
        completion: @escaping @Sendable (SendResult) -> Void
    ) {
        if eventLoop.inEventLoop {
            start(Transmission(payload, format, partitionID, completion))
        } else {
            eventLoop.execute { self.start(Transmission(payload, format, partitionID, completion)) }
        }
    }

    private func start(_ transmission: Transmission) {
        let doing = "sending to \(place(transmission.partitionID))"
        let limit = TimeAmount(options.sendTimeout)
        transmission.timer = eventLoop.scheduleTask(in: limit) { self.timedOut(transmission, doing) }
        sender(transmission.partitionID).whenComplete { result in
            guard !transmission.isOver else { return }
            switch result {
            case .failure(let error):
                transmission.finish(
                    SendResult(
                        notSent: EventHubsError(attaching: self.place(transmission.partitionID), self.explained(error)))
                )
            case .success(let sender):
                transmission.sender = sender
                sender.send(payload: transmission.payload, messageFormat: transmission.format).whenComplete { result in
                    transmission.finish(self.outcome(of: result, transmission, doing))
                }
            }
        }
    }

    private func outcome(
        of result: Result<DeliveryResult, any Error>, _ transmission: Transmission, _ doing: String
    ) -> SendResult {
        switch result {
        case .success(let delivery):
            let result = SendResult(delivery, doing)
            if case .failed(let error, _) = result, error.code == .unauthorized { renewAfterRefusal() }
            return result
        case .failure(SendRefusal.tooLarge(let limit)):
            return .failed(
                EventHubsError(
                    .messageTooLarge,
                    "\(doing): the batch has \(transmission.payload.readableBytes) bytes, the service takes \(limit);"
                        + " send smaller batches"), .batchRefused)
        case .failure(let refusal):
            return .failed(
                EventHubsError(.linkLost, "\(doing): the link takes no batch: \(refusal)"), .retriable(after: .zero))
        }
    }

    /// A batch that has waited too long must not reach the service afterwards: its link goes.
    private func timedOut(_ transmission: Transmission, _ doing: String) {
        guard !transmission.isOver else { return }
        let text = "\(doing): no answer within \(TimeAmount(options.sendTimeout).text)"
        guard let sender = transmission.sender else {
            transmission.finish(.failed(EventHubsError(.timeout, text), .retriable(after: .zero)))
            return
        }
        senders[transmission.partitionID] = nil
        let connection = sender.session.connection
        let detached = sender.detach(AMQPError("amqp:link:detach-forced", "no answer to a transfer"))
        // A peer that does not even confirm a detach is gone.
        let guardTimer = eventLoop.scheduleTask(in: TimeAmount(options.attachTimeout)) { connection.drop() }
        detached.whenComplete { _ in guardTimer.cancel() }
        transmission.finish(
            .failed(EventHubsError(.timeout, text + "; whether the service has the batch is not known"), .unknown))
    }

    func place(_ partitionID: String?) -> String { endpoint.hub + (partitionID.map { "/Partitions/\($0)" } ?? "") }

    /// The attached sender of a partition, or of the hub. On the event loop.
    func sender(_ partitionID: String?) -> EventLoopFuture<AMQPSender> {
        established().flatMap { established in
            if let link = self.senders[partitionID], link.connection === established.connection {
                return link.attached
            }
            let link = SenderLink(established.connection, self.attach(established.connection, partitionID))
            self.senders[partitionID] = link
            link.attached.whenComplete { result in
                switch result {
                case .failure(let error):
                    self.forget(link, partitionID)
                    if (error as? EventHubsError)?.code == .unauthorized { self.renewAfterRefusal() }
                case .success(let sender):
                    sender.closeFuture.whenSuccess { termination in
                        self.forget(link, partitionID)
                        sender.session.end()
                        let metadata: Logger.Metadata = [
                            "address": "\(self.place(partitionID))", "reason": "\(termination)",
                        ]
                        self.logger.debug("link ended", metadata: metadata)
                    }
                }
            }
            return link.attached
        }
    }

    private func forget(_ link: SenderLink, _ partitionID: String?) {
        if senders[partitionID] === link { senders[partitionID] = nil }
    }

    /// Every sender has a session of its own, so that what ends one leaves the others alone.
    private func attach(_ connection: AMQPClientConnection, _ partitionID: String?) -> EventLoopFuture<AMQPSender> {
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
        let request = attach
        let attached = connection.beginSession().flatMap { session in
            session.attachSender(request).flatMapErrorThrowing { error in
                session.end()
                throw error
            }
        }
        return withDeadline(attached, limit, "attaching a link to \(place(partitionID))", late: { $0.session.end() })
            .flatMapErrorThrowing { throw EventHubsError(attaching: self.place(partitionID), $0) }
    }
}

/// The sender link of one partition while its connection lasts.
final class SenderLink: @unchecked Sendable {
    let connection: AMQPClientConnection
    let attached: EventLoopFuture<AMQPSender>

    init(_ connection: AMQPClientConnection, _ attached: EventLoopFuture<AMQPSender>) {
        self.connection = connection
        self.attached = attached
    }
}

/// One batch on its way.
private final class Transmission: @unchecked Sendable {
    /// Let go of when the batch is over, so that its storage can be used again.
    private(set) var payload: ByteBuffer
    let format: UInt32
    let partitionID: String?
    var timer: Scheduled<Void>?
    /// Set once the batch is with a link.
    var sender: AMQPSender?
    private var completion: (@Sendable (SendResult) -> Void)?

    init(
        _ payload: ByteBuffer, _ format: UInt32, _ partitionID: String?,
        _ completion: @escaping @Sendable (SendResult) -> Void
    ) {
        self.payload = payload
        self.format = format
        self.partitionID = partitionID
        self.completion = completion
    }

    var isOver: Bool { completion == nil }

    /// Only the first end counts.
    func finish(_ result: SendResult) {
        guard let completion else { return }
        self.completion = nil
        payload = ByteBuffer()
        timer?.cancel()
        completion(result)
    }
}
