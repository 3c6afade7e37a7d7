internal import NIOCore

/// Sends the head of an HTTP request and waits for the head of the answer; then it is to be removed, and what came
/// behind the head goes on to the next handler.
final class HTTPHeadExchange: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: ByteBuffer
    private var answer: EventLoopPromise<HTTPHead>?
    private var parser = HTTPHeadParser(startingWith: "HTTP/1.")
    private var isStarted = false
    /// What came behind the head.
    private var rest = ByteBuffer()

    init(_ request: ByteBuffer, answer: EventLoopPromise<HTTPHead>) {
        self.request = request
        self.answer = answer
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { start(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { fail(HTTPHeadError.closed) }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(HTTPHeadError.closed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if answer == nil { context.fireErrorCaught(error) } else { fail(error) }
    }

    private func start(_ context: ChannelHandlerContext) {
        guard !isStarted else { return }
        isStarted = true
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard let answer else {
            rest.writeBuffer(&bytes)
            return
        }
        do throws(HTTPHeadError) {
            // Interim answers (RFC 9110 section 15.2) announce a final one; 101 is final.
            while let head = try parser.receive(&bytes) {
                parser = HTTPHeadParser(startingWith: "HTTP/1.")
                if let code = head.status?.code, code < 200, code != 101 { continue }
                self.answer = nil
                rest.writeBuffer(&bytes)
                return answer.succeed(head)
            }
        } catch {
            fail(error)
        }
    }

    private func fail(_ error: any Error) {
        answer?.fail(error)
        answer = nil
    }

    func removeHandler(context: ChannelHandlerContext, removalToken: ChannelHandlerContext.RemovalToken) {
        if rest.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(rest))
            context.fireChannelReadComplete()
            rest = ByteBuffer()
        }
        context.leavePipeline(removalToken: removalToken)
    }
}
