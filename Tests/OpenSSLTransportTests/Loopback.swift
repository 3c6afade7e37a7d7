import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization
import TestSupport

/// What one side of a connection saw, until it ended.
struct Report: Sendable {
    var bytes: [UInt8] = []
    var sessions: [TLSSession] = []
    var closedByPeer = 0
    var errors: [String] = []
}

/// The last handler of a test's pipeline: writes down what comes, and can echo.
final class Recorder: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let report = Mutex(Report())
    private let ended: EventLoopPromise<Report>
    private let enough: EventLoopPromise<[UInt8]>
    private let expected: Int
    private let answer: (@Sendable (Channel, ByteBuffer) -> Void)?

    /// - Parameter expecting: completes `received` once this many bytes have come.
    init(
        on loop: any EventLoop, expecting expected: Int = .max,
        answer: (@Sendable (Channel, ByteBuffer) -> Void)? = nil
    ) {
        ended = loop.makePromise()
        enough = loop.makePromise()
        self.expected = expected
        self.answer = answer
    }

    typealias Channel = any NIOCore.Channel

    var end: EventLoopFuture<Report> { ended.futureResult }
    var received: EventLoopFuture<[UInt8]> { enough.futureResult }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        let all = report.withLock { report -> [UInt8]? in
            report.bytes.append(contentsOf: bytes.readableBytesView)
            return report.bytes.count >= expected ? report.bytes : nil
        }
        if let all { enough.succeed(all) }
        answer?(context.channel, bytes)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        report.withLock { report in
            switch event as? TLSEvent {
            case .handshakeCompleted(let session)?: report.sessions.append(session)
            case .closedByPeer?: report.closedByPeer += 1
            case nil: break
            }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        report.withLock { $0.errors.append("\(error)") }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let report = report.withLock { $0 }
        enough.fail(ChannelError.eof)
        ended.succeed(report)
    }
}

/// In front of TLS: ends the TCP connection behind its back.
final class Cutter: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }
    /// On the channel's event loop.
    func cut() { context?.close(promise: nil) }
}

/// One connection over a real socket on 127.0.0.1, and the certificates of its test.
struct Loopback {
    let directory = TemporaryDirectory("tls")
    let authority: ThrowAwayAuthority
    let group = MultiThreadedEventLoopGroup.singleton

    init() throws {
        authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
    }

    var trust: TLSTrust { .file(directory("ca.pem")) }

    func files(_ identity: ThrowAwayIdentity, _ name: String = "server") throws -> TLSIdentityFiles {
        let files = TLSIdentityFiles(
            certificateChain: directory("\(name).pem"), privateKey: directory("\(name).key"))
        try identity.write(to: files)
        return files
    }

    func server(_ names: [String] = ["hub.test"]) throws -> TLSContext {
        try .server(identity: files(authority.issue(names: names)))
    }

    struct Side {
        var channel: any Channel
        var recorder: Recorder
        var cutter: Cutter
        func write(_ bytes: [UInt8]) { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
        func cut() { channel.eventLoop.execute { [cutter] in cutter.cut() } }
    }

    /// Accepts one connection; its side comes when it is there.
    func listen(
        _ context: TLSContext?, expecting: Int = .max,
        answer: (@Sendable (any Channel, ByteBuffer) -> Void)? = nil
    ) async throws -> (port: Int, accepted: EventLoopFuture<Side>, listener: any Channel) {
        let accepted = group.any().makePromise(of: Side.self)
        let listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                let side = Side(
                    channel: channel,
                    recorder: Recorder(on: channel.eventLoop, expecting: expecting, answer: answer), cutter: Cutter())
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(side.cutter)
                    if let context { try channel.pipeline.syncOperations.addHandler(TLSHandler(server: context)) }
                    try channel.pipeline.syncOperations.addHandler(side.recorder)
                    accepted.succeed(side)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return (listener.localAddress?.port ?? 0, accepted.futureResult, listener)
    }

    func connect(
        _ context: TLSContext?, _ name: String, port: Int, expecting: Int = .max
    ) async throws -> (side: Side, handshake: EventLoopFuture<TLSSession>) {
        let loop = group.any()
        let handshake = loop.makePromise(of: TLSSession.self)
        let side = Mutex<Side?>(nil)
        let channel = try await ClientBootstrap(group: loop)
            .channelInitializer { channel in
                let made = Side(
                    channel: channel, recorder: Recorder(on: channel.eventLoop, expecting: expecting),
                    cutter: Cutter())
                side.withLock { $0 = made }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(made.cutter)
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(
                            TLSHandler(client: context, serverName: name, handshake: handshake))
                    } else {
                        handshake.fail(ChannelError.operationUnsupported)
                    }
                    try channel.pipeline.syncOperations.addHandler(made.recorder)
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        let made = side.withLock { $0 }
        return (made ?? Side(channel: channel, recorder: Recorder(on: loop), cutter: Cutter()), handshake.futureResult)
    }
}
