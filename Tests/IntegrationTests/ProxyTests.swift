import EventHubs
import LocalHub
import Logging
import TestSupport
import Testing

/// The client through a real forward proxy to the hub.
@Suite(.serialized) struct ProxyTests {
    private func hub() async throws -> LocalHub {
        let hub = try LocalHub(
            LocalHubConfiguration(), logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        return hub
    }

    private func client(
        _ hub: LocalHub, _ proxy: EventHubsProxy, _ transport: EventHubsOptions.Transport
    ) throws -> EventHubProducerClient {
        var options = EventHubsOptions()
        options.transport = transport
        options.proxy = proxy
        options.tls = EventHubsTLS(authorities: hub.authorityFile ?? "")
        return try EventHubProducerClient(connectionString: hub.connectionString, options: options)
    }

    private func failure(_ hub: LocalHub, _ proxy: EventHubsProxy) async throws -> EventHubsError? {
        let client = try client(hub, proxy, .amqp)
        do {
            _ = try await client.partitionIDs()
            await client.close()
            return nil
        } catch {
            await client.close()
            return error as? EventHubsError
        }
    }

    @Test(arguments: [EventHubsOptions.Transport.amqp, .webSocket], [false, true])
    func bothTransportsGoThroughAProxyToTheVeryPort(
        transport: EventHubsOptions.Transport, authenticates: Bool
    ) async throws {
        let hub = try await hub()
        let (user, password) = authenticates ? ("agent", "p4ss") : (nil, nil)
        let proxy = try await ForwardProxy(allowing: hub.port, user: user, password: password)
        let client = try client(
            hub, EventHubsProxy(host: "127.0.0.1", port: proxy.port, user: user, password: password), transport)
        var batch = try await client.createBatch(partitionID: "1")
        while try batch.tryAdd(EventData(String(repeating: "x", count: 50_000))) {}
        for _ in 0..<4 { try await client.send(batch) }
        #expect(try await client.partitionProperties("1").lastEnqueuedSequenceNumber == Int64(4 * batch.count - 1))
        let log = try await proxy.log(until: "CONNECT 127.0.0.1:\(hub.port) HTTP/1.1")
        #expect(!log.contains("p4ss"))
        #expect(hub.statistics.connectionsAccepted == 1)
        await client.close()
        await hub.stop()
    }

    @Test func aWrongPasswordIsToldAtOnceAndNotShown() async throws {
        let hub = try await hub()
        let proxy = try await ForwardProxy(allowing: hub.port, user: "agent", password: "p4ss")
        let wrong = try await failure(
            hub, EventHubsProxy(host: "127.0.0.1", port: proxy.port, user: "agent", password: "c4nary"))
        #expect(wrong?.code == .unauthorized)
        #expect(
            wrong?.message.contains("proxy 127.0.0.1:\(proxy.port) refuses the user name or the password") == true,
            "\(String(describing: wrong))")
        #expect(wrong?.description.contains("c4nary") == false)
        let none = try await failure(hub, EventHubsProxy(host: "127.0.0.1", port: proxy.port))
        #expect(none?.message.contains("wants a user name and a password") == true, "\(String(describing: none))")
        #expect(hub.statistics.connectionsAccepted == 0)
        await hub.stop()
    }

    @Test func aPortThatTheProxyDoesNotAllowIsTold() async throws {
        let hub = try await hub()
        let proxy = try await ForwardProxy(allowing: 443)
        let error = try await failure(hub, EventHubsProxy(host: "127.0.0.1", port: proxy.port))
        #expect(error?.code == .unauthorized)
        #expect(
            error?.message.contains("does not allow connections to 127.0.0.1:\(hub.port)") == true,
            "\(String(describing: error))")
        await hub.stop()
    }

    @Test func aTargetThatTheProxyCannotReachIsTold() async throws {
        let hub = try await hub()
        let proxy = try await ForwardProxy(allowing: hub.port)
        let string = hub.connectionString
        let port = hub.port
        let authority = ChildProcess.text(hub.authorityFile ?? "")
        let directory = TemporaryDirectory("proxy-authority")
        try AgentProcess.write(authority, to: directory("ca.pem"))
        await hub.stop()
        var options = EventHubsOptions()
        options.retries.maximumRetries = 0
        options.proxy = EventHubsProxy(host: "127.0.0.1", port: proxy.port)
        options.tls = EventHubsTLS(authorities: directory("ca.pem"))
        let client = try EventHubProducerClient(connectionString: string, options: options)
        do {
            _ = try await client.partitionIDs()
            Issue.record("reached a hub that is gone")
        } catch let error as EventHubsError {
            #expect(error.code == .connectFailed)
            #expect(error.message.contains("cannot connect to 127.0.0.1:\(port): it answered 5"), "\(error)")
        }
        await client.close()
    }
}
