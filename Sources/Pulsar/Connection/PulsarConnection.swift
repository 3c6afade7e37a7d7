package import Logging
package import NIOCore
package import Transports

/// A connection to a broker, ready for use. Runs a `ConnectionMachine`.
///
/// Its state is touched on its event loop only, hence `@unchecked Sendable`. Questions may be asked from anywhere; `write`
/// and the properties belong to the event loop.
package final class PulsarConnection: ChannelInboundHandler, @unchecked Sendable {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    package let eventLoop: any EventLoop
    /// The broker that the connection leads to, and whether through a proxy.
    package let address: BrokerAddress
    private let authentication: PulsarAuthentication
    private let logger: Logger
    private let authenticationTimeout: TimeAmount

    private var machine: ConnectionMachine
    private var decoder = FrameDecoder()
    /// What has come of a frame that is not whole.
    private var received = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var isOpening: EventLoopPromise<PulsarConnection>?
    private let closing: EventLoopPromise<Void>
    private var answers: [UInt64: EventLoopPromise<Command>] = [:]
    private var sessions: [UInt64: any ProducerSession] = [:]
    private var timer: Scheduled<Void>?
    private var timerDeadline: NIODeadline?

    /// Connects, with TLS when the route has some, and says hello. Fails with `PulsarError`.
    package static func open(
        _ route: Route, address: BrokerAddress, _ configuration: ConnectionMachine.Configuration,
        _ authentication: PulsarAuthentication, on eventLoop: any EventLoop, logger: Logger
    ) -> EventLoopFuture<PulsarConnection> {
        authentication.data(on: eventLoop, within: configuration.authenticationTimeout).flatMap { credentials in
            let connection = PulsarConnection(address, configuration, authentication, eventLoop, logger)
            return connection.dial(route, credentials)
        }
    }

    private init(
        _ address: BrokerAddress, _ configuration: ConnectionMachine.Configuration,
        _ authentication: PulsarAuthentication, _ eventLoop: any EventLoop, _ logger: Logger
    ) {
        self.address = address
        self.authentication = authentication
        self.eventLoop = eventLoop
        self.logger = logger
        authenticationTimeout = configuration.authenticationTimeout
        machine = ConnectionMachine(configuration, now: eventLoop.now)
        closing = eventLoop.makePromise()
    }

    private func dial(_ route: Route, _ credentials: AuthData) -> EventLoopFuture<PulsarConnection> {
        let promise = eventLoop.makePromise(of: PulsarConnection.self)
        isOpening = promise
        setTimer()
        Dialer.dial(route, on: eventLoop) { channel in
            // The time was over meanwhile.
            guard !self.machine.isClosed else { return channel.close(promise: nil) }
            try channel.pipeline.syncOperations.addHandler(self)
            self.perform(self.machine.connected(credentials))
        }.whenFailure { error in
            self.perform(self.machine.transportEnded(PulsarError(dialling: error)))
        }
        return promise.futureResult
    }

    // MARK: For producers

    /// Bytes of metadata and payload that the broker takes in one SEND.
    package var maximumMessageSize: Int { machine.maximumMessageSize }
    /// The smaller of the broker's and ours.
    package var protocolVersion: Int32 { machine.protocolVersion }
    package var isClosed: Bool { machine.isClosed }
    /// False: more bytes wait to be sent than is good; `connectionIsWritable` tells of the change.
    package var isWritable: Bool { context?.channel.isWritable ?? false }
    /// Completes when the connection is closed.
    package var closeFuture: EventLoopFuture<Void> { closing.futureResult }

    /// Makes a producer; `session` gets everything that the broker has for it from then on.
    ///
    /// The answer may have `producerReady` false: then `session.producerReady` ends the wait. After the deadline the broker
    /// is told that the producer is not wanted any more. Fails with `PulsarError`.
    ///
    /// - Parameter command: its `requestID` is chosen here.
    package func openProducer(
        _ command: ProducerCommand, _ session: any ProducerSession, deadline: NIODeadline
    ) -> EventLoopFuture<ProducerSuccessCommand> {
        let id = command.producerID
        return onLoop {
            self.sessions[id] = session
            return self.ask(.producer(command), deadline).flatMapThrowing { answer in
                guard case .producerSuccess(let success) = answer else { throw Self.strange(answer) }
                return success
            }.flatMapErrorThrowing { error in
                if self.sessions[id] === session { self.sessions[id] = nil }
                throw error
            }
        }
    }

    /// Ends a producer at the broker; afterwards its session hears nothing more, whatever the answer.
    package func closeProducer(_ id: UInt64, deadline: NIODeadline) -> EventLoopFuture<Void> {
        onLoop {
            let session = self.sessions[id]
            let question = CloseProducerCommand(producerID: id, requestID: 0)
            return self.ask(.closeProducer(question), deadline).map { _ in }.always { _ in
                if self.sessions[id] === session { self.forgetProducer(id) }
            }
        }
    }

    /// The session of this producer hears nothing more; the broker is not told.
    package func forgetProducer(_ id: UInt64) {
        eventLoop.preconditionInEventLoop()
        sessions[id] = nil
        machine.ended(id, eventLoop.now)
        setTimer()
    }

    /// Sends whole frames; `head` and `payload` follow one another on the wire.
    package func write(_ head: ByteBuffer, _ payload: ByteBuffer? = nil, flush: Bool) {
        eventLoop.preconditionInEventLoop()
        guard let context, !machine.isClosed else { return }
        context.write(wrapOutboundOut(head), promise: nil)
        if let payload { context.write(wrapOutboundOut(payload), promise: nil) }
        if flush { context.flush() }
    }

    package func flush() {
        eventLoop.preconditionInEventLoop()
        context?.flush()
    }

    /// Ends the connection; all its producers are told.
    package func close(_ error: PulsarError) {
        eventLoop.execute { self.perform(self.machine.close(error)) }
    }

    // MARK: For lookups

    package func partitions(
        _ topic: TopicName, deadline: NIODeadline
    ) -> EventLoopFuture<PartitionedMetadataResponseCommand> {
        onLoop {
            let question = PartitionedMetadataCommand(topic: topic.description, requestID: 0)
            return self.ask(.partitionedMetadata(question), deadline).flatMapThrowing { answer in
                guard case .partitionedMetadataResponse(let response) = answer else { throw Self.strange(answer) }
                return response
            }
        }
    }

    package func lookup(
        _ topic: TopicName, authoritative: Bool, listenerName: String?, deadline: NIODeadline
    ) -> EventLoopFuture<LookupResponseCommand> {
        onLoop {
            let question = LookupCommand(
                topic: topic.description, requestID: 0, authoritative: authoritative,
                advertisedListenerName: listenerName)
            return self.ask(.lookup(question), deadline).flatMapThrowing { answer in
                guard case .lookupResponse(let response) = answer else { throw Self.strange(answer) }
                return response
            }
        }
    }

    /// Somebody is about to use the connection: it is not idle.
    package func touch() {
        eventLoop.execute {
            self.machine.touch(self.eventLoop.now)
            self.setTimer()
        }
    }

    private static func strange(_ answer: Command) -> PulsarError {
        PulsarError(.protocolViolation, "command \(answer.type) answers another question")
    }

    private func onLoop<Value: Sendable>(
        _ body: @escaping @Sendable () -> EventLoopFuture<Value>
    ) -> EventLoopFuture<Value> {
        eventLoop.inEventLoop ? body() : eventLoop.flatSubmit(body)
    }

    private func ask(_ command: Command, _ deadline: NIODeadline) -> EventLoopFuture<Command> {
        let promise = eventLoop.makePromise(of: Command.self)
        do throws(PulsarError) {
            let (id, question) = try machine.ask(command, deadline: deadline, now: eventLoop.now)
            answers[id] = promise
            send(question)
            setTimer()
        } catch {
            promise.fail(error)
        }
        return promise.futureResult
    }

    // MARK: The channel

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        perform(machine.transportEnded(nil))
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = bytes } else { received.writeBuffer(&bytes) }
        do throws(WireError) {
            while let frame = try decoder.decode(buffer: &received) {
                perform(machine.received(frame.command, now: eventLoop.now))
                guard !machine.isClosed else { return }
            }
        } catch {
            return perform(machine.malformed(error))
        }
        if received.readableBytes == 0 { received = ByteBuffer() } else { received.discardReadBytes() }
    }

    package func channelInactive(context: ChannelHandlerContext) { perform(machine.transportEnded(nil)) }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let place = machine.configuration.place
        let code: PulsarError.Code = machine.isOpen ? .connectionLost : .connectFailed
        perform(machine.transportEnded(PulsarError(code, "\(place): \(ConnectFailure.text(error))")))
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        for session in inOrder(sessions) { session.connectionIsWritable() }
    }

    // MARK: Actions

    private func perform(_ action: ConnectionMachine.Action) {
        switch action {
        case .nothing: return
        case .route(let producer, let command): return route(command, to: producer)
        case .send(let command): send(command)
        case .note(let text):
            logger.debug("\(text)", metadata: ["broker": "\(machine.configuration.place)"])
        case .opened:
            logger.debug(
                "connected",
                metadata: ["broker": "\(machine.configuration.place)", "version": "\(machine.serverVersion)"])
            isOpening?.succeed(self)
            isOpening = nil
        case .fetchCredentials:
            let refused = machine.lastCredentials
            authentication.data(on: eventLoop, within: authenticationTimeout, replacing: refused).whenComplete {
                result in
                self.perform(
                    self.machine.fetched(result.mapError { PulsarError(any: $0, .credentialsUnavailable) }))
            }
        case .answer(let request, let result):
            answers.removeValue(forKey: request)?.completeWith(result.mapError { $0 })
        case .close(let error, let unanswered): end(error, unanswered)
        }
        setTimer()
    }

    private func route(_ command: Command, to producer: UInt64) {
        guard let session = sessions[producer] else {
            logger.debug(
                "passed over command \(command.type) for producer \(producer), which is not here",
                metadata: ["broker": "\(machine.configuration.place)"])
            return
        }
        switch command {
        case .sendReceipt(let receipt): session.receipt(receipt)
        case .sendError(let error): session.sendError(error)
        case .producerSuccess(let success): session.producerReady(success)
        case .closeProducer(let close):
            sessions[producer] = nil
            session.closedByBroker(close)
            setTimer()
        case .topicMigrated(let migrated):
            sessions[producer] = nil
            session.migrated(migrated)
            setTimer()
        default: break
        }
    }

    private func send(_ command: Command) {
        guard let context else { return }
        var bytes = context.channel.allocator.buffer(capacity: 64)
        Frame(command).encode(into: &bytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    private func end(_ error: PulsarError, _ unanswered: [UInt64]) {
        timer?.cancel()
        (timer, timerDeadline) = (nil, nil)
        received = ByteBuffer()
        if error.code == .authenticationFailed, let refused = machine.lastCredentials {
            authentication.refused(refused)
        }
        logger.debug("\(error)", metadata: ["broker": "\(machine.configuration.place)"])
        context?.close(promise: nil)
        let (answers, sessions) = (self.answers, self.sessions)
        self.answers = [:]
        self.sessions = [:]
        isOpening?.fail(error)
        isOpening = nil
        closing.succeed()
        for id in unanswered { answers[id]?.fail(error) }
        for session in inOrder(sessions) { session.connectionClosed(error) }
    }

    /// Of their making, so that the same happens in the same way again.
    private func inOrder(_ sessions: [UInt64: any ProducerSession]) -> [any ProducerSession] {
        sessions.sorted { $0.key < $1.key }.map(\.value)
    }

    /// One timer for the next thing that is due. One that is set too early finds nothing to do, and is set again.
    private func setTimer() {
        guard let next = machine.nextDeadline else { return }
        if let timerDeadline, timerDeadline <= next { return }
        timer?.cancel()
        timerDeadline = next
        timer = eventLoop.scheduleTask(deadline: next) {
            self.timer = nil
            self.timerDeadline = nil
            for action in self.machine.timePassed(self.eventLoop.now) { self.perform(action) }
            self.setTimer()
        }
    }
}

extension PulsarError {
    /// What `Dialer.dial` failed with.
    init(dialling error: any Error) {
        guard let error = error as? DialError, error.isPermanent else {
            self.init(.connectFailed, "\(error)")
            return
        }
        self.init(.invalidConfiguration, "\(error)")
    }

    /// An error that comes out of an untyped place.
    package init(any error: any Error, _ code: Code) {
        self = error as? PulsarError ?? PulsarError(code, "\(error)")
    }
}
