import NIOCore

/// What a channel brings, to wait for.
final class Collector: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    private let expected: Int
    private let promise: EventLoopPromise<String>
    private var text = ""

    init(_ expected: Int, on loop: any EventLoop) {
        self.expected = expected
        promise = loop.makePromise()
    }

    var received: EventLoopFuture<String> { promise.futureResult }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        text += String(buffer: unwrapInboundIn(data))
        if text.utf8.count >= expected { promise.succeed(text) }
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(ChannelError.eof) }
}
