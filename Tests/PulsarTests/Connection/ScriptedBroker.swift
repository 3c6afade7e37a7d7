import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization

@testable import Pulsar

/// A broker for faults that no real one makes to order: answers each command as it is told to.
final class ScriptedBroker: Sendable {
    enum Reply: Sendable {
        case send(Command)
        case bytes([UInt8])
        case close
    }

    /// What came, with the number of the connection that it came on.
    struct Heard: Sendable {
        var connection: Int
        var command: Command
    }

    typealias Script = @Sendable (Command, ScriptedBroker) -> [Reply]

    private struct State {
        var heard: [Heard] = []
        var channels: [any Channel] = []
        var waiters: [(@Sendable ([Heard]) -> Bool, CheckedContinuation<Void, Never>)] = []
        var port = 0
        var listener: (any Channel)?
    }

    private let script: Script
    private let state = Mutex(State())

    /// - Parameter script: asked for each command; what it does not answer with anything is answered as usual, when `usual`.
    static func start(tls: TLSContext? = nil, _ script: @escaping Script = { _, _ in [] }) async throws
        -> ScriptedBroker
    {
        let broker = ScriptedBroker(script)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(TLSHandler(server: tls)) }
                    try channel.pipeline.syncOperations.addHandler(Session(broker, broker.joined(channel)))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        broker.state.withLock {
            $0.port = listener.localAddress?.port ?? 0
            $0.listener = listener
        }
        return broker
    }

    private init(_ script: @escaping Script) { self.script = script }

    var port: Int { state.withLock { $0.port } }
    var url: String { "pulsar://127.0.0.1:\(port)" }
    var heard: [Heard] { state.withLock { $0.heard } }
    var connections: Int { state.withLock { $0.channels.count } }

    /// Waits until what was heard is as `isEnough` wants it.
    func hears(_ isEnough: @escaping @Sendable ([Heard]) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if isEnough(state.heard) { return true }
                state.waiters.append((isEnough, continuation))
                return false
            }
            if isDone { continuation.resume() }
        }
    }

    /// Sends to a connection, unasked.
    func send(_ command: Command, to connection: Int) {
        let channel = state.withLock { $0.channels[connection] }
        channel.writeAndFlush(Self.bytes(command), promise: nil)
    }

    func drop(_ connection: Int) { state.withLock { $0.channels[connection] }.close(promise: nil) }

    func stop() async {
        let (listener, channels) = state.withLock { ($0.listener, $0.channels) }
        try? await listener?.close()
        for channel in channels { try? await channel.close() }
    }

    private func joined(_ channel: any Channel) -> Int {
        state.withLock {
            $0.channels.append(channel)
            return $0.channels.count - 1
        }
    }

    private func hear(_ command: Command, _ connection: Int) -> [Reply] {
        let ready = state.withLock { state in
            state.heard.append(Heard(connection: connection, command: command))
            let heard = state.heard
            let ready = state.waiters.filter { $0.0(heard) }.map(\.1)
            state.waiters.removeAll { $0.0(heard) }
            return ready
        }
        for continuation in ready { continuation.resume() }
        let answer = script(command, self)
        return answer.isEmpty ? usual(command) : answer
    }

    /// As a broker alone in its cluster answers.
    private func usual(_ command: Command) -> [Reply] {
        switch command {
        case .connect: [.send(.connected(ConnectedCommand(serverVersion: "scripted", protocolVersion: 20)))]
        case .ping: [.send(.pong)]
        case .partitionedMetadata(let question):
            [
                .send(
                    .partitionedMetadataResponse(
                        PartitionedMetadataResponseCommand(
                            partitions: 0, requestID: question.requestID, response: .success)))
            ]
        case .lookup(let question):
            [
                .send(
                    .lookupResponse(
                        LookupResponseCommand(brokerServiceURL: url, response: .connect, requestID: question.requestID))
                )
            ]
        case .producer(let question):
            [
                .send(
                    .producerSuccess(
                        ProducerSuccessCommand(
                            requestID: question.requestID, producerName: question.producerName ?? "made-up",
                            lastSequenceID: -1)))
            ]
        case .closeProducer(let question): [.send(.success(SuccessCommand(requestID: question.requestID)))]
        default: []
        }
    }

    private static func bytes(_ command: Command) -> ByteBuffer {
        var bytes = ByteBuffer()
        Frame(command).encode(into: &bytes)
        return bytes
    }

    private final class Session: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let broker: ScriptedBroker
        private let number: Int
        private var decoder = FrameDecoder()
        private var received = ByteBuffer()

        init(_ broker: ScriptedBroker, _ number: Int) {
            self.broker = broker
            self.number = number
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received.writeImmutableBuffer(unwrapInboundIn(data))
            while let frame = try? decoder.decode(buffer: &received) {
                for reply in broker.hear(frame.command, number) {
                    switch reply {
                    case .send(let command): context.write(wrapOutboundOut(ScriptedBroker.bytes(command)), promise: nil)
                    case .bytes(let bytes): context.write(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
                    case .close:
                        context.flush()
                        return context.close(promise: nil)
                    }
                }
            }
            context.flush()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
