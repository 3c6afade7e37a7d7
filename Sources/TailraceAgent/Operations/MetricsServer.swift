package import NIOCore
import NIOHTTP1
import NIOPosix

/// Serves `/metrics`, `/health` and `/ready` over HTTP/1.1.
package struct MetricsServer: Sendable {
    package enum Path: String, CaseIterable, Sendable {
        case metrics = "/metrics"
        case health = "/health"
        case ready = "/ready"
    }

    package struct Answer: Sendable {
        package var isHealthy: Bool
        package var body: [UInt8]

        package init(isHealthy: Bool = true, body: [UInt8]) {
            self.isHealthy = isHealthy
            self.body = body
        }
    }

    /// A connection without a request is closed after so long.
    package static let idleLimit = TimeAmount.seconds(30)

    private let channel: any Channel
    /// Where it listens; the port is the one chosen when 0 was asked for.
    package let address: SocketAddress?

    /// - Parameter answer: called on an event loop; must not block for long.
    package static func start(
        _ address: ListenAddress, group: any EventLoopGroup, answer: @escaping @Sendable (Path) -> Answer
    ) -> EventLoopFuture<MetricsServer> {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 16)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandlers([
                        IdleStateHandler(readTimeout: idleLimit), MetricsHandler(answer: answer),
                    ])
                }
            }
            .bind(host: address.host, port: address.port)
            .map { MetricsServer(channel: $0, address: $0.localAddress) }
    }

    package func stop() async {
        try? await channel.close()
    }

    /// For who is not on an event loop: begins no new answers, and returns when the port is free.
    func stopAndWait() { try? channel.close().wait() }
}

private final class MetricsHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @Sendable (MetricsServer.Path) -> MetricsServer.Answer
    private var head: HTTPRequestHead?

    init(answer: @escaping @Sendable (MetricsServer.Path) -> MetricsServer.Answer) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            guard let head else { return }
            self.head = nil
            respond(to: head, context: context)
        }
    }

    private func respond(to head: HTTPRequestHead, context: ChannelHandlerContext) {
        let path = MetricsServer.Path(rawValue: String(head.uri.prefix { $0 != "?" }))
        var status = HTTPResponseStatus.ok
        var body: [UInt8] = []
        if head.method != .GET && head.method != .HEAD {
            status = .methodNotAllowed
        } else if let path {
            let answer = answer(path)
            status = answer.isHealthy ? .ok : .serviceUnavailable
            body = answer.body
        } else {
            status = .notFound
            let paths = MetricsServer.Path.allCases.map(\.rawValue)
            body = Array("there are \(paths.joined(separator: ", "))\n".utf8)
        }
        let type = path == .metrics ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8"
        let headers: HTTPHeaders = [
            "content-type": type, "content-length": "\(body.count)", "connection": "close",
        ]
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: status, headers: headers))),
            promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
        }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            bound.value.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
