package import AMQP
import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization

/// Reads every event of a hub, from the beginning, over a connection of its own.
package final class HubConsumer: Sendable {
    package struct Event: Sendable {
        package var partition: Int
        package var message: AMQPMessage

        /// The bytes of the only data section.
        package var body: [UInt8] {
            guard case .data(let sections) = message.body, sections.count == 1 else { return Array("no body".utf8) }
            return Array(sections[0].readableBytesView)
        }
    }

    private struct State {
        var events: [Event] = []
        var waiters: [(count: Int, CheckedContinuation<[Event], Never>)] = []
    }
    private let state = Mutex(State())
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let connection: AMQPClientConnection
    private let observe: (@Sendable (Event) -> Void)?

    /// - Parameter observe: told each event as it comes, on the connection's thread; events are kept only without it.
    package init(
        port: Int, authorityFile: String, user: String, password: String, hub: String, partitions: Int,
        observe: (@Sendable (Event) -> Void)? = nil
    ) async throws {
        self.observe = observe
        let tls = try TLSContext.client(trust: .file(authorityFile))
        let channel = try await ClientBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(TLSHandler(client: tls, serverName: "localhost"))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        let credential = SASLCredential.plain(user: user, password: password)
        let configuration = AMQPHandlerConfiguration(
            .client(credential), ConnectionConfiguration(containerID: "test-consumer"))
        connection = try await AMQPClientConnection.open(on: channel, configuration).get()
        let session = try await connection.beginSession().get()
        for partition in 0..<partitions {
            var attach = Attach(name: "consumer-\(partition)", handle: 0, role: .receiver)
            attach.source = Source(address: "\(hub)/ConsumerGroups/$default/Partitions/\(partition)")
            attach.target = Target(address: attach.name)
            _ = try await session.attachReceiver(attach, credit: .window(200)) { [weak self] receiver, delivery in
                receiver.settle(delivery.id, .accepted)
                self?.received(delivery, partition)
            }.get()
        }
    }

    private func received(_ delivery: IncomingDelivery, _ partition: Int) {
        let event = Event(
            partition: partition, message: (try? AMQPMessage(decoding: delivery.payload)) ?? AMQPMessage())
        if let observe { return observe(event) }
        let (ready, events) = state.withLock { state in
            state.events.append(event)
            let count = state.events.count
            let ready = state.waiters.filter { $0.count <= count }
            guard !ready.isEmpty else { return (ready, [Event]()) }
            state.waiters.removeAll { $0.count <= count }
            return (ready, state.events)
        }
        for waiter in ready { waiter.1.resume(returning: events) }
    }

    /// All events as soon as there are at least `count`.
    package func events(atLeast count: Int) async -> [Event] {
        await withCheckedContinuation { continuation in
            let events: [Event]? = state.withLock { state in
                if state.events.count >= count { return state.events }
                state.waiters.append((count, continuation))
                return nil
            }
            if let events { continuation.resume(returning: events) }
        }
    }

    /// What has come so far.
    package var events: [Event] { state.withLock { $0.events } }

    package func close() async throws {
        connection.drop()
        try await group.shutdownGracefully()
    }
}
