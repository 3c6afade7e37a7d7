internal import AMQP
import Glibc
package import NIOCore

extension EventHubConnection {
    /// Sends one batch to a partition, or to the hub; `completion` is called once, on the event loop, within the send
    /// deadline. Batches for one partition reach the service in the order of the calls.
    ///
    /// - Parameter limit: the send deadline; nil: that of the options.
    package func send(
        payload: ByteBuffer, format: UInt32 = EventHubsName.batchFormat, partitionID: String?, limit: Duration? = nil,
        completion: @escaping @Sendable (SendResult) -> Void
    ) {
        let transmission = Transmission(.message(payload, format: format), SenderKey(partitionID), completion)
        transmission.limit = limit.map { TimeAmount($0) }
        run(transmission)
    }

    /// As `send`, with the numbers that the publisher gives it when its link is there.
    func publish(
        _ batch: PublishableBatch, _ publisher: PartitionPublisher,
        completion: @escaping @Sendable (SendResult) -> Void
    ) {
        run(Transmission(.numbered(batch, publisher), publisher.key, completion))
    }

    private func run(_ transmission: Transmission) { onLoop { self.start(transmission) } }

    func onLoop(_ body: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { body() } else { eventLoop.execute(body) }
    }

    private func start(_ transmission: Transmission) {
        let doing = "sending to \(place(transmission.key.partitionID))"
        let limit = transmission.limit ?? TimeAmount(options.sendTimeout)
        transmission.timer = eventLoop.scheduleTask(in: limit) { self.timedOut(transmission, doing) }
        sender(transmission.key, transmission.publisher).whenComplete { result in
            guard !transmission.isOver else { return }
            switch result {
            case .failure(let error):
                transmission.finish(
                    SendResult(notSent: EventHubsError(attaching: self.place(transmission.key.partitionID), error)))
            case .success(let sender): self.transmit(transmission, sender, doing)
            }
        }
    }

    private func transmit(_ transmission: Transmission, _ sender: AMQPSender, _ doing: String) {
        let payload: ByteBuffer
        let format: UInt32
        switch transmission.content {
        case .message(let message, let ownFormat): (payload, format) = (message, ownFormat)
        case .numbered(let batch, let publisher):
            format = batch.format
            switch publisher.prepare(batch) {
            case .send(let numbered): payload = numbered
            case .end(let result):
                transmission.finish(result)
                return
            case .later:
                publisher.hold { end in
                    guard !transmission.isOver else { return }
                    if let end { transmission.finish(end) } else { self.transmit(transmission, sender, doing) }
                }
                return
            }
        case nil: return
        }
        transmission.sender = sender
        let size = payload.readableBytes
        sender.send(payload: payload, messageFormat: format).whenComplete { result in
            guard !transmission.isOver else { return }
            self.end(transmission, self.outcome(of: result, size, doing))
        }
    }

    /// A batch that was handed to a link has come to an end.
    private func end(_ transmission: Transmission, _ result: SendResult) {
        guard case .numbered(let batch, let publisher)? = transmission.content else {
            transmission.finish(result)
            return
        }
        publisher.finished(batch, result) { result, reattach in
            if reattach, let sender = transmission.sender { drop(sender, transmission.key, publisher, nil) }
            transmission.finish(result)
        }
    }

    private func outcome(
        of result: Result<DeliveryResult, any Error>, _ size: Int, _ doing: String
    ) -> SendResult {
        switch result {
        case .success(let delivery):
            let result = SendResult(delivery, doing)
            guard case .failed(let error, let prospect) = result, error.code == .unauthorized else { return result }
            let explained = TokenRefusal.explained(error, current?.token, now: Int64(time(nil)))
            renewAfterRefusal()
            return .failed(explained, prospect)
        case .failure(SendRefusal.tooLarge(let limit)):
            return .failed(
                EventHubsError(
                    .messageTooLarge,
                    "\(doing): the batch has \(size) bytes, the service takes \(limit); send smaller batches"),
                .batchRefused)
        case .failure(let refusal):
            return .failed(
                EventHubsError(.linkLost, "\(doing): the link takes no batch: \(refusal)"), .retriable(after: .zero))
        }
    }

    /// A batch that has waited too long must not reach the service afterwards: its link goes.
    private func timedOut(_ transmission: Transmission, _ doing: String) {
        guard !transmission.isOver else { return }
        let text = "\(doing): no answer within \((transmission.limit ?? TimeAmount(options.sendTimeout)).text)"
        guard let sender = transmission.sender else {
            transmission.finish(.failed(EventHubsError(.timeout, text), .retriable(after: .zero)))
            return
        }
        drop(
            sender, transmission.key, transmission.publisher,
            AMQPError(AMQPCondition.detachForced, "no answer to a transfer"))
        end(
            transmission,
            .failed(EventHubsError(.timeout, text + "; whether the service has the batch is not known"), .unknown))
    }

    func place(_ partitionID: String?) -> String { endpoint.hub + (partitionID.map { "/Partitions/\($0)" } ?? "") }
}

/// One batch on its way.
private final class Transmission: @unchecked Sendable {
    enum Content {
        case message(ByteBuffer, format: UInt32)
        case numbered(PublishableBatch, PartitionPublisher)
    }

    /// Let go of when the batch is over, so that its storage can be used again.
    private(set) var content: Content?
    let key: SenderKey
    var timer: Scheduled<Void>?
    /// Set before it starts, if it is not the options' one.
    var limit: TimeAmount?
    /// Set once the batch is with a link.
    var sender: AMQPSender?
    private var completion: (@Sendable (SendResult) -> Void)?

    init(_ content: Content, _ key: SenderKey, _ completion: @escaping @Sendable (SendResult) -> Void) {
        self.content = content
        self.key = key
        self.completion = completion
    }

    var isOver: Bool { completion == nil }

    var publisher: PartitionPublisher? {
        guard case .numbered(_, let publisher)? = content else { return nil }
        return publisher
    }

    /// Only the first end counts.
    func finish(_ result: SendResult) {
        guard let completion else { return }
        self.completion = nil
        content = nil
        timer?.cancel()
        completion(result)
    }
}
