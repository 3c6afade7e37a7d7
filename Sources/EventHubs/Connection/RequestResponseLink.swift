internal import AMQP
internal import NIOCore
internal import Transports

/// A pair of links to a node that answers questions: `$cbs`, `$management`. Used on the event loop only, which is why
/// it may be Sendable.
final class RequestResponseLink: @unchecked Sendable {
    private let session: AMQPClientSession
    private let address: String
    private let eventLoop: any EventLoop
    private var sender: AMQPSender?
    private var receiver: AMQPReceiver?
    private var pending: [AMQPUUID: Question] = [:]
    private var questions: UInt64 = 0
    private(set) var isOver = false

    private struct Question {
        /// Which one it is, counted from 1.
        let number: UInt64
        let promise: EventLoopPromise<AMQPMessage>
    }

    /// Answers that may be on their way at once.
    private static let credit: UInt32 = 100

    private init(session: AMQPClientSession, address: String) {
        self.session = session
        self.address = address
        eventLoop = session.connection.eventLoop
    }

    /// Attaches both links; fails with `EventHubsError`.
    static func open(_ session: AMQPClientSession, address: String) -> EventLoopFuture<RequestResponseLink> {
        let link = RequestResponseLink(session: session, address: address)
        let name = AMQPUUID()
        var receive = Attach(name: "\(name)-receive", handle: 0, role: .receiver)
        receive.source = Source(address: address)
        receive.target = Target(address: address)
        var send = Attach(name: "\(name)-send", handle: 0, role: .sender)
        send.senderSettleMode = .unsettled
        send.source = Source(address: address)
        send.target = Target(address: address)
        send.initialDeliveryCount = 0
        // The receiver first, so that no answer can come before there is somebody to take it.
        let receiver = session.attachReceiver(receive, credit: .window(credit)) { [weak link] receiver, delivery in
            link?.received(delivery, on: receiver)
        }
        let sender = session.attachSender(send)
        return receiver.and(sender).flatMapThrowing { receiver, sender in
            link.receiver = receiver
            link.sender = sender
            receiver.closeFuture.whenSuccess { link.over($0) }
            sender.closeFuture.whenSuccess { link.over($0) }
            return link
        }.flatMapErrorThrowing { throw EventHubsError(attaching: address, $0) }
    }

    /// Sends `message` under a new id and waits for the answer to it. Fails with `EventHubsError`.
    func request(_ message: AMQPMessage, deadline: TimeAmount, _ doing: String) -> EventLoopFuture<AMQPMessage> {
        guard !isOver, let sender else {
            return eventLoop.makeFailedFuture(EventHubsError(.linkLost, "\(doing): the link to \(address) is gone"))
        }
        let id = AMQPUUID()
        var message = message
        var properties = message.properties ?? AMQPMessage.Properties()
        properties.messageID = .uuid(id)
        message.properties = properties
        let promise = eventLoop.makePromise(of: AMQPMessage.self)
        questions += 1
        pending[id] = Question(number: questions, promise: promise)
        let timer = eventLoop.scheduleTask(in: deadline) {
            self.fail(id, EventHubsError(.timeout, "\(doing): no answer from \(self.address) within \(deadline.text)"))
        }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        sender.send(payload: message.encoded()).whenComplete { result in
            switch result {
            case .success(.settled(.accepted?)), .success(.settled(nil)): break
            case .success(let outcome):
                if case .failed(let error, _) = SendResult(outcome, doing) { self.fail(id, error) }
            case .failure(let refusal):
                self.fail(id, EventHubsError(.linkLost, "\(doing): \(self.address) takes no request: \(refusal)"))
            }
        }
        return promise.futureResult
    }

    private func fail(_ id: AMQPUUID, _ error: EventHubsError) { pending.removeValue(forKey: id)?.promise.fail(error) }

    private func received(_ delivery: IncomingDelivery, on receiver: AMQPReceiver) {
        if !delivery.settled { receiver.settle(delivery.id, .accepted) }
        // An answer that cannot be read, or that nobody waits for any more, leaves its question to the deadline.
        guard let message = try? AMQPMessage(decoding: delivery.payload),
            case .uuid(let id)? = message.properties?.correlationID
        else { return }
        pending.removeValue(forKey: id)?.promise.succeed(message)
    }

    private func over(_ termination: AMQPTermination) {
        guard !isOver else { return }
        isOver = true
        sender?.detach()
        receiver?.detach()
        // In the order in which they were asked: a table has none.
        let left = pending.values.sorted { $0.number < $1.number }
        pending = [:]
        for question in left {
            question.promise.fail(EventHubsError(termination, "waiting for an answer from \(address)"))
        }
    }

    func close() {
        sender?.detach()
        receiver?.detach()
    }
}

extension EventHubsError {
    /// What an attach, or anything before it, failed with.
    init(attaching address: String, _ error: any Error) {
        switch error {
        case let error as EventHubsError: self = error
        case let termination as AMQPTermination: self.init(termination, "attaching a link to \(address)")
        default: self.init(.linkLost, "attaching a link to \(address): \(error)")
        }
    }
}

extension AMQPMessage {
    /// The status of an answer: section 3.1 and 5 of the protocol notes.
    func checkStatus(_ doing: String) throws(EventHubsError) {
        guard
            let status = applicationProperties[string: "status-code"]?.integer
                ?? applicationProperties[string: "statusCode"]?.integer
        else { throw EventHubsError(.protocolViolation, "\(doing): the answer has no status-code") }
        guard !(200..<300).contains(status) else { return }
        var condition = FailureAdvice.condition(forStatus: status)
        if case .symbol(let named)? = applicationProperties[string: "error-condition"] { condition = named }
        var text = "status \(status)"
        if case .string(let description)? = applicationProperties[string: "status-description"] {
            text += ", \(description)"
        }
        throw EventHubsError(AMQPError(condition, text), doing)
    }
}

extension AMQPValue {
    /// The value of any integer type that fits.
    var integer: Int? {
        switch self {
        case .ubyte(let value): Int(value)
        case .ushort(let value): Int(value)
        case .uint(let value): Int(value)
        case .ulong(let value): Int(exactly: value)
        case .byte(let value): Int(value)
        case .short(let value): Int(value)
        case .int(let value): Int(value)
        case .long(let value): Int(value)
        default: nil
        }
    }

    var text: String? {
        switch self {
        case .string(let text), .symbol(let text): text
        default: nil
        }
    }
}
