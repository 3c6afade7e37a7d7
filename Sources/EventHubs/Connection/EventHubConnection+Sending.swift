internal import AMQP
package import NIOCore
import Synchronization

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
        _ batch: PublishableBatch, _ publisher: PartitionPublisher, limit: Duration?,
        completion: @escaping @Sendable (SendResult) -> Void
    ) {
        let transmission = Transmission(.numbered(batch, publisher), publisher.key, completion)
        transmission.limit = limit.map { TimeAmount($0) }
        run(transmission)
    }

    /// In the order of the calls, whether they come from the event loop or from elsewhere.
    private func run(_ transmission: Transmission) {
        outbox.put(transmission)
        onLoop { while let next = self.outbox.takeFirst() { self.start(next) } }
    }

    func onLoop(_ body: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { body() } else { eventLoop.execute(body) }
    }

    private func start(_ transmission: Transmission) {
        let doing = "sending to \(place(transmission.key.partitionID))"
        let limit = transmission.limit ?? TimeAmount(options.sendTimeout)
        transmission.timer = eventLoop.scheduleTask(in: limit) { self.timedOut(transmission, doing) }
        let publisher = transmission.publisher
        publisher?.line.append(transmission)
        sender(transmission.key, publisher).whenComplete { result in
            guard transmission.isWaiting else { return }
            switch result {
            case .failure(let error):
                publisher?.line.removeAll { $0 === transmission }
                transmission.finish(
                    SendResult(notSent: EventHubsError(attaching: self.place(transmission.key.partitionID), error)))
            case .success(let sender):
                if let publisher { self.transmitLine(publisher, sender) } else { self.transmit(transmission, sender) }
            }
        }
    }

    /// Numbers are given in the order of the calls, also when one is made while an older one is being told its end.
    private func transmitLine(_ publisher: PartitionPublisher, _ sender: AMQPSender) {
        while let next = publisher.line.first {
            publisher.line.removeFirst()
            guard next.isWaiting else { continue }
            guard transmit(next, sender) else {
                publisher.line.prepend(next)
                return
            }
        }
    }

    /// False: not yet.
    @discardableResult
    private func transmit(_ transmission: Transmission, _ sender: AMQPSender) -> Bool {
        let doing = "sending to \(place(transmission.key.partitionID))"
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
                return true
            case .later: return false
            }
        case nil: return true
        }
        transmission.sender = sender
        let size = payload.readableBytes
        sender.send(payload: payload, messageFormat: format).whenComplete { result in
            guard !transmission.isOver else { return }
            self.end(transmission, self.outcome(of: result, size, doing))
        }
        return true
    }

    /// A batch that was handed to a link has come to an end.
    private func end(_ transmission: Transmission, _ result: SendResult) {
        guard case .numbered(let batch, let publisher)? = transmission.content else {
            transmission.finish(result)
            return
        }
        let (result, reattach) = publisher.finished(batch, result)
        if reattach, let sender = transmission.sender { drop(sender, transmission.key, publisher, nil) }
        guard case .failed(var error, let prospect) = result, prospect != .batchRefused || publisher.replacesRefused
        else {
            // Those that wait come before what this one's owner publishes now.
            if let sender = transmission.sender { transmitLine(publisher, sender) }
            transmission.finish(result)
            return
        }
        transmission.finish(result)
        if prospect == .batchRefused { error = EventHubsError(.rejected, "waiting for what replaces a refused batch") }
        guard !publisher.isEstablished else { return }
        let waiting = publisher.line
        publisher.line = []
        for next in waiting where next.isWaiting { next.finish(.failed(error, .retriable(after: .zero))) }
    }

    private func outcome(
        of result: Result<DeliveryResult, any Error>, _ size: Int, _ doing: String
    ) -> SendResult {
        switch result {
        case .success(let delivery):
            let result = SendResult(delivery, doing)
            guard case .failed(let error, let prospect) = result, error.code == .unauthorized else { return result }
            let explained = TokenRefusal.explained(error, current?.token, now: options.wallSeconds())
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
            let late = SendResult.failed(EventHubsError(.timeout, text), .retriable(after: .zero))
            let behind = transmission.publisher?.leaveLine(transmission) ?? []
            transmission.finish(late)
            for next in behind where next.isWaiting { next.finish(late) }
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

/// Batches on their way to the event loop.
final class Outbox: Sendable {
    private let waiting = Mutex(CircularBuffer<Transmission>())

    func put(_ transmission: Transmission) { waiting.withLock { $0.append(transmission) } }

    func takeFirst() -> Transmission? { waiting.withLock { $0.popFirst() } }
}

/// One batch on its way.
final class Transmission: @unchecked Sendable {
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
    /// Not handed to a link yet.
    var isWaiting: Bool { completion != nil && sender == nil }

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
