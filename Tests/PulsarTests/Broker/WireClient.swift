import NIOCore
import NIOPosix

@testable import Pulsar

/// A client that says what it is told, frame by frame, and gives what comes back.
final class WireClient: Sendable {
    struct Closed: Error {}

    private let channel: any Channel
    private let frames: AsyncThrowingStream<Frame, any Error>

    /// TCP only; CONNECT is the caller's.
    init(url: String) async throws {
        let authority = url.split(separator: "/").last ?? ""
        let parts = authority.split(separator: ":")
        let (stream, continuation) = AsyncThrowingStream<Frame, any Error>.makeStream()
        frames = stream
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Reader(continuation))
                }
            }
            .connect(host: String(parts[0]), port: Int(parts[1]) ?? 0).get()
    }

    /// Connected and let in.
    static func connected(
        _ url: String?, _ connect: ConnectCommand = ConnectCommand(clientVersion: "test", protocolVersion: 20)
    ) async throws -> WireClient {
        guard let url else { throw Closed() }
        let client = try await WireClient(url: url)
        try await client.send(.connect(connect))
        guard case .connected = try await client.next() else { throw Closed() }
        return client
    }

    func send(_ command: Command, payload: FramePayload? = nil) async throws {
        var buffer = ByteBuffer()
        Frame(command, payload: payload).encode(into: &buffer)
        try await channel.writeAndFlush(buffer)
    }

    func send(bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

    /// The next command; PINGs are answered on the way. `Closed` when the broker has closed the connection.
    func next() async throws -> Command { try await nextFrame().command }

    func nextFrame() async throws -> Frame {
        for try await frame in frames {
            guard frame.command == .ping else { return frame }
            try await send(.pong)
        }
        throw Closed()
    }

    /// True when nothing but the end of the connection is left.
    func isAtEnd() async -> Bool {
        do {
            _ = try await next()
            return false
        } catch {
            return true
        }
    }

    func close() async throws { try await channel.close() }

    // MARK: - Producers

    func produce(
        _ topic: String, id: UInt64 = 0, name: String? = "p", epoch: UInt64 = 0, mode: ProducerAccessMode = .shared
    ) async throws -> Command {
        try await send(
            .producer(
                ProducerCommand(
                    topic: topic, producerID: id, requestID: 100 + id, producerName: name, epoch: epoch,
                    userProvidedProducerName: true, producerAccessMode: mode)))
        return try await next()
    }

    /// - Parameter highest: of a batch, whose messages are then the ids as text.
    func post(_ sequenceID: UInt64, highest: UInt64? = nil, id: UInt64 = 0, name: String = "p") async throws {
        var metadata = MessageMetadata(producerName: name, sequenceID: sequenceID, publishTime: 1)
        var command = SendCommand(producerID: id, sequenceID: sequenceID)
        var payload = ByteBuffer()
        if let highest {
            metadata.highestSequenceID = highest
            metadata.numMessagesInBatch = Int32(highest - sequenceID + 1)
            command.highestSequenceID = highest
            command.numMessages = metadata.numMessagesInBatch
            for id in sequenceID...highest {
                payload.writeMessage(
                    SingleMessageMetadata(payloadSize: 0, sequenceID: id), payload: ByteBuffer(string: "\(id)"))
            }
        } else {
            payload.writeString("\(sequenceID)")
        }
        try await send(.send(command), payload: FramePayload(metadata: metadata, payload: payload))
    }

    /// The receipt that is next, as (sequence id, entry).
    func receipt() async throws -> [Int64] {
        let command = try await next()
        guard case .sendReceipt(let receipt) = command else { throw Unexpected(command: command) }
        return [Int64(receipt.sequenceID), receipt.messageID?.entryID ?? -2]
    }

    struct Unexpected: Error { let command: Command }

    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let frames: AsyncThrowingStream<Frame, any Error>.Continuation
        private var decoder = FrameDecoder()
        private var received = ByteBuffer()

        init(_ frames: AsyncThrowingStream<Frame, any Error>.Continuation) {
            self.frames = frames
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            received.writeBuffer(&bytes)
            do throws(WireError) {
                while let frame = try decoder.decode(buffer: &received) { frames.yield(frame) }
            } catch {
                frames.finish(throwing: error)
            }
        }

        func channelInactive(context: ChannelHandlerContext) { frames.finish() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
