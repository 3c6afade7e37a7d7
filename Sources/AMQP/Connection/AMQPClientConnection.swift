package import NIOCore

/// A client's connection over a channel that somebody else connected (and wrapped in TLS).
///
/// Its methods, and those of its sessions and links, may be called from any thread; on the channel's event loop they act at
/// once. All state is touched on that loop only, which is why the classes are Sendable.
package final class AMQPClientConnection: AMQPConnectionDelegate, @unchecked Sendable {
    package let eventLoop: any EventLoop
    /// Told once, when the connection is over, whoever ended it.
    package let closeFuture: EventLoopFuture<AMQPTermination>

    private var handler: AMQPConnectionHandler?
    private let closePromise: EventLoopPromise<AMQPTermination>
    private var openPromise: EventLoopPromise<AMQPClientConnection>?
    private var sessions: [SessionID: AMQPClientSession] = [:]
    private var links: [LinkID: AMQPClientLink] = [:]
    private(set) var termination: AMQPTermination?

    private init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        closePromise = eventLoop.makePromise()
        closeFuture = closePromise.futureResult
    }

    /// Opens a connection: puts the handler at the end of the channel's pipeline and waits for the peer's `open`.
    ///
    /// On the channel's event loop the handler is there when this returns. The future fails with `AMQPTermination` when the
    /// handshake does, with the peer's error if it gave one.
    package static func open(on channel: any Channel, _ configuration: AMQPHandlerConfiguration)
        -> EventLoopFuture<AMQPClientConnection>
    {
        guard channel.eventLoop.inEventLoop else {
            return channel.eventLoop.flatSubmit { open(on: channel, configuration) }
        }
        let connection = AMQPClientConnection(eventLoop: channel.eventLoop)
        let promise = channel.eventLoop.makePromise(of: AMQPClientConnection.self)
        connection.openPromise = promise
        let handler = AMQPConnectionHandler(configuration, delegate: connection)
        connection.handler = handler
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            connection.finish(
                AMQPTermination(
                    scope: .connection, origin: .transport,
                    error: AMQPError(AMQPCondition.connectionForced, "the channel is closed: \(error)")))
        }
        return promise.futureResult
    }

    /// What the peer said in its `open`; only on the event loop.
    package var remoteOpen: Open? { handler?.remoteOpen }

    /// Begins a session. The future fails with `AMQPTermination`.
    package func beginSession(_ configuration: SessionConfiguration? = nil) -> EventLoopFuture<AMQPClientSession> {
        onLoop { () -> EventLoopFuture<AMQPClientSession> in
            guard let id = self.handler?.beginSession(configuration) else {
                return self.eventLoop.makeFailedFuture(self.unavailable(.connection, "no channel is left"))
            }
            let begun = self.eventLoop.makePromise(of: AMQPClientSession.self)
            self.sessions[id] = AMQPClientSession(id: id, connection: self, begun: begun)
            return begun.futureResult
        }
    }

    /// Says goodbye. The future succeeds when the connection is over.
    @discardableResult
    package func close(_ error: AMQPError? = nil) -> EventLoopFuture<AMQPTermination> {
        onLoop {
            self.handler?.close(error)
            return self.closeFuture
        }
    }

    /// Closes the transport without a word.
    package func drop() {
        onLoop { self.handler?.dropTransport() }
    }

    // MARK: For sessions and links

    func onLoop<Value: Sendable>(_ body: @escaping @Sendable () -> EventLoopFuture<Value>) -> EventLoopFuture<Value> {
        eventLoop.inEventLoop ? body() : eventLoop.flatSubmit(body)
    }

    func onLoop(_ body: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { body() } else { eventLoop.execute(body) }
    }

    func unavailable(_ scope: AMQPTermination.Scope, _ text: String) -> AMQPTermination {
        termination
            ?? AMQPTermination(
                scope: scope, origin: .local, error: AMQPError(AMQPCondition.resourceLimitExceeded, text))
    }

    var running: AMQPConnectionHandler? { termination == nil ? handler : nil }

    func register(_ link: AMQPClientLink) { links[link.id] = link }

    // MARK: Events

    package func handle(_ event: ConnectionEvent, on handler: AMQPConnectionHandler) {
        switch event {
        case .opened:
            openPromise?.succeed(self)
            openPromise = nil
        case .closed(let termination): finish(termination)
        case .sessionBegun(let id, _, let byPeer):
            // A client serves nobody: a session that the peer begins stays empty.
            if !byPeer { sessions[id]?.began() }
        case .sessionEnded(let id, let termination):
            guard let session = sessions.removeValue(forKey: id) else { return }
            session.ended(termination)
        case .attachRequested(let id, _):
            handler.refuse(id, AMQPError(AMQPCondition.notAllowed, "this peer accepts no links"))
        case .attached(let id, let attach): links[id]?.attached(attach)
        case .linkEnded(let id, let termination): links.removeValue(forKey: id)?.ended(termination)
        case .credit(let id, _, _), .drained(let id): links[id]?.creditChanged()
        case .delivery(let id, let delivery): links[id]?.received(delivery)
        case .settledBySender: break
        case .result(let id, let token, let result): links[id]?.finished(token, result)
        }
    }

    private func finish(_ termination: AMQPTermination) {
        guard self.termination == nil else { return }
        self.termination = termination
        handler = nil
        openPromise?.fail(termination)
        openPromise = nil
        closePromise.succeed(termination)
    }
}

/// A session of a client.
package final class AMQPClientSession: @unchecked Sendable {
    package let id: SessionID
    package let connection: AMQPClientConnection
    /// Told once, when the session is over.
    package var closeFuture: EventLoopFuture<AMQPTermination> { closePromise.futureResult }
    /// Until it has begun: a promise that was kept holds the session, so the session must let go of it.
    private var begun: EventLoopPromise<AMQPClientSession>?
    private let closePromise: EventLoopPromise<AMQPTermination>

    init(id: SessionID, connection: AMQPClientConnection, begun: EventLoopPromise<AMQPClientSession>) {
        self.id = id
        self.connection = connection
        self.begun = begun
        closePromise = connection.eventLoop.makePromise()
    }

    /// Attaches a link on which this side sends. Fails with `AMQPTermination`: for a refusal, with the peer's error.
    package func attachSender(_ attach: Attach) -> EventLoopFuture<AMQPSender> {
        connection.onLoop {
            var attach = attach
            attach.role = .sender
            guard let id = self.connection.running?.attach(self.id, attach) else {
                return self.connection.eventLoop.makeFailedFuture(self.noLink(attach))
            }
            let sender = AMQPSender(id: id, name: attach.name, session: self)
            self.connection.register(sender)
            return sender.attachPromise.futureResult.map { sender }
        }
    }

    /// Attaches a link on which this side receives. `onDelivery` is called on the event loop.
    package func attachReceiver(
        _ attach: Attach, credit: CreditPolicy,
        onDelivery: @escaping @Sendable (AMQPReceiver, IncomingDelivery) -> Void
    ) -> EventLoopFuture<AMQPReceiver> {
        connection.onLoop {
            var attach = attach
            attach.role = .receiver
            guard let id = self.connection.running?.attach(self.id, attach, credit: credit) else {
                return self.connection.eventLoop.makeFailedFuture(self.noLink(attach))
            }
            let receiver = AMQPReceiver(id: id, name: attach.name, session: self, onDelivery: onDelivery)
            self.connection.register(receiver)
            return receiver.attachPromise.futureResult.map { receiver }
        }
    }

    package func end(_ error: AMQPError? = nil) {
        connection.onLoop { self.connection.running?.end(self.id, error) }
    }

    private func noLink(_ attach: Attach) -> AMQPTermination {
        connection.unavailable(
            .session, "the session is over, has no handle left, or already has a link named \(attach.name)")
    }

    func began() { begun.take()?.succeed(self) }

    func ended(_ termination: AMQPTermination) {
        begun.take()?.fail(termination)
        closePromise.succeed(termination)
    }
}
