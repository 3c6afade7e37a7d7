internal import AMQP
import Glibc
package import Logging
package import NIOCore
internal import NIOPosix
internal import OpenSSLTransport

/// One connection to an event hub, with what runs over it: authorisation, questions, one sender link per partition.
///
/// Everything is made on demand and made anew after it was lost: a connection when something is asked of it, a link when
/// something is sent over it. Nothing is tried again here; callers decide that. All state is touched on `eventLoop` only,
/// which is why the class may be Sendable; the methods may be called from any thread.
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
    /// Sender links by partition id; nil is the hub itself.
    private var senders: [String?: SenderLink] = [:]

    /// A connection that is open and authorised.
    final class Established: @unchecked Sendable {
        let connection: AMQPClientConnection
        let session: AMQPClientSession
        var cbs: RequestResponseLink
        var management: EventLoopFuture<RequestResponseLink>?
        var renewal: Scheduled<Void>?
        /// When the last token was put.
        var authorized = NIODeadline.now()

        init(_ connection: AMQPClientConnection, _ session: AMQPClientSession, _ cbs: RequestResponseLink) {
            self.connection = connection
            self.session = session
            self.cbs = cbs
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

    private func connect() -> EventLoopFuture<Established> {
        let place = "\(endpoint.host):\(endpoint.port)"
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(options.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 512 * 1024, high: 1024 * 1024))
            .channelInitializer { [endpoint] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let tls = endpoint.tls else { return }
                    let handler = try TLSHandler(client: tls, serverName: endpoint.host)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        return bootstrap.connect(host: endpoint.host, port: endpoint.port).flatMapErrorThrowing {
            throw EventHubsError(.connectFailed, "cannot connect to \(place): \($0)")
        }.flatMap { channel in
            AMQPClientConnection.open(on: channel, self.handlerConfiguration).flatMapErrorThrowing { error in
                channel.close(promise: nil)
                let cause = (error as? AMQPTermination)?.error.map { $0.text ?? $0.condition } ?? "\(error)"
                throw EventHubsError(.connectFailed, "cannot open an AMQP connection to \(place): \(cause)")
            }
        }.flatMap { self.authorize($0) }
    }

    private var handlerConfiguration: AMQPHandlerConfiguration {
        var open = ConnectionConfiguration(containerID: "tailrace-\(AMQPUUID())")
        open.hostname = endpoint.host
        open.idleTimeOut = UInt32(clamping: TimeAmount(options.idleTimeout).nanoseconds / 1_000_000)
        open.channelMax = 4999
        let product = "tailrace/1"
        open.properties[symbol: "product"] = .string("tailrace")
        open.properties[symbol: "platform"] = .string("Linux")
        let agent = options.userAgent.map { "\($0) \(product)" } ?? product
        open.properties[symbol: "user-agent"] = .string(String(agent.prefix(512)))
        var configuration = AMQPHandlerConfiguration(.client(.anonymous), open)
        configuration.handshakeTimeout = TimeAmount(options.handshakeTimeout)
        return configuration
    }

    /// Begins the session for questions, and puts the first token.
    private func authorize(_ connection: AMQPClientConnection) -> EventLoopFuture<Established> {
        let opened = connection.beginSession().flatMap { session in
            RequestResponseLink.open(session, address: EventHubsName.cbs).map { (session, $0) }
        }
        let limit = TimeAmount(options.attachTimeout)
        return withDeadline(opened, limit, "attaching a link to \(EventHubsName.cbs)").flatMap { session, cbs in
            let established = Established(connection, session, cbs)
            return self.putToken(established).map { established }
        }.flatMapErrorThrowing { error in
            connection.close()
            throw EventHubsError(attaching: EventHubsName.cbs, error)
        }
    }

    private func lost(_ established: Established, _ termination: AMQPTermination) {
        established.renewal?.cancel()
        guard case .ready(let current) = state, current === established else { return }
        state = .idle
        logger.debug("connection lost", metadata: ["reason": "\(termination)"])
    }

    private func discard(_ established: Established) {
        established.renewal?.cancel()
        established.connection.close()
    }

    /// Ends the connection for good. The future succeeds when it is gone, at the latest after the closing deadline.
    package func close() -> EventLoopFuture<Void> {
        eventLoop.flatSubmit {
            let before = self.state
            self.state = .closed
            self.senders = [:]
            guard case .ready(let established) = before else { return self.eventLoop.makeSucceededVoidFuture() }
            established.renewal?.cancel()
            return established.connection.close().map { _ in }
        }
    }

    // MARK: Tokens

    private func putToken(_ established: Established) -> EventLoopFuture<Void> {
        let now = Int64(time(nil))
        let token = endpoint.tokens.token(for: endpoint.audience, now: now, lifetime: options.tokenSeconds)
        var message = AMQPMessage(body: .value(.string(token.token)))
        message.applicationProperties = AMQPMap([
            .init(.string("name"), .string(endpoint.audience)),
            .init(.string("operation"), .string("put-token")),
            .init(.string("type"), .string(endpoint.tokens.tokenType)),
        ])
        if let expiry = token.expiry {
            let (milliseconds, overflow) = expiry.multipliedReportingOverflow(by: 1000)
            if !overflow { message.applicationProperties[string: "expiration"] = .timestamp(milliseconds) }
        }
        let doing = "authorising for \(endpoint.audience)"
        let limit = TimeAmount(options.authorizationTimeout)
        let request = message
        return cbs(established).flatMap { $0.request(request, deadline: limit, doing) }.flatMapThrowing { answer in
            try answer.checkStatus(doing)
            established.authorized = .now()
            if let expiry = token.expiry { self.scheduleRenewal(established, in: expiry - now) }
        }
    }

    /// The link pair to `$cbs`, attached anew when the service took it away.
    private func cbs(_ established: Established) -> EventLoopFuture<RequestResponseLink> {
        guard established.cbs.isOver else { return eventLoop.makeSucceededFuture(established.cbs) }
        return withDeadline(
            RequestResponseLink.open(established.session, address: EventHubsName.cbs),
            TimeAmount(options.attachTimeout), "attaching a link to \(EventHubsName.cbs)"
        ).map { link in
            established.cbs = link
            return link
        }
    }

    /// Renews when 80 % of the lifetime have passed. A ready-made token cannot be renewed: when it expires, the service
    /// takes the links away and says why.
    private func scheduleRenewal(_ established: Established, in lifetime: Int64) {
        guard endpoint.tokens.canRenew, lifetime > 0 else { return }
        let wait = TimeAmount.milliseconds(min(lifetime, EventHubsOptions.longestTokenSeconds) * 800)
        established.renewal?.cancel()
        established.renewal = eventLoop.scheduleTask(in: wait) { self.renew(established) }
    }

    private func renew(_ established: Established) {
        putToken(established).whenFailure { error in
            guard case .ready(let current) = self.state, current === established else { return }
            self.logger.warning("the token could not be renewed; trying again", metadata: ["error": "\(error)"])
            // The old token is good for another fifth of its life.
            let wait = min(TimeAmount.seconds(10), .milliseconds(self.options.tokenSeconds * 25))
            established.renewal = self.eventLoop.scheduleTask(in: wait) { self.renew(established) }
        }
    }

    /// A link was refused for want of rights: a new token may help. At most one every ten seconds.
    private func renewAfterRefusal() {
        guard case .ready(let established) = state, endpoint.tokens.canRenew,
            NIODeadline.now() - established.authorized > .seconds(10)
        else { return }
        established.authorized = .now()
        established.renewal?.cancel()
        renew(established)
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

    // MARK: Sending

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
                transmission.finish(SendResult(notSent: EventHubsError(attaching: self.place(transmission.partitionID), error)))
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
            return .failed(EventHubsError(.linkLost, "\(doing): the link takes no batch: \(refusal)"), .retriable(after: .zero))
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
        transmission.finish(.failed(EventHubsError(.timeout, text + "; whether the service has the batch is not known"), .unknown))
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

    /// `future`, or an error when it takes longer; `late` gets what comes after all.
    private func withDeadline<Value: Sendable>(
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

/// The sender link of one partition while its connection lasts.
private final class SenderLink: @unchecked Sendable {
    let connection: AMQPClientConnection
    let attached: EventLoopFuture<AMQPSender>

    init(_ connection: AMQPClientConnection, _ attached: EventLoopFuture<AMQPSender>) {
        self.connection = connection
        self.attached = attached
    }
}

/// One batch on its way.
private final class Transmission: @unchecked Sendable {
    let payload: ByteBuffer
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
        timer?.cancel()
        completion(result)
    }
}
