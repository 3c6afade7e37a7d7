import NIOCore
import NIOPosix
import Synchronization

/// A server for faults that no real one makes to order: answers what it is told to, once it has read a whole head.
final class ScriptedServer: Sendable {
    let port: Int
    private let listener: any Channel
    private let record: Record

    final class Record: Sendable {
        let requests = Mutex<[String]>([])
    }

    /// - Parameters:
    ///   - answers: one for each head that a connection sends; what follows the last is echoed. Nil closes.
    static func start(_ answers: [@Sendable (String) -> String?]) async throws -> ScriptedServer {
        let record = Record()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Script(answers, record))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return ScriptedServer(listener, record)
    }

    private init(_ listener: any Channel, _ record: Record) {
        self.listener = listener
        self.record = record
        port = listener.localAddress?.port ?? 0
    }

    var requests: [String] { record.requests.withLock { $0 } }

    func stop() async { try? await listener.close() }

    private final class Script: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private var answers: [@Sendable (String) -> String?]
        private let record: Record
        private var head = ""

        init(_ answers: [@Sendable (String) -> String?], _ record: Record) {
            self.answers = answers
            self.record = record
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            guard !answers.isEmpty else {
                context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
                return
            }
            head += String(buffer: bytes)
            guard head.hasSuffix("\r\n\r\n") else { return }
            let request = head
            record.requests.withLock { $0.append(request) }
            head = ""
            guard let answer = answers.removeFirst()(request) else { return context.close(promise: nil) }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
    }
}

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
