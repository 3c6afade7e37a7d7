import NIOCore
import NIOEmbedded

@testable import AMQP

/// A client and a server handler back to back in memory, on one simulated event loop.
final class ConnectionPair {
    /// What one side was told, and what it does about attaches.
    final class Recorder: AMQPConnectionDelegate {
        var events: [ConnectionEvent] = []
        var verdict = SASLCode.ok
        var identities: [SASLIdentity] = []
        var onEvent: ((ConnectionEvent, AMQPConnectionHandler) -> Void)?

        func authenticate(_ identity: SASLIdentity, on connection: AMQPConnectionHandler) {
            identities.append(identity)
            connection.decide(verdict)
        }

        func handle(_ event: ConnectionEvent, on connection: AMQPConnectionHandler) {
            events.append(event)
            onEvent?(event, connection)
        }

        var results: [DeliveryResult] {
            events.compactMap { if case .result(_, _, let result) = $0 { result } else { nil } }
        }
        var deliveries: [IncomingDelivery] {
            events.compactMap { if case .delivery(_, let delivery) = $0 { delivery } else { nil } }
        }
        var links: [LinkID] {
            events.compactMap {
                switch $0 {
                case .attached(let id, _), .attachRequested(let id, _): id
                default: nil
                }
            }
        }
        var sessions: [SessionID] {
            events.compactMap { if case .sessionBegun(let id, _, _) = $0 { id } else { nil } }
        }
        var linkEnds: [AMQPTermination] {
            events.compactMap { if case .linkEnded(_, let termination) = $0 { termination } else { nil } }
        }
        var sessionEnds: [AMQPTermination] {
            events.compactMap { if case .sessionEnded(_, let termination) = $0 { termination } else { nil } }
        }
        var closed: AMQPTermination? {
            events.lazy.compactMap { if case .closed(let termination) = $0 { termination } else { nil } }.first
        }
    }

    let loop = EmbeddedEventLoop()
    let clientChannel: EmbeddedChannel
    let serverChannel: EmbeddedChannel
    let clientSide = Recorder()
    let serverSide = Recorder()
    let client: AMQPConnectionHandler
    let server: AMQPConnectionHandler
    /// Flushes seen and bytes moved, client to server.
    var bytesToServer = 0
    /// Called with each piece on its way to the server; return what shall arrive.
    var tamper: ((ByteBuffer) -> ByteBuffer)?
    /// Cuts what goes to the server into the pieces that arrive there.
    var cut: ((ByteBuffer) -> [ByteBuffer])?

    init(
        credential: SASLCredential? = .anonymous, allowsNoSASL: Bool = true,
        client clientConfiguration: (inout ConnectionConfiguration) -> Void = { _ in },
        server serverConfiguration: (inout ConnectionConfiguration) -> Void = { _ in }
    ) throws {
        var clientSettings = ConnectionConfiguration(containerID: "client")
        clientConfiguration(&clientSettings)
        var serverSettings = ConnectionConfiguration(containerID: "server")
        serverConfiguration(&serverSettings)
        client = AMQPConnectionHandler(
            AMQPHandlerConfiguration(.client(credential), clientSettings), delegate: clientSide)
        server = AMQPConnectionHandler(
            AMQPHandlerConfiguration(
                .server(mechanisms: ["ANONYMOUS", "PLAIN"], allowsNoSASL: allowsNoSASL), serverSettings),
            delegate: serverSide)
        clientChannel = EmbeddedChannel(handlers: [client], loop: loop)
        serverChannel = EmbeddedChannel(handlers: [server], loop: loop)
        try clientChannel.connect(to: SocketAddress(unixDomainSocketPath: "/c")).wait()
        try serverChannel.connect(to: SocketAddress(unixDomainSocketPath: "/s")).wait()
    }

    /// Moves bytes both ways until nothing moves any more.
    func run() {
        var moved = true
        while moved {
            moved = false
            loop.run()
            while let bytes = try? clientChannel.readOutbound(as: ByteBuffer.self) {
                moved = true
                bytesToServer += bytes.readableBytes
                let arriving = tamper?(bytes) ?? bytes
                for piece in cut?(arriving) ?? [arriving] where serverChannel.isActive {
                    _ = try? serverChannel.writeInbound(piece)
                }
            }
            while let bytes = try? serverChannel.readOutbound(as: ByteBuffer.self) {
                moved = true
                if clientChannel.isActive { _ = try? clientChannel.writeInbound(bytes) }
            }
            // A closed end is seen by the other.
            if !clientChannel.isActive, serverChannel.isActive {
                serverChannel.close(promise: nil)
                moved = true
            }
            if !serverChannel.isActive, clientChannel.isActive {
                clientChannel.close(promise: nil)
                moved = true
            }
        }
    }

    /// Lets time pass on both ends.
    func advance(_ amount: TimeAmount) {
        run()
        loop.advanceTime(by: amount)
        run()
    }

    /// A session and, on it, a link from client to server with this much credit.
    func openSender(
        credit: UInt32 = 100, format attach: (inout Attach) -> Void = { _ in },
        answer: @escaping (inout Attach) -> Void = { _ in }
    ) -> LinkID? {
        serverSide.onEvent = { event, server in
            if case .attachRequested(let id, let attach) = event {
                var reply = Attach(name: "", handle: 0, role: .receiver)
                reply.source = attach.source
                reply.target = attach.target
                answer(&reply)
                server.accept(id, reply, credit: .window(credit))
            }
        }
        run()
        guard let session = client.beginSession() else { return nil }
        var request = Attach(name: "out", handle: 0, role: .sender)
        request.source = Source(address: "here")
        request.target = Target(address: "there")
        attach(&request)
        let link = client.attach(session, request)
        run()
        return link
    }

    func send(_ link: LinkID, _ bytes: [UInt8], settled: Bool = false) -> Result<UInt64, SendRefusal> {
        client.send(link, OutgoingDelivery(payload: ByteBuffer(bytes: bytes), settled: settled))
    }

    func finish() {
        _ = try? clientChannel.finish()
        _ = try? serverChannel.finish()
    }
}
