internal import Logging
internal import NIOCore
internal import OpenSSLTransport

/// One connection: its bytes become messages; reading stops while there is no room for them.
final class StreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// When there was no room, it is tried again after so long.
    private static let retry = TimeAmount.milliseconds(10)

    private let intake: StreamIntake
    private let listener: UInt32
    private let place: String
    private let counters: IntakeCounters
    private let logger: Logger
    private var framer: StreamFramer
    private var peer = PeerAddress()
    /// What there was no room for.
    private var rest = ByteBuffer()
    private var isWaiting = false
    private var hasEnded = false
    private var isBroken = false

    init(
        intake: StreamIntake, listener: UInt32, place: String, maximumMessage: Int, counters: IntakeCounters,
        logger: Logger
    ) {
        self.intake = intake
        self.listener = listener
        self.place = place
        self.counters = counters
        self.logger = logger
        framer = StreamFramer(limit: maximumMessage)
    }

    func channelActive(context: ChannelHandlerContext) {
        counters.connections.wrappingAdd(1, ordering: .relaxed)
        peer =
            context.remoteAddress?.withSockAddr { name, length in
                PeerAddress(name: UnsafeRawBufferPointer(start: name, count: length))
            } ?? PeerAddress()
        context.fireChannelActive()
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if rest.readableBytes == 0 { rest = bytes } else { rest.writeBuffer(&bytes) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard !isWaiting else { return }
        take(context)
        context.fireChannelReadComplete()
    }

    private func take(_ context: ChannelHandlerContext) {
        guard !isBroken else { return }
        let (used, problem) = rest.withUnsafeReadableBytes { bytes in
            framer.receive(bytes) { intake.put($0, peer: peer, listener: listener) }
        }
        rest.moveReaderIndex(forwardBy: used)
        if let problem { return refuse(problem, context) }
        if rest.readableBytes > 0 { return tryLater(context) }
        if hasEnded { finish(context) } else { context.read() }
    }

    /// The sender waits: nothing more is read until there is room.
    private func tryLater(_ context: ChannelHandlerContext) {
        isWaiting = true
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.retry) {
            let (handler, context) = bound.value
            handler.isWaiting = false
            handler.take(context)
        }
    }

    private func refuse(_ problem: StreamFramer.Problem, _ context: ChannelHandlerContext) {
        isBroken = true
        let count = counters.brokenFrames.wrappingAdd(1, ordering: .relaxed).newValue
        // The first, and then ever fewer: who sends nonsense can do so quickly.
        if count & (count - 1) == 0 {
            logger.warning(
                "a syslog connection is closed: it sends a count of more than \(StreamFramer.maximumCount) bytes",
                metadata: ["at": "\(place)", "peer": "\(peer)", "closed so far": "\(count)"])
        }
        context.close(promise: nil)
    }

    private func finish(_ context: ChannelHandlerContext) {
        guard !framer.finish({ intake.put($0, peer: peer, listener: listener) }) else { return }
        tryLater(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        counters.connections.wrappingSubtract(1, ordering: .relaxed)
        hasEnded = true
        if !isWaiting, !isBroken { take(context) }
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent, !isWaiting { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.info(
            "a syslog connection ended", metadata: ["at": "\(place)", "peer": "\(peer)", "error": "\(error)"])
        context.close(promise: nil)
    }
}
