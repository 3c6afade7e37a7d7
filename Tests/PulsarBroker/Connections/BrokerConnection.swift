internal import NIOCore
internal import Pulsar

/// One client of the broker. Lives on the broker's event loop.
final class BrokerConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State: Equatable {
        /// CONNECT is awaited.
        case connecting
        /// An AUTH_RESPONSE is awaited before CONNECTED.
        case challenged(ConnectCommand)
        case open
        case closed
    }

    let id: Int
    let broker: PulsarBroker
    let role: BrokerListener.Role
    let usesTLS: Bool
    var state = State.connecting
    /// The CONNECT named a broker behind the proxy.
    var isProxied = false
    var producers: [UInt64: BrokerProducer] = [:]
    /// Closed by the broker: what their clients had sent before they knew is not looked at.
    var closedProducers: Set<UInt64> = []
    var consumers: [UInt64: BrokerConsumer] = [:]
    var challengeDeadline: Scheduled<Void>?
    /// Producers whose opening waits for a fault script.
    var delayedProducers: Set<UInt64> = []

    private var decoder: FrameDecoder
    private var received = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var output = ByteBuffer()
    private var isReading = false
    private var isFlushScheduled = false
    private var keepAlive: Scheduled<Void>?
    /// Ticks of the keep-alive without a byte from the client.
    private var silentTicks = 0

    init(id: Int, broker: PulsarBroker, role: BrokerListener.Role, usesTLS: Bool) {
        self.id = id
        self.broker = broker
        self.role = role
        self.usesTLS = usesTLS
        decoder = FrameDecoder(
            maximumMessageSize: broker.configuration.maximumMessageSize ?? FrameDecoder.defaultMaximumMessageSize)
    }

    /// Its producers in the order of their making.
    var inOrder: [BrokerProducer] { producers.sorted { $0.key < $1.key }.map(\.value) }

    var eventLoop: NIOIsolatedEventLoop? { context?.eventLoop.assumeIsolated() }

    // MARK: - Channel

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        broker.opened(self)
        tick()
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        ended()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard !broker.isSilent, state != .closed else { return }
        silentTicks = 0
        isReading = true
        received.writeBuffer(&bytes)
        do throws(WireError) {
            while state != .closed, let frame = try decoder.decode(buffer: &received) { receive(frame) }
        } catch {
            broker.logger.debug("broken frame", metadata: ["error": "\(error)"])
            close()
        }
        received.discardReadBytes()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flush()
        context.fireChannelReadComplete()
    }

    func send(_ command: Command) { send(Frame(command)) }

    func send(_ frame: Frame) {
        guard state != .closed, !broker.isSilent else { return }
        frame.encode(into: &output)
        guard !isReading, !isFlushScheduled else { return }
        isFlushScheduled = true
        eventLoop?.execute { [weak self] in self?.flush() }
    }

    /// Never in the middle of something: a channel that cannot write reads what is left, and frames would be looked at out of
    /// turn.
    private func flush() {
        isFlushScheduled = false
        guard let context, output.readableBytes > 0 else { return }
        let bytes = output
        output = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    /// What was sent before still goes out; what comes is not looked at any more.
    func close() {
        guard state != .closed else { return }
        let (context, bytes) = (context, output)
        ended()
        if bytes.readableBytes > 0 { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }
        context?.close(promise: nil)
    }

    private func ended() {
        guard state != .closed else { return }
        state = .closed
        context = nil
        keepAlive?.cancel()
        challengeDeadline?.cancel()
        for consumer in consumers.values { consumer.subscription.leave(consumer) }
        consumers = [:]
        broker.closed(self)
        producers = [:]
    }

    private func tick() {
        keepAlive = eventLoop?.scheduleTask(in: broker.configuration.keepAliveInterval) { [weak self] in
            guard let self else { return }
            silentTicks += 1
            if silentTicks > 2 && !broker.isSilent { return close() }
            if state == .open { send(.ping) }
            tick()
        }
    }

    // MARK: - Commands

    private func receive(_ frame: Frame) {
        if case .send(let command) = frame.command, let payload = frame.payload {
            guard state == .open else { return close() }
            return receive(command, payload)
        }
        switch broker.fault(frame.command, id) {
        case nil: handle(frame.command)
        case .answer(let commands)?: for command in commands { send(command) }
        case .silence?: break
        case .drop?: close()
        case .delay(let time)?: delay(frame.command, time)
        }
    }

    private func delay(_ command: Command, _ time: TimeAmount) {
        var producer: UInt64?
        if case .producer(let opening) = command {
            producer = opening.producerID
            delayedProducers.insert(opening.producerID)
        }
        _ = eventLoop?.scheduleTask(in: time) { [weak self] in
            // It may have been closed before it was open.
            if let producer, self?.delayedProducers.remove(producer) == nil { return }
            self?.handle(command)
        }
    }

    private func handle(_ command: Command) {
        switch (state, command) {
        case (.closed, _): break
        case (_, .ping): send(.pong)
        case (_, .pong): break
        case (.connecting, .connect(let command)): connect(command)
        case (.challenged(let first), .authResponse(let response)):
            guard authenticate(response.response?.authMethodName, response.response?.authData) else { return }
            accept(first)
        case (.open, .authResponse(let response)):
            if authenticate(response.response?.authMethodName, response.response?.authData) {
                challengeDeadline?.cancel()
                challengeDeadline = nil
            }
        case (.connecting, _), (.challenged, _): close()
        case (.open, .partitionedMetadata(let command)): answer(command)
        case (.open, .lookup(let command)): answer(command)
        case (.open, .producer(let command)): open(command)
        case (.open, .closeProducer(let command)): close(command)
        case (.open, .subscribe(let command)): subscribe(command)
        case (.open, .flow(let command)): consumers[command.consumerID]?.permit(command.messagePermits)
        case (.open, .ack(let command)): acknowledge(command)
        case (.open, .redeliver(let command)):
            if let consumer = consumers[command.consumerID] {
                consumer.subscription.redeliver(command.messageIDs.map { Int(clamping: $0.entryID) }, to: consumer)
            }
        case (.open, .unsubscribe(let command)):
            leave(command.consumerID, forEver: true)
            send(.success(SuccessCommand(requestID: command.requestID)))
        case (.open, .closeConsumer(let command)):
            leave(command.consumerID)
            send(.success(SuccessCommand(requestID: command.requestID)))
        case (.open, .getLastMessageID(let command)): answer(command)
        default: broker.logger.debug("passed over a command", metadata: ["type": "\(command.type)"])
        }
    }

    func refuse(_ requestID: UInt64, _ error: ServerError, _ message: String) {
        send(.error(ErrorCommand(requestID: requestID, error: error, message: message)))
    }

    // MARK: - Handshake

    private static let version = "tailrace-pulsar-broker"

    private func connect(_ command: ConnectCommand) {
        guard broker.configuration.challengesInHandshake else {
            if authenticate(command.authMethodName, command.authData) { accept(command) }
            return
        }
        state = .challenged(command)
        challenge(method: command.authMethodName)
    }

    private func accept(_ command: ConnectCommand) {
        challengeDeadline?.cancel()
        challengeDeadline = nil
        state = .open
        isProxied = command.proxyToBrokerURL != nil
        if role == .proxy, let url = command.proxyToBrokerURL, url != PulsarBroker.behindProxy {
            refuse(.max, .serviceNotReady, "there is no such broker behind this proxy")
            return close()
        }
        send(
            .connected(
                ConnectedCommand(
                    serverVersion: Self.version,
                    protocolVersion: min(command.protocolVersion ?? 0, broker.configuration.protocolVersion),
                    maxMessageSize: broker.configuration.maximumMessageSize.map { Int32(clamping: $0) },
                    featureFlags: FeatureFlags(supportsAuthRefresh: true))))
    }

    /// Of no request: the highest number.
    private func authenticate(_ method: String?, _ data: [UInt8]?) -> Bool {
        if broker.authentication.accepts(method: method, data: data) { return true }
        refuse(.max, .authenticationError, "Failed to authenticate")
        close()
        return false
    }

    /// Asks for fresh credentials.
    func challenge(method: String? = nil) {
        send(
            .authChallenge(
                AuthChallengeCommand(
                    serverVersion: Self.version, challenge: AuthData(authMethodName: method, authData: []),
                    protocolVersion: broker.configuration.protocolVersion)))
        challengeDeadline?.cancel()
        challengeDeadline = eventLoop?.scheduleTask(in: broker.configuration.challengeTimeout) { [weak self] in
            self?.close()
        }
    }
}
