package import NIOCore

/// Runs a connection on a channel, for a client or a server.
///
/// Everything is called on the channel's event loop. Frames that one read or one tick of the loop causes leave in one
/// flush; transfers are made only as fast as the channel takes them.
package final class AMQPConnectionHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = Never
    package typealias OutboundOut = ByteBuffer

    private let configuration: AMQPHandlerConfiguration
    private let frameLog: FrameLog?
    /// Held until it was told the end, so that a connection in use lives as long as its channel.
    private var delegate: (any AMQPConnectionDelegate)?
    var handshake: HandshakeMachine
    var machine: ConnectionMachine
    private var decoder: FrameDecoder
    var context: ChannelHandlerContext?

    /// Bytes of a frame that has not arrived wholly.
    private var unread: ByteBuffer?
    /// Frames not yet written to the channel.
    private var outgoing = ByteBuffer()
    private var wroteSomething = false
    private var unwrittenFrames = 0
    private var isStarted = false
    private var isReading = false
    private var isWorking = false
    private var workIsScheduled = false
    private var closesTransport = false
    private var receivesNothingMore = false
    private var timer: Scheduled<Void>?
    private var timerDeadline: NIODeadline?
    private var handshakeTimer: Scheduled<Void>?
    private var closeTimer: Scheduled<Void>?

    package init(_ configuration: AMQPHandlerConfiguration, delegate: any AMQPConnectionDelegate) {
        self.configuration = configuration
        frameLog = configuration.frameLog
        self.delegate = delegate
        switch configuration.side {
        case .client(let credential):
            handshake = HandshakeMachine(client: credential, hostname: configuration.connection.hostname)
        case .server(let mechanisms, let allowsNoSASL):
            handshake = HandshakeMachine(serverMechanisms: mechanisms, allowsNoSASL: allowsNoSASL)
        }
        machine = ConnectionMachine(configuration.connection, now: .uptimeNanoseconds(0))
        decoder = FrameDecoder(maximumFrameSize: max(512, configuration.connection.maximumFrameSize))
    }

    /// Nil once the channel is gone.
    package var channel: (any Channel)? { context?.channel }
    /// The peer's `open`, once it came.
    package var remoteOpen: Open? { machine.remoteOpen }
    package var isOpen: Bool { machine.isOpen }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { start(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        transportClosed(nil)
        self.context = nil
    }

    package func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        transportClosed(nil)
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        transportClosed(AMQPError(AMQPCondition.connectionForced, "the transport failed: \(error)"))
        context.close(promise: nil)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            unwrittenFrames = 0
            work()
        }
        context.fireChannelWritabilityChanged()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !receivesNothingMore else { return }
        isReading = true
        var bytes = unwrapInboundIn(data)
        while unread != nil, bytes.readableBytes > 0 { completeUnread(with: &bytes) }
        decodeFrames(&bytes)
        guard bytes.readableBytes > 0, !receivesNothingMore else { return }
        // Slices of the old buffer live on in deliveries, so the rest moves to one of its own, as large as its frame.
        var rest = context.channel.allocator.buffer(capacity: max(bytes.readableBytes, frameLength(bytes)))
        rest.writeImmutableBuffer(bytes)
        unread = rest
    }

    /// Moves what the unfinished frame lacks over to it, and no more: the rest is decoded where it lies.
    private func completeUnread(with bytes: inout ByteBuffer) {
        guard var unread else { return }
        self.unread = nil
        let missing = frameLength(unread) - unread.readableBytes
        if var piece = bytes.readSlice(length: min(missing, bytes.readableBytes)) { unread.writeBuffer(&piece) }
        if unread.readableBytes >= frameLength(unread) { decodeFrames(&unread) }
        if unread.readableBytes > 0, !receivesNothingMore { self.unread = unread }
    }

    /// Bytes that the frame at the front of `bytes` has, as far as they are known: eight, until its size is there. For a
    /// size that the decoder refuses also eight, so that it is refused at once.
    private func frameLength(_ bytes: ByteBuffer) -> Int {
        guard let size: UInt32 = bytes.getInteger(at: bytes.readerIndex), bytes.readableBytes >= 8,
            size <= decoder.maximumFrameSize
        else { return 8 }
        return max(8, Int(size))
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        work()
        context.fireChannelReadComplete()
    }

    private func decodeFrames(_ bytes: inout ByteBuffer) {
        while !receivesNothingMore {
            do throws(AMQPCodecError) {
                guard let frame = try decoder.decode(buffer: &bytes) else { return }
                receive(frame)
            } catch {
                receivesNothingMore = true
                if handshake.isDone {
                    machine.receivedGarbage(error)
                    drainActions()
                } else {
                    perform([.failed(AMQPError(AMQPCondition.decodeError, error.description))])
                }
            }
        }
    }

    private func receive(_ frame: Frame) {
        switch frame {
        case .header(let header):
            frameLog?.header(.received, header)
            if handshake.isDone {
                receivesNothingMore = true
                machine.close(AMQPError(AMQPCondition.framingError, "a protocol header after the handshake"))
                drainActions()
            } else {
                perform(handshake.received(header))
            }
        case .sasl(let frame):
            frameLog?.sasl(.received, frame)
            perform(handshake.received(frame))
        case .amqp(let channel, let performative, let payload):
            guard handshake.isDone else {
                perform([.failed(AMQPError(AMQPCondition.framingError, "an AMQP frame before the AMQP header"))])
                return
            }
            guard let performative else {
                frameLog?.emptyFrame(.received)
                machine.receivedEmptyFrame(now: now)
                return
            }
            frameLog?.frame(.received, channel: channel, performative, payload: payload.readableBytes)
            machine.receive(
                channel: channel, performative, payload: payload.readableBytes > 0 ? payload : nil, now: now)
            drainActions()
        }
    }

    private var now: NIODeadline { context?.eventLoop.now ?? .now() }

    // MARK: Handshake

    private func start(_ context: ChannelHandlerContext) {
        guard !isStarted else { return }
        isStarted = true
        machine = ConnectionMachine(configuration.connection, now: context.eventLoop.now)
        handshakeTimer = context.eventLoop.assumeIsolated().scheduleTask(in: configuration.handshakeTimeout) {
            [weak self] in self?.handshakeTimedOut()
        }
        perform(handshake.start())
        work()
    }

    private func handshakeTimedOut() {
        guard machine.remoteOpen == nil else { return }
        let text = "no open within \(configuration.handshakeTimeout.nanoseconds / 1_000_000_000) s"
        transportClosed(AMQPError(AMQPCondition.connectionForced, text))
        context?.close(promise: nil)
    }

    /// Server: the verdict on the identity that the delegate was shown.
    package func decide(_ code: SASLCode) {
        perform(handshake.decide(code))
        scheduleWork()
    }

    private func perform(_ steps: [HandshakeMachine.Action]) {
        for step in steps {
            switch step {
            case .sendHeader(let header):
                frameLog?.header(.sent, header)
                header.encode(into: &outgoing)
            case .sendSASL(let frame):
                frameLog?.sasl(.sent, frame)
                FrameEncoder.write(frame, into: &outgoing)
            case .authenticate(let identity):
                delegate?.authenticate(identity, on: self)
            case .ready:
                // A server waits for the client's open: its own then follows by itself.
                if case .client = configuration.side { machine.open() }
                drainActions()
            case .failed(let error):
                receivesNothingMore = true
                closesTransport = true
                machine.transportClosed(error)
                drainActions()
            }
        }
    }

    // MARK: Work: events to the delegate, frames to the channel

    /// Events inside events only queue up: the outermost call takes them in order.
    private func drainActions() {
        guard !isWorking else { return }
        isWorking = true
        defer { isWorking = false }
        while let action = machine.next() {
            switch action {
            case .send(let channel, let performative, let payload): write(channel, performative, payload)
            case .sendHeartbeat:
                frameLog?.emptyFrame(.sent)
                FrameEncoder.writeEmpty(into: &outgoing)
            case .closeTransport: closesTransport = true
            case .event(let event):
                switch event {
                case .opened:
                    handshakeTimer?.cancel()
                    scheduleTick()
                case .closed: stopTimers()
                default: break
                }
                delegate?.handle(event, on: self)
                if case .closed = event { delegate = nil }
            }
        }
    }

    private func write(_ channel: UInt16, _ performative: Performative, _ payload: ByteBuffer?) {
        frameLog?.frame(.sent, channel: channel, performative, payload: payload?.readableBytes ?? 0)
        if case .transfer(let transfer) = performative, let payload {
            if payload.readableBytes <= Self.copiedPayload {
                FrameEncoder.write(channel: channel, performative, payload: payload, into: &outgoing)
            } else {
                FrameEncoder.writeHead(
                    channel: channel, transfer, payloadBytes: payload.readableBytes, into: &outgoing)
                writeOut()
                if let context {
                    wroteSomething = true
                    context.write(wrapOutboundOut(payload), promise: nil)
                }
            }
        } else {
            let start = outgoing.readableBytes
            FrameEncoder.write(channel: channel, performative, into: &outgoing)
            if case .close = performative { startCloseTimer() }
            if context?.channel.isWritable == false { countUnwritten() }
            let size = outgoing.readableBytes - start
            if size > machine.outgoingFrameLimit, machine.remoteOpen != nil {
                outgoing.moveWriterIndex(to: outgoing.writerIndex - size)
                failTransport("a frame of \(size) bytes is larger than the peer accepts")
            }
        }
    }

    /// Payloads up to this many bytes are copied behind their frame head: cheaper than a buffer of their own.
    private static var copiedPayload: Int { 4096 }

    private func countUnwritten() {
        unwrittenFrames += 1
        if unwrittenFrames > configuration.unwrittenFrameLimit {
            failTransport("the peer does not read its answers")
        }
    }

    private func failTransport(_ text: String) {
        receivesNothingMore = true
        closesTransport = true
        machine.transportClosed(AMQPError(AMQPCondition.resourceLimitExceeded, text))
    }

    /// Hands what is encoded to the channel.
    private func writeOut() {
        guard outgoing.readableBytes > 0 else { return }
        if let context {
            wroteSomething = true
            context.write(wrapOutboundOut(outgoing), promise: nil)
        }
        outgoing = ByteBuffer()
    }

    private func flush() {
        writeOut()
        guard wroteSomething else { return }
        wroteSomething = false
        machine.wrote(now: now)
        context?.flush()
    }

    /// Sends all that may be sent now, and flushes once per `writeBudget` bytes.
    private func work() {
        guard !isWorking, context != nil else { return }
        drainActions()
        while let context, context.channel.isWritable {
            let more = machine.pump(budget: configuration.writeBudget)
            drainActions()
            flush()
            if !more { break }
        }
        flush()
        if closesTransport {
            closesTransport = false
            receivesNothingMore = true
            stopTimers()
            context?.close(promise: nil)
        }
    }

    /// After a call of the owner: the rest of this tick may bring more, so the frames leave at its end.
    func scheduleWork() {
        guard !isReading, !isWorking, !workIsScheduled, let context else { return }
        workIsScheduled = true
        context.eventLoop.assumeIsolated().execute {
            self.workIsScheduled = false
            self.work()
        }
    }

    func transportClosed(_ error: AMQPError?) {
        receivesNothingMore = true
        machine.transportClosed(error)
        drainActions()
        stopTimers()
    }

    // MARK: Timers

    private func scheduleTick() {
        timer?.cancel()
        timer = nil
        guard let context, let deadline = machine.tick(now: now) else { return }
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            self?.scheduleTick()
            self?.work()
        }
    }

    private func startCloseTimer() {
        guard closeTimer == nil, let context else { return }
        closeTimer = context.eventLoop.assumeIsolated().scheduleTask(in: configuration.closeTimeout) { [weak self] in
            self?.transportClosed(nil)
            self?.context?.close(promise: nil)
        }
    }

    private func stopTimers() {
        timer?.cancel()
        handshakeTimer?.cancel()
        closeTimer?.cancel()
        timer = nil
    }
}

@available(*, unavailable)
extension AMQPConnectionHandler: Sendable {}
