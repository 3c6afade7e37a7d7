internal import NIOCore
internal import Transports

/// The first handler behind TLS: looks at the first bytes of a connection, lets AMQP in as it is, and turns HTTP into a
/// WebSocket that carries AMQP. Then it leaves.
final class HubFrontDoor: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The service's path; its clients offer the one name or the other.
    private static let webSocket = WebSocketAcceptance(
        path: "/$servicebus/websocket", subprotocols: ["AMQPWSB10", "amqp"])

    private enum State {
        /// Fewer than four bytes have come.
        case looking
        case readingHead(HTTPHeadParser)
        /// Refused, or let in.
        case done
    }

    private let timeout: TimeAmount
    private let makeConnection: () -> any ChannelHandler
    private var state = State.looking
    private var bytes = ByteBuffer()
    private var deadline: Scheduled<Void>?

    /// - Parameters:
    ///   - timeout: to the first bytes of AMQP, or the last of an HTTP head, TLS included.
    ///   - makeConnection: the handler of the AMQP connection.
    init(timeout: TimeAmount, makeConnection: @escaping () -> any ChannelHandler) {
        self.timeout = timeout
        self.makeConnection = makeConnection
    }

    func handlerAdded(context: ChannelHandlerContext) {
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) { self.tooLate(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    private func tooLate(_ context: ChannelHandlerContext) {
        switch state {
        case .looking: context.close(promise: nil)
        case .readingHead: refuse(context, .init(408, "Request Timeout", "the request did not come in time"))
        case .done: break
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // What a refused client still says is not read.
        if case .done = state { return }
        var more = unwrapInboundIn(data)
        bytes.writeBuffer(&more)
        if case .looking = state {
            guard let first = bytes.getBytes(at: bytes.readerIndex, length: 4) else { return }
            // A method of HTTP; whatever else is for AMQP to answer.
            let isHTTP = first != Array("AMQP".utf8) && first.allSatisfy { (0x41...0x5A).contains($0) || $0 == 0x20 }
            guard isHTTP else { return letIn(context, []) }
            state = .readingHead(HTTPHeadParser(startingWith: ""))
        }
        guard case .readingHead(var parser) = state else { return }
        do throws(HTTPHeadError) {
            let head = try parser.receive(&bytes)
            state = .readingHead(parser)
            if let head { answer(context, head) }
        } catch {
            refuse(context, .init(error))
        }
    }

    private func answer(_ context: ChannelHandlerContext, _ head: HTTPHead) {
        do throws(WebSocketAcceptance.Refusal) {
            let answer = try Self.webSocket.answer(head)
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
            letIn(context, [WebSocketBytesHandler(.server)])
        } catch {
            refuse(context, error)
        }
    }

    private func refuse(_ context: ChannelHandlerContext, _ refusal: WebSocketAcceptance.Refusal) {
        state = .done
        deadline?.cancel()
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(refusal.answer)).whenComplete { _ in channel.close(promise: nil) }
    }

    private func letIn(_ context: ChannelHandlerContext, _ before: [any ChannelHandler]) {
        state = .done
        do {
            let pipeline = context.pipeline.syncOperations
            try pipeline.addHandlers(before + [makeConnection()])
            pipeline.removeHandler(context: context, promise: nil)
        } catch {
            context.close(promise: nil)
        }
    }

    func removeHandler(context: ChannelHandlerContext, removalToken: ChannelHandlerContext.RemovalToken) {
        if bytes.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(bytes))
            context.fireChannelReadComplete()
            bytes = ByteBuffer()
        }
        context.leavePipeline(removalToken: removalToken)
    }
}
