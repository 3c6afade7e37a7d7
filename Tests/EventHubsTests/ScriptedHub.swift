import AMQP
import EventHubs
import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization
import TestSupport

/// A server that does what a test tells it: answers come from a queue, and everything that clients did is written down.
final class ScriptedHub: Sendable {
    enum Answer: Sendable {
        case accept
        case state(DeliveryState)
        case ignore
        case detach(AMQPError)
        case closeConnection(AMQPError)
        case drop
    }

    struct Script: Sendable {
        /// Taken one by one for transfers to the hub; accepted when there are none.
        var transfers: [Answer] = []
        /// Taken one by one for attaches to the hub or a partition: nil agrees.
        var attaches: [AMQPError?] = []
        /// Status of answers to put-token; 202 when there are none.
        var tokens: [Int32] = []
        var answersTokens = true
        var partitionIDs = ["0", "1"]
        var answersManagement = true
        var maximumMessageSize: UInt64 = 262_144
        var credit: UInt32 = 1000
    }

    struct Record: Sendable {
        var connections = 0
        var opens: [Open] = []
        var attached: [Attach] = []
        var tokens: [(audience: String, type: String, token: String, expiry: AMQPValue?)] = []
        var requests: [AMQPMap] = []
        var deliveries: [(address: String, format: UInt32, payload: ByteBuffer)] = []
    }

    let script: Mutex<Script>
    let record = Mutex(Record())
    private let peers = Mutex<[Peer]>([])
    private let channel: any Channel
    let port: Int

    private init(_ script: Script, channel: any Channel, relay: Relay) {
        self.script = Mutex(script)
        self.channel = channel
        port = channel.localAddress?.port ?? 0
        relay.hub.withLock { $0 = self }
    }

    /// Connections may come before the hub object is there.
    private final class Relay: Sendable {
        let hub = Mutex<ScriptedHub?>(nil)
    }

    static func start(_ script: Script = Script(), tls: TLSContext? = nil) async throws -> ScriptedHub {
        let relay = Relay()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture {
                    guard let hub = relay.hub.withLock({ $0 }) else { throw ChannelError.ioOnClosedChannel }
                    if let tls { try child.pipeline.syncOperations.addHandler(TLSHandler(server: tls)) }
                    let peer = Peer(hub)
                    hub.peers.withLock { $0.append(peer) }
                    var configuration = AMQPHandlerConfiguration(
                        .server(mechanisms: ["ANONYMOUS", "PLAIN"], allowsNoSASL: false),
                        ConnectionConfiguration(containerID: "scripted"))
                    configuration.connection.channelMax = 4999
                    try child.pipeline.syncOperations.addHandler(AMQPConnectionHandler(configuration, delegate: peer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return ScriptedHub(script, channel: channel, relay: relay)
    }

    var connectionString: String {
        "Endpoint=sb://127.0.0.1:\(port)/;SharedAccessKeyName=send;SharedAccessKey=s3cret;EntityPath=hub"
    }

    var plainConnectionString: String { connectionString + ";UseDevelopmentEmulator=true" }

    func stop() async { try? await channel.close().get() }

    fileprivate func nextTransfer() -> Answer {
        script.withLock { $0.transfers.isEmpty ? .accept : $0.transfers.removeFirst() }
    }

    fileprivate func nextAttach() -> AMQPError? {
        script.withLock { $0.attaches.isEmpty ? nil : $0.attaches.removeFirst() }
    }

    fileprivate func nextStatus() -> Int32 {
        script.withLock { $0.tokens.isEmpty ? 202 : $0.tokens.removeFirst() }
    }
}

/// One connection of the scripted hub; used on its event loop only.
private final class Peer: AMQPConnectionDelegate, @unchecked Sendable {
    private let hub: ScriptedHub
    private var addresses: [LinkID: String] = [:]
    private var answers: [String: LinkID] = [:]

    init(_ hub: ScriptedHub) { self.hub = hub }

    func handle(_ event: ConnectionEvent, on connection: AMQPConnectionHandler) {
        switch event {
        case .opened(let open):
            hub.record.withLock {
                $0.connections += 1
                $0.opens.append(open)
            }
        case .attachRequested(let link, let attach): attached(link, attach, connection)
        case .delivery(let link, let delivery): received(link, delivery, connection)
        default: break
        }
    }

    private func attached(_ link: LinkID, _ attach: Attach, _ connection: AMQPConnectionHandler) {
        let terminus = attach.role == .sender ? attach.target?.address : attach.source?.address
        guard case .string(let address)? = terminus else {
            connection.refuse(link, AMQPError("amqp:invalid-field", "no address"))
            return
        }
        hub.record.withLock { $0.attached.append(attach) }
        if !address.hasPrefix("$"), let error = hub.nextAttach() {
            connection.refuse(link, error)
            return
        }
        addresses[link] = address
        var answer = Attach(name: attach.name, handle: 0, role: .receiver)
        answer.source = attach.source
        answer.target = attach.target
        let isNode = address.hasPrefix("$")
        let (size, credit) = hub.script.withLock { isNode ? (0, 100) : ($0.maximumMessageSize, $0.credit) }
        answer.maxMessageSize = size
        if attach.role == .sender {
            connection.accept(link, answer, credit: .window(credit))
        } else {
            answers[address] = link
            connection.accept(link, answer)
        }
    }

    private func received(_ link: LinkID, _ delivery: IncomingDelivery, _ connection: AMQPConnectionHandler) {
        guard let address = addresses[link] else { return }
        if address.hasPrefix("$") {
            connection.settle(link.session, delivery.id, .accepted)
            guard let message = try? AMQPMessage(decoding: delivery.payload) else { return }
            if address == "$cbs" { put(message, connection) } else { asked(message, connection) }
            return
        }
        let payload = delivery.payload
        hub.record.withLock { $0.deliveries.append((address, delivery.messageFormat, payload)) }
        switch hub.nextTransfer() {
        case .accept: connection.settle(link.session, delivery.id, .accepted)
        case .state(let state): connection.settle(link.session, delivery.id, state)
        case .ignore: break
        case .detach(let error): connection.detach(link, error)
        case .closeConnection(let error): connection.close(error)
        case .drop: connection.dropTransport()
        }
    }

    private func put(_ message: AMQPMessage, _ connection: AMQPConnectionHandler) {
        let properties = message.applicationProperties
        guard case .string(let audience)? = properties[string: "name"],
            case .string(let type)? = properties[string: "type"],
            case .value(.string(let token)) = message.body
        else { return }
        let expiry = properties[string: "expiration"]
        hub.record.withLock { $0.tokens.append((audience, type, token, expiry)) }
        guard hub.script.withLock({ $0.answersTokens }) else { return }
        answer("$cbs", to: message, hub.nextStatus(), .none, connection)
    }

    private func asked(_ message: AMQPMessage, _ connection: AMQPConnectionHandler) {
        hub.record.withLock { $0.requests.append(message.applicationProperties) }
        guard hub.script.withLock({ $0.answersManagement }) else { return }
        var map = AMQPMap([.init(.string("name"), .string("hub"))])
        if case .string(let partition)? = message.applicationProperties[string: "partition"] {
            guard partition == "0" || partition == "1" else {
                answer("$management", to: message, 404, .none, connection)
                return
            }
            map[string: "partition"] = .string(partition)
            map[string: "begin_sequence_number"] = .long(0)
            map[string: "last_enqueued_sequence_number"] = .long(partition == "0" ? 41 : -1)
            map[string: "last_enqueued_offset"] = .string(partition == "0" ? "1234" : "-1")
            map[string: "last_enqueued_time_utc"] = .timestamp(
                partition == "0" ? 1_700_000_000_000 : -62_135_596_800_000)
            map[string: "is_partition_empty"] = .boolean(partition == "1")
        } else {
            map[string: "created_at"] = .timestamp(1_600_000_000_000)
            let ids = hub.script.withLock { $0.partitionIDs }
            map[string: "partition_count"] = .int(Int32(ids.count))
            map[string: "partition_ids"] = .array(ids.map { .string($0) })
        }
        answer("$management", to: message, 200, .value(.map(map)), connection)
    }

    private func answer(
        _ address: String, to request: AMQPMessage, _ status: Int32, _ body: AMQPMessage.Body,
        _ connection: AMQPConnectionHandler
    ) {
        guard let link = answers[address] else { return }
        var message = AMQPMessage(body: body)
        var properties = AMQPMessage.Properties()
        properties.correlationID = request.properties?.messageID ?? .null
        message.properties = properties
        message.applicationProperties[string: "status-code"] = .int(status)
        message.applicationProperties[string: "status-description"] = .string(status < 300 ? "OK" : "scripted refusal")
        _ = connection.send(link, OutgoingDelivery(payload: message.encoded(), settled: true))
    }
}
