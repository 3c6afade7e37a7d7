package import NIOCore

/// What senders and receivers of a client have in common.
package class AMQPClientLink: @unchecked Sendable {
    package let id: LinkID
    package let name: String
    package let session: AMQPClientSession
    /// The peer's attach; nil before it came. Only on the event loop.
    package private(set) var remoteAttach: Attach?
    /// Told once, when the link is over, alone or with its session or connection.
    package var closeFuture: EventLoopFuture<AMQPTermination> { closePromise.futureResult }
    let attachPromise: EventLoopPromise<Void>
    private let closePromise: EventLoopPromise<AMQPTermination>

    init(id: LinkID, name: String, session: AMQPClientSession) {
        self.id = id
        self.name = name
        self.session = session
        attachPromise = session.connection.eventLoop.makePromise()
        closePromise = session.connection.eventLoop.makePromise()
    }

    var connection: AMQPClientConnection { session.connection }
    package var eventLoop: any EventLoop { connection.eventLoop }

    /// Ends the link. The future succeeds when the peer has confirmed, or something larger ended.
    @discardableResult
    package func detach(closed: Bool = true, _ error: AMQPError? = nil) -> EventLoopFuture<AMQPTermination> {
        connection.onLoop {
            self.connection.running?.detach(self.id, closed: closed, error)
            return self.closeFuture
        }
    }

    func attached(_ attach: Attach) {
        remoteAttach = attach
        attachPromise.succeed()
    }

    func ended(_ termination: AMQPTermination) {
        attachPromise.fail(termination)
        closePromise.succeed(termination)
    }

    func creditChanged() {}
    func received(_ delivery: IncomingDelivery) {}
    func finished(_ token: UInt64, _ result: DeliveryResult) {}
}

/// A link on which a client sends.
package final class AMQPSender: AMQPClientLink, @unchecked Sendable {
    private var pending: [UInt64: EventLoopPromise<DeliveryResult>] = [:]
    /// Called on the event loop whenever the peer names a new credit. Set it on the event loop.
    package var onCredit: (@Sendable (AMQPSender) -> Void)?

    /// The peer's limit for a message, bytes; 0: none. Only on the event loop.
    package var maximumMessageSize: UInt64 { remoteAttach?.maxMessageSize ?? 0 }

    /// Credit that no delivery has used, less the deliveries that wait. Only on the event loop.
    package var availableCredit: Int {
        guard let (credit, queued) = connection.running?.credit(of: id) else { return 0 }
        return Int(credit) - queued
    }

    /// Sends a delivery; without credit it waits in a bounded queue.
    ///
    /// The future succeeds with what became of it, also when its link ends. It fails with `SendRefusal` when the delivery
    /// was not taken at all.
    package func send(payload: ByteBuffer, messageFormat: UInt32 = 0, settled: Bool = false)
        -> EventLoopFuture<DeliveryResult>
    {
        connection.onLoop {
            let delivery = OutgoingDelivery(payload: payload, messageFormat: messageFormat, settled: settled)
            switch self.connection.running?.send(self.id, delivery) ?? .failure(.noLink) {
            case .failure(let refusal): return self.eventLoop.makeFailedFuture(refusal)
            case .success(let token):
                let promise = self.eventLoop.makePromise(of: DeliveryResult.self)
                self.pending[token] = promise
                return promise.futureResult
            }
        }
    }

    override func creditChanged() { onCredit?(self) }

    override func finished(_ token: UInt64, _ result: DeliveryResult) {
        pending.removeValue(forKey: token)?.succeed(result)
    }
}

/// A link on which a client receives.
package final class AMQPReceiver: AMQPClientLink, @unchecked Sendable {
    private let onDelivery: @Sendable (AMQPReceiver, IncomingDelivery) -> Void
    /// Called on the event loop when the peer has used up or given back the credit of a drain. Set it on the event loop.
    package var onDrained: (@Sendable (AMQPReceiver) -> Void)?

    init(
        id: LinkID, name: String, session: AMQPClientSession,
        onDelivery: @escaping @Sendable (AMQPReceiver, IncomingDelivery) -> Void
    ) {
        self.onDelivery = onDelivery
        super.init(id: id, name: name, session: session)
    }

    /// Sets the credit; with `drain` the peer shall use it at once or give it back.
    package func grantCredit(_ credit: UInt32, drain: Bool = false) {
        connection.onLoop { self.connection.running?.grantCredit(self.id, credit, drain: drain) }
    }

    /// Answers the deliveries `first` to `last` of this session.
    package func settle(
        _ first: UInt32, through last: UInt32? = nil, _ state: DeliveryState?, settled: Bool = true
    ) {
        connection.onLoop {
            self.connection.running?.settle(self.session.id, first, through: last, state, settled: settled)
        }
    }

    override func creditChanged() { onDrained?(self) }

    override func received(_ delivery: IncomingDelivery) { onDelivery(self, delivery) }
}
