public import NIOCore
import NIOPosix
import Synchronization

/// A server for faults that no real one makes to order: answers what it is told to, once it has read a whole head, and
/// the body whose length
/// the head states.
public final class ScriptedServer: Sendable {
    public let port: Int
    private let listener: any Channel
    private let record: Record

    private final class Record: Sendable {
        let requests = Mutex<[String]>([])
    }

    /// - Parameters:
    ///   - answers: one for each request that a connection sends, which they are given whole; what follows the last is
    ///     echoed. Nil closes.
    ///   - prepare: called for each connection first, to add what stands in front (TLS).
    public static func start(
        _ answers: [@Sendable (String) -> String?],
        prepare: @escaping @Sendable (any Channel) throws -> Void = { _ in }
    ) async throws -> ScriptedServer {
        let record = Record()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try prepare(channel)
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

    public var requests: [String] { record.requests.withLock { $0 } }

    public func stop() async { try? await listener.close() }

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

        private var isWhole: Bool {
            guard let end = head.firstRange(of: "\r\n\r\n") else { return false }
            let length = head[..<end.lowerBound].split(separator: "\r\n").lazy.compactMap { line -> Int? in
                let prefix = "content-length: "
                return line.lowercased().hasPrefix(prefix) ? Int(line.dropFirst(prefix.count)) : nil
            }.first
            return head[end.upperBound...].utf8.count >= length ?? 0
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            guard !answers.isEmpty else {
                context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
                return
            }
            head += String(buffer: bytes)
            guard isWhole else { return }
            let request = head
            record.requests.withLock { $0.append(request) }
            head = ""
            guard let answer = answers.removeFirst()(request) else { return context.close(promise: nil) }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
    }
}
