internal import AMQP
package import Logging
package import NIOCore
import Synchronization
internal import Transports

/// One connection to an event hub, with what runs over it: authorisation, questions, one sender link per partition.
///
/// Everything is made on demand and made anew after it was lost: a connection when something is asked of it, a link
/// when something is sent over it. Nothing is tried again here; callers decide that. All state is touched on
/// `eventLoop` only, which is why the class may be Sendable; the methods may be called from any thread.
package final class EventHubConnection: @unchecked Sendable {
    package let eventLoop: any EventLoop
    package let endpoint: EventHubEndpoint
    let options: EventHubsOptions
    let logger: Logger

    private enum State {
        case idle
        case connecting(EventLoopFuture<Established>)
        case ready(Established)
        case closed
    }

    private var state = State.idle
    /// Something was connected, and `close` was not called since: for `drop` and others that may come from any thread.
    let isInUse = Atomic<Bool>(false)
    var senders: [SenderKey: SenderLink] = [:]
    let outbox = Outbox()
    let batchStorage = BatchStorage()
    /// What was said last about the end of a signature that cannot be renewed.
    var signatureNotice = SignatureNotice.none

    /// A connection that is open and authorised.
    final class Established: @unchecked Sendable {
        let connection: AMQPClientConnection
        let session: AMQPClientSession
        var cbs: RequestResponseLink
        var management: EventLoopFuture<RequestResponseLink>?
        /// The next token, or the next word about the end of this one.
        var renewal: Scheduled<Void>?
        /// When the last token was put, and which.
        var authorized: NIODeadline
        var token: AccessToken?
        var isOver = false

        init(_ connection: AMQPClientConnection, _ session: AMQPClientSession, _ cbs: RequestResponseLink) {
            self.connection = connection
            self.session = session
            self.cbs = cbs
            authorized = connection.eventLoop.now
        }

        /// No timer is set again.
        func end() {
            isOver = true
            renewal?.cancel()
        }
    }

    package init(
        _ endpoint: EventHubEndpoint, options: EventHubsOptions = EventHubsOptions(), eventLoop: any EventLoop,
        logger: Logger
    ) {
        self.endpoint = endpoint
        self.options = options
        self.eventLoop = eventLoop
        self.logger = logger
    }

    // MARK: Connecting

    /// The open, authorised connection, made now if there is none. On the event loop.
    func established() -> EventLoopFuture<Established> {
        switch state {
        case .ready(let established): return eventLoop.makeSucceededFuture(established)
        case .connecting(let future): return future
        case .closed: return eventLoop.makeFailedFuture(closedError)
        case .idle: break
        }
        isInUse.store(true, ordering: .relaxed)
        // The state is set before the first step, which may end at once.
        let promise = eventLoop.makePromise(of: Established.self)
        state = .connecting(promise.futureResult)
        connect().whenComplete { result in
            if case .closed = self.state {
                if case .success(let established) = result { self.discard(established) }
                promise.fail(self.closedError)
                return
            }
            switch result {
            case .success(let established):
                self.state = .ready(established)
                established.connection.closeFuture.whenSuccess { self.lost(established, $0) }
            case .failure(let error):
                self.state = .idle
                self.logger.debug("no connection", metadata: ["error": "\(error)"])
            }
            promise.completeWith(result)
        }
        return promise.futureResult
    }

    private var closedError: EventHubsError { EventHubsError(.clientClosed, "the client is closed; make a new one") }

    /// The connection that is in use.
    var current: Established? { if case .ready(let established) = state { established } else { nil } }

    /// The token first: it may take longer than the service lets a new connection wait.
    private func connect() -> EventLoopFuture<Established> {
        let start = eventLoop.now
        return acquireToken(limit: wholeAuthorizationLimit).flatMap { token in
            let acquired = self.eventLoop.now - start
            return self.open().flatMap { self.authorize($0, token, since: self.eventLoop.now - acquired) }
        }
    }

    private func open() -> EventLoopFuture<AMQPClientConnection> {
        let route = endpoint.route
        return Dialer.dial(route, on: eventLoop) { channel in
            AMQPClientConnection.open(on: channel, self.handlerConfiguration).flatMapErrorThrowing { error in
                channel.close(promise: nil)
                let cause = (error as? AMQPTermination)?.error.map { $0.text ?? $0.condition } ?? "\(error)"
                throw EventHubsError(.connectFailed, "cannot open an AMQP connection to \(route.place): \(cause)")
            }
        }.flatMapErrorThrowing { error in
            throw EventHubsError(dialling: error)
        }.flatMap { $0 }
    }

    private var handlerConfiguration: AMQPHandlerConfiguration {
        var open = ConnectionConfiguration(containerID: "tailrace-\(AMQPUUID())")
        open.hostname = endpoint.host
        open.idleTimeOut = UInt32(clamping: max(1, TimeAmount(options.idleTimeout).nanoseconds / 1_000_000))
        open.channelMax = 4999
        open.properties[symbol: "product"] = .string("tailrace")
        open.properties[symbol: "platform"] = .string("Linux")
        open.properties[symbol: "user-agent"] = .string(options.wholeUserAgent)
        var configuration = AMQPHandlerConfiguration(.client(.anonymous), open)
        configuration.handshakeTimeout = TimeAmount(options.handshakeTimeout)
        if options.logsFrames {
            var logger = logger
            logger[metadataKey: "connection"] = "\(open.containerID)"
            configuration.frameLog = FrameLog(logger)
        }
        return configuration
    }

    /// Begins the session for questions, and puts the first token.
    private func authorize(
        _ connection: AMQPClientConnection, _ token: AccessToken, since start: NIODeadline
    ) -> EventLoopFuture<Established> {
        let opened = connection.beginSession().flatMap { session in
            RequestResponseLink.open(session, address: EventHubsName.cbs).map { (session, $0) }
        }
        let limit = TimeAmount(options.attachTimeout)
        return withDeadline(opened, limit, "attaching a link to \(EventHubsName.cbs)").flatMap { session, cbs in
            let established = Established(connection, session, cbs)
            return self.put(token, established, since: start).map { established }
        }.flatMapErrorThrowing { error in
            connection.close()
            throw EventHubsError(attaching: EventHubsName.cbs, error)
        }
    }

    private func lost(_ established: Established, _ termination: AMQPTermination) {
        established.end()
        guard case .ready(let current) = state, current === established else { return }
        state = .idle
        logger.debug("connection lost", metadata: ["reason": "\(termination)"])
    }

    /// The connection is of no use any more: what comes next gets another at once.
    func giveUp(_ established: Established) {
        if case .ready(let current) = state, current === established { state = .idle }
        discard(established)
    }

    private func discard(_ established: Established) {
        established.end()
        established.connection.close()
    }

    /// Ends the connection for good. The future succeeds when it is gone, at the latest after the closing deadline.
    package func close() -> EventLoopFuture<Void> {
        isInUse.store(false, ordering: .relaxed)
        return eventLoop.flatSubmit {
            let before = self.state
            self.state = .closed
            self.senders = [:]
            guard case .ready(let established) = before else { return self.eventLoop.makeSucceededVoidFuture() }
            established.end()
            return established.connection.close().map { _ in }
        }
    }

    /// Its owner has forgotten it. What was never used, or is closed, leaves the event loop alone: that may have been shut
    /// down since.
    func drop() {
        if isInUse.load(ordering: .relaxed) { _ = close() }
    }

    // MARK: Questions

    /// The link pair to `$management`, attached now if there is none. On the event loop.
    func management() -> EventLoopFuture<RequestResponseLink> {
        established().flatMap { established in
            if let future = established.management { return future }
            let opened = self.withDeadline(
                RequestResponseLink.open(established.session, address: EventHubsName.management),
                TimeAmount(self.options.attachTimeout), "attaching a link to \(EventHubsName.management)")
            established.management = opened
            opened.whenFailure { _ in established.management = nil }
            return opened
        }.flatMap { link in
            guard link.isOver else { return self.eventLoop.makeSucceededFuture(link) }
            // It was taken away while idle; the next one is fresh.
            if case .ready(let established) = self.state { established.management = nil }
            return self.management()
        }
    }

    /// `future`, or an error when it takes longer; `late` gets what comes after all.
    func withDeadline<Value: Sendable>(
        _ future: EventLoopFuture<Value>, _ limit: TimeAmount, _ doing: String,
        late: @escaping @Sendable (Value) -> Void = { _ in }
    ) -> EventLoopFuture<Value> {
        let promise = eventLoop.makePromise(of: Value.self)
        let decision = Decision()
        let timer = eventLoop.scheduleTask(in: limit) {
            guard decision.make() else { return }
            promise.fail(EventHubsError(.timeout, "\(doing): no answer within \(limit.text)"))
        }
        future.whenComplete { result in
            guard decision.make() else {
                if case .success(let value) = result { late(value) }
                return
            }
            timer.cancel()
            promise.completeWith(result)
        }
        return promise.futureResult
    }
}

/// First come, first served; on one event loop.
private final class Decision: @unchecked Sendable {
    private var isMade = false

    /// True for the first caller.
    func make() -> Bool {
        defer { isMade = true }
        return !isMade
    }
}
