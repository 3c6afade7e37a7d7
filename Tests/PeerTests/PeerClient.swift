import AMQP
import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization

/// Our client, connected to a peer on this machine.
struct PeerClient {
    let connection: AMQPClientConnection
    let session: AMQPClientSession

    /// - Parameters:
    ///   - authority: a PEM file; nil: no TLS.
    ///   - frame: the largest frame that this side accepts, bytes.
    init(
        port: Int, authority: String? = nil, _ credential: SASLCredential? = .anonymous, frame: UInt32 = 65536,
        idleTimeOut: UInt32? = nil
    ) async throws {
        let tls = try authority.map { try TLSContext.client(trust: .file($0)) }
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let tls else { return }
                    try channel.pipeline.syncOperations.addHandler(TLSHandler(client: tls, serverName: "localhost"))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        var configuration = ConnectionConfiguration(containerID: "peer-tests")
        configuration.hostname = "localhost"
        configuration.maximumFrameSize = frame
        configuration.idleTimeOut = idleTimeOut
        connection = try await AMQPClientConnection.open(
            on: channel, AMQPHandlerConfiguration(.client(credential), configuration)
        ).get()
        session = try await connection.beginSession().get()
    }

    func sender(_ address: String, receiverSettles: ReceiverSettleMode = .first) async throws -> AMQPSender {
        var attach = Attach(name: "sender-\(AMQPUUID())", handle: 0, role: .sender)
        attach.source = Source(address: attach.name)
        attach.target = Target(address: address)
        attach.receiverSettleMode = receiverSettles
        return try await session.attachSender(attach).get()
    }

    /// A receiver whose deliveries go to `inbox`.
    func receiver(_ address: String, credit: CreditPolicy = .window(100), into inbox: Inbox) async throws
        -> AMQPReceiver
    {
        var attach = Attach(name: "receiver-\(AMQPUUID())", handle: 0, role: .receiver)
        attach.source = Source(address: address)
        attach.target = Target(address: attach.name)
        return try await session.attachReceiver(attach, credit: credit) { inbox.received($0, $1) }.get()
    }

    func close() async throws {
        let termination = try await connection.close().get()
        guard termination == AMQPTermination(scope: .connection, origin: .local) else { throw termination }
    }
}

extension AMQPSender {
    /// Sends one message and waits for what became of it.
    func send(_ message: AMQPMessage) async throws -> DeliveryResult {
        try await send(payload: message.encoded()).get()
    }

    /// Sends all at once and waits for all results.
    func sendAll(_ messages: [AMQPMessage], settled: Bool = false) async throws -> [DeliveryResult] {
        try await EventLoopFuture.whenAllSucceed(
            messages.map { send(payload: $0.encoded(), settled: settled) }, on: eventLoop
        ).get()
    }
}

extension AMQPMessage {
    /// A message with one data section.
    init(_ bytes: [UInt8]) { self.init(body: .data([ByteBuffer(bytes: bytes)])) }

    /// The bytes of its only data section; nil when the body is another one.
    var bytes: [UInt8]? {
        guard case .data(let sections) = body, sections.count == 1 else { return nil }
        return Array(sections[0].readableBytesView)
    }
}

/// What a receiver got.
final class Inbox: Sendable {
    private struct State {
        var messages: [AMQPMessage] = []
        var waiters: [(count: Int, CheckedContinuation<[AMQPMessage], Never>)] = []
    }
    private let state = Mutex(State())
    private let answer: @Sendable (Int) -> DeliveryState?

    /// - Parameter answer: the outcome for the delivery with this number, from 0; nil leaves it unanswered.
    init(_ answer: @escaping @Sendable (Int) -> DeliveryState? = { _ in .accepted }) { self.answer = answer }

    func received(_ receiver: AMQPReceiver, _ delivery: IncomingDelivery) {
        let message =
            (try? AMQPMessage(decoding: delivery.payload)) ?? AMQPMessage(body: .value(.string("not readable")))
        let (number, ready, messages) = state.withLock { state in
            state.messages.append(message)
            let count = state.messages.count
            let ready = state.waiters.filter { $0.count <= count }
            state.waiters.removeAll { $0.count <= count }
            return (count - 1, ready, ready.isEmpty ? [] : state.messages)
        }
        if !delivery.settled, let outcome = answer(number) { receiver.settle(delivery.id, outcome) }
        for waiter in ready { waiter.1.resume(returning: messages) }
    }

    /// All messages as soon as there are at least `count`.
    func messages(atLeast count: Int) async -> [AMQPMessage] {
        await withCheckedContinuation { continuation in
            let messages: [AMQPMessage]? = state.withLock { state in
                if state.messages.count >= count { return state.messages }
                state.waiters.append((count, continuation))
                return nil
            }
            if let messages { continuation.resume(returning: messages) }
        }
    }

    var messages: [AMQPMessage] { state.withLock { $0.messages } }
}
