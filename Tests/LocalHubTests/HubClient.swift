import AMQP
import EventHubs
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TailraceSpool

@testable import LocalHub

let silent = Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() })

/// A running plain hub for one test.
func withHub(
    _ configure: (inout LocalHubConfiguration) -> Void = { _ in }, _ body: (LocalHub) async throws -> Void
) async throws {
    var configuration = LocalHubConfiguration()
    configuration.isPlain = true
    configuration.segmentSize = 1 << 20
    configure(&configuration)
    let hub = try LocalHub(configuration, logger: silent)
    _ = try await hub.start()
    do {
        try await body(hub)
    } catch {
        await hub.stop()
        throw error
    }
    await hub.stop()
}

/// A bare AMQP client of the hub: what the tests say goes over a real socket.
struct HubClient {
    let connection: AMQPClientConnection
    let session: AMQPClientSession
    let hub: LocalHub

    init(_ hub: LocalHub, credential: SASLCredential? = .anonymous) async throws {
        self.hub = hub
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: hub.port).get()
        var configuration = ConnectionConfiguration(containerID: "test")
        configuration.hostname = "localhost"
        connection = try await AMQPClientConnection.open(
            on: channel, AMQPHandlerConfiguration(.client(credential), configuration)
        ).get()
        session = try await connection.beginSession().get()
    }

    /// With a valid claim to the hub.
    static func authorized(_ hub: LocalHub) async throws -> HubClient {
        let client = try await HubClient(hub)
        let answer = try await client.put(token: client.token())
        guard answer == 202 else { throw LocalHubError("put-token: \(answer)") }
        return client
    }

    func token(key: String? = nil, lifetime: Int64 = 3600) -> String {
        SharedAccessSignature(
            resource: "sb://localhost/\(hub.configuration.hubName)", keyName: hub.configuration.sharedAccessKeyName,
            key: key ?? hub.configuration.sharedAccessKey, expiry: wallClockMilliseconds() / 1000 + lifetime
        ).token
    }

    /// The status of a put-token.
    func put(token: String, audience: String = "sb://localhost/logs") async throws -> Int32 {
        var request = AMQPMessage(body: .value(.string(token)))
        request.applicationProperties[string: "operation"] = .string("put-token")
        request.applicationProperties[string: "type"] = .string("servicebus.windows.net:sastoken")
        request.applicationProperties[string: "name"] = .string(audience)
        return try await ask("$cbs", request).status
    }

    struct Answer: Sendable {
        var status: Int32
        var correlation: AMQPValue
        var body: AMQPMap
    }

    func ask(_ node: String, _ request: AMQPMessage) async throws -> Answer {
        let answer = connection.eventLoop.makePromise(of: Answer.self)
        var incoming = Attach(name: "answers-\(AMQPUUID())", handle: 0, role: .receiver)
        incoming.source = Source(address: node)
        incoming.target = Target(address: "me")
        let receiver = try await session.attachReceiver(incoming, credit: .window(10)) { receiver, delivery in
            if !delivery.settled { receiver.settle(delivery.id, .accepted) }
            guard let message = try? AMQPMessage(decoding: delivery.payload),
                case .int(let status)? = message.applicationProperties[string: "status-code"]
            else { return answer.fail(LocalHubError("no status in the answer")) }
            var map = AMQPMap()
            if case .value(.map(let body)) = message.body { map = body }
            answer.succeed(
                Answer(status: status, correlation: message.properties?.correlationID ?? .null, body: map))
        }.get()
        var request = request
        var properties = AMQPMessage.Properties()
        properties.messageID = .string("q1")
        request.properties = properties
        let sender = try await attachSender(node)
        _ = try await sender.send(payload: request.encoded()).get()
        let result = try await answer.futureResult.get()
        sender.detach()
        receiver.detach()
        return result
    }

    func attachSender(_ address: String) async throws -> AMQPSender {
        var attach = Attach(name: "sender-\(AMQPUUID())", handle: 0, role: .sender)
        attach.source = Source(address: "me")
        attach.target = Target(address: address)
        return try await session.attachSender(attach).get()
    }

    /// Events as they come.
    func attachReceiver(
        _ address: String, selector: String? = nil, ownerLevel: Int64? = nil, credit: CreditPolicy = .window(100)
    ) async throws -> (AMQPReceiver, AsyncStream<AMQPMessage>) {
        var attach = Attach(name: "receiver-\(AMQPUUID())", handle: 0, role: .receiver)
        var source = Source(address: address)
        if let selector {
            let name = AMQPValue.symbol("apache.org:selector-filter:string")
            source.filter[name] = .described(descriptor: name, value: .string(selector))
        }
        attach.source = source
        attach.target = Target(address: "me")
        if let ownerLevel { attach.properties[symbol: "com.microsoft:epoch"] = .long(ownerLevel) }
        let (stream, continuation) = AsyncStream.makeStream(of: AMQPMessage.self)
        let receiver = try await session.attachReceiver(attach, credit: credit) { _, delivery in
            if let message = try? AMQPMessage(decoding: delivery.payload) { continuation.yield(message) }
        }.get()
        receiver.closeFuture.whenComplete { _ in continuation.finish() }
        return (receiver, stream)
    }

    func send(_ texts: [String], to address: String = "logs", key: String? = nil) async throws -> DeliveryResult {
        let sender = try await attachSender(address)
        let result = try await sender.send(payload: Self.batch(texts, key: key), messageFormat: 0x8001_3700).get()
        sender.detach()
        return result
    }

    static func batch(_ texts: [String], key: String? = nil) throws -> ByteBuffer {
        var batch = EventDataBatch(maximumSizeInBytes: 1 << 20, partitionKey: key)
        for text in texts {
            guard try batch.tryAdd(EventData(text)) else { throw LocalHubError("the batch is full") }
        }
        return batch.payload
    }
}

extension AMQPMessage {
    var text: String {
        guard case .data(let pieces) = body else { return "" }
        return pieces.map { String(buffer: $0) }.joined()
    }
    var sequenceNumber: Int64? {
        guard case .long(let number)? = messageAnnotations[symbol: "x-opt-sequence-number"] else { return nil }
        return number
    }
}

extension AsyncStream where Element: Sendable {
    func first(_ count: Int) async -> [Element] {
        var elements: [Element] = []
        guard count > 0 else { return [] }
        for await element in self {
            elements.append(element)
            if elements.count == count { break }
        }
        return elements
    }
}
