import COpenSSL
import LocalHub
import Logging
import NIOCore
import OpenSSLTransport
import TestSupport
import Testing

@testable import EventHubs

/// The client over WebSocket, a custom endpoint and TLS of all kinds, against the package's own hub over real sockets.
@Suite struct WebSocketClientTests {
    private func withHub(
        _ change: (inout LocalHubConfiguration) -> Void = { _ in }, _ body: (LocalHub) async throws -> Void
    ) async throws {
        var configuration = LocalHubConfiguration()
        configuration.segmentSize = 1 << 20
        configuration.partitionSize = 16 << 20
        change(&configuration)
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        do {
            try await body(hub)
        } catch {
            await hub.stop()
            throw error
        }
        await hub.stop()
    }

    private func options(_ hub: LocalHub, _ transport: EventHubsOptions.Transport = .webSocket) -> EventHubsOptions {
        var options = EventHubsOptions()
        options.transport = transport
        options.retries.maximumRetries = 0
        if let file = hub.authorityFile { options.tls = EventHubsTLS(authorities: file) }
        return options
    }

    /// What a question fails with; nil: it is answered.
    private func failure(_ connectionString: String, _ options: EventHubsOptions) async -> EventHubsError? {
        do {
            let client = try EventHubProducerClient(connectionString: connectionString, options: options)
            do {
                _ = try await client.partitionIDs()
                await client.close()
                return nil
            } catch {
                await client.close()
                throw error
            }
        } catch {
            return error as? EventHubsError ?? EventHubsError(.serviceFailure, "not an error of this library: \(error)")
        }
    }

    @Test(arguments: [false, true])
    func batchesOverAWebSocketAreStored(plain: Bool) async throws {
        try await withHub({ $0.isPlain = plain }) { hub in
            let client = try EventHubProducerClient(connectionString: hub.connectionString, options: options(hub))
            let partitions = try await client.partitionIDs()
            #expect(partitions == ["0", "1", "2", "3"])
            var batch = try await client.createBatch(partitionID: "2")
            let event = EventData(body: ByteBuffer(repeating: 1, count: 100_000))
            while try batch.tryAdd(event) {}
            for _ in 0..<5 { try await client.send(batch) }
            try await client.send([EventData("small")], partitionID: "2")
            let last = try await client.partitionProperties("2").lastEnqueuedSequenceNumber
            #expect(last == Int64(batch.count * 5))
            await client.close()
        }
    }

    @Test func manySendsAtOnceShareTheWebSocket() async throws {
        try await withHub { hub in
            let client = try EventHubProducerClient(connectionString: hub.connectionString, options: options(hub))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<200 {
                    group.addTask {
                        let body = ByteBuffer(repeating: UInt8(truncatingIfNeeded: index), count: index * 300)
                        try await client.send([EventData(body: body)], partitionID: "\(index % 4)")
                    }
                }
                try await group.waitForAll()
            }
            for partition in 0..<4 {
                let last = try await client.partitionProperties("\(partition)").lastEnqueuedSequenceNumber
                #expect(last == 49)
            }
            #expect(hub.statistics.connectionsAccepted == 1)
            await client.close()
        }
    }

    @Test func aConnectionThatIsCutIsMadeAnew() async throws {
        try await withHub { hub in
            var options = options(hub)
            options.retries.maximumRetries = 5
            options.retries.delay = .milliseconds(1)
            let client = try EventHubProducerClient(connectionString: hub.connectionString, options: options)
            try await client.send([EventData("a")], partitionID: "0")
            hub.dropConnections()
            try await client.send([EventData("b")], partitionID: "0")
            hub.closeConnections(.init("amqp:connection:forced", "maintenance"))
            try await client.send([EventData("c")], partitionID: "0")
            let last = try await client.partitionProperties("0").lastEnqueuedSequenceNumber
            #expect(last >= 2)
            await client.close()
        }
    }

    // MARK: Custom endpoint

    @Test(arguments: [EventHubsOptions.Transport.amqp, .webSocket])
    func theCertificateMustBearTheCustomEndpointsName(transport: EventHubsOptions.Transport) async throws {
        let string = { (hub: LocalHub) in
            hub.connectionString.replacing("sb://127.0.0.1:\(hub.port)", with: "sb://ns.example")
        }
        // The certificate is for the way there, and knows nothing of the namespace.
        try await withHub({ $0.certificateNames = ["localhost"] }) { hub in
            var options = options(hub, transport)
            options.customEndpoint = "sb://localhost:\(hub.port)"
            #expect(await failure(string(hub), options) == nil)
        }
        // And the other way round.
        try await withHub({ $0.certificateNames = ["ns.example"] }) { hub in
            var options = options(hub, transport)
            options.customEndpoint = "localhost:\(hub.port)"
            let error = await failure(string(hub), options)
            #expect(error?.code == .connectFailed)
            #expect(error?.message.contains("hostname mismatch") == true, "\(String(describing: error))")
            #expect(error?.message.contains("localhost") == true)
        }
    }

    @Test func amqpAndTokensKeepNamingTheNamespace() async throws {
        let directory = TemporaryDirectory("custom-endpoint")
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
        let files = TLSIdentityFiles(certificateChain: directory("server.pem"), privateKey: directory("server.key"))
        try authority.issue(names: ["localhost"]).write(to: files)
        let hub = try await ScriptedHub.start(tls: try .server(identity: files))
        var options = EventHubsOptions()
        options.tls = EventHubsTLS(authorities: directory("ca.pem"))
        options.customEndpoint = "localhost:\(hub.port)"
        options.idleTimeout = .milliseconds(7500)
        options.userAgent = "mine/2"
        let client = try EventHubProducerClient(
            connectionString: "Endpoint=sb://ns.example:1;SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=hub",
            options: options)
        try await client.send([EventData("x")])
        let record = hub.record.withLock { $0 }
        #expect(record.opens.map(\.hostname) == ["ns.example"])
        #expect(record.opens.map(\.idleTimeOut) == [7500])
        #expect(record.opens.map { $0.properties[symbol: "user-agent"] } == [.string("mine/2 tailrace/1")])
        #expect(record.tokens.map(\.audience) == ["sb://ns.example/hub"])
        #expect(record.deliveries.map(\.address) == ["/hub"])
        await client.close()
        await hub.stop()
    }

    // MARK: TLS

    @Test func anSSLContextOfOnesOwnWinsOverEverything() async throws {
        try await withHub { hub in
            let file = try #require(hub.authorityFile)
            let pointer = try #require(SSL_CTX_new(TLS_client_method()))
            #expect(SSL_CTX_load_verify_file(pointer, file) == 1)
            SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
            for transport in [EventHubsOptions.Transport.amqp, .webSocket] {
                var options = options(hub, transport)
                // Would be refused, were it looked at.
                options.tls.trust = .file("/nonexistent/ca.pem")
                options.tls.customContext = EventHubsTLS.CustomContext(pointer)
                #expect(await failure(hub.connectionString, options) == nil)
            }
            // The caller's reference is the caller's: what the clients hold does not depend on it.
            var options = options(hub)
            options.tls.customContext = EventHubsTLS.CustomContext(pointer)
            SSL_CTX_free(pointer)
            #expect(await failure(hub.connectionString, options) == nil)
            // A context that trusts nobody is believed too.
            let stranger = try #require(SSL_CTX_new(TLS_client_method()))
            SSL_CTX_set_verify(stranger, SSL_VERIFY_PEER, nil)
            options.tls.customContext = EventHubsTLS.CustomContext(stranger)
            SSL_CTX_free(stranger)
            let error = await failure(hub.connectionString, options)
            #expect(error?.message.contains("certificate verify failed") == true)
        }
    }

    @Test func aClientCertificateAndAMinimumVersionReachTheServer() async throws {
        let directory = TemporaryDirectory("client-certificate")
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
        func issue(_ name: String) throws -> TLSIdentityFiles {
            let files = TLSIdentityFiles(
                certificateChain: directory("\(name).pem"), privateKey: directory("\(name).key"))
            try authority.issue(names: [name]).write(to: files)
            return files
        }
        let server = try TLSContext.server(
            identity: issue("127.0.0.1"), clientTrust: .file(directory("ca.pem")), versions: (.tls12, .tls12))
        let hub = try await ScriptedHub.start(tls: server)
        let me = try issue("me")
        var options = EventHubsOptions()
        options.retries.maximumRetries = 0
        options.tls = EventHubsTLS(authorities: directory("ca.pem"))
        #expect(await failure(hub.connectionString, options) != nil, "without a certificate")
        options.tls.clientCertificate = .init(chainFile: me.certificateChain, privateKeyFile: me.privateKey)
        let client = try EventHubProducerClient(connectionString: hub.connectionString, options: options)
        try await client.send([EventData("x")])
        await client.close()
        options.tls.minimumVersion = .tls13
        let error = await failure(hub.connectionString, options)
        #expect(
            error?.code == .connectFailed && error?.message.contains("version") == true, "\(String(describing: error))")
        await hub.stop()
    }

    // MARK: Errors

    @Test func aServerWithoutAWebSocketIsTold() async throws {
        let hub = try await ScriptedHub.start()
        var options = EventHubsOptions()
        options.transport = .webSocket
        options.retries.maximumRetries = 0
        let error = await failure(hub.plainConnectionString, options)
        #expect(error?.code == .connectFailed)
        #expect(
            error?.message.contains("no WebSocket on 127.0.0.1:\(hub.port)") == true, "\(String(describing: error))")
        await hub.stop()
    }
}
