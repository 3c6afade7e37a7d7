import EventHubs
import Glibc
import LocalHub
import Logging
import OpenSSLTransport
import TestSupport
import Testing

/// AMQP over WebSocket against implementations that we did not write, on both sides.
@Suite(.serialized) struct WebSocketPeerTests {
    private func hub(_ change: (inout LocalHubConfiguration) -> Void = { _ in }) async throws -> LocalHub {
        var configuration = LocalHubConfiguration()
        change(&configuration)
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        return hub
    }

    /// The official client as producer and consumer, over WebSocket and TLS, on the hub's one port.
    @Test(arguments: [OfficialClientTests.Mode.batch, .buffered])
    func whatTheOfficialClientSendsOverAWebSocketItReadsBackByteForByte(
        mode: OfficialClientTests.Mode
    ) async throws {
        let python = try Python()
        let hub = try await hub()
        let sent = AwkwardPayloads.all.map { OfficialClientTests.Sent(body: $0, key: "one key") }
        try await python.produce(sent, to: hub, mode: mode, arguments: ["--websocket"])
        let received = try await python.consume(from: hub, count: sent.count, ["--websocket"])
        let isSame = received.map(\.body) == sent.map(\.body)
        #expect(isSame, "\(received.count) of \(sent.count) came")
        // What came over a WebSocket is what plain AMQP reads.
        let plain = try await python.consume(from: hub, count: sent.count)
        #expect(plain == received)
        await hub.stop()
    }

    @Test func theOfficialClientReadsOverAWebSocketWhatOursSentOverOne() async throws {
        let python = try Python()
        let hub = try await hub()
        var options = EventHubsOptions()
        options.transport = .webSocket
        options.tls = EventHubsTLS(authorities: hub.authorityFile ?? "")
        let client = try EventHubProducerClient(connectionString: hub.connectionString, options: options)
        for body in AwkwardPayloads.all {
            try await client.send([EventData(body: .init(bytes: body))], partitionID: "3")
        }
        await client.close()
        let received = try await python.consume(from: hub, count: AwkwardPayloads.all.count, ["--websocket"])
        let isSame = received.map(\.body) == AwkwardPayloads.all
        #expect(isSame && received.allSatisfy { $0.partition == 3 })
        await hub.stop()
    }

    @Test func theOfficialClientReadsWhatTheAgentShippedOverAWebSocket() async throws {
        let python = try Python()
        let directory = TemporaryDirectory("websocket-agent")
        let hub = try await hub { $0.certificateDirectory = directory("certificates") }
        let agent = try AgentProcess(
            directory,
            output: """
                connection_string = "\(hub.connectionString)"
                ca_file = "\(directory("certificates/ca.pem"))"
                transport = "websocket"
                """)
        let lines = AwkwardPayloads.lines + [Array("the last".utf8)]
        try agent.log(Array(lines.map { $0 + [0x0A] }.joined()))
        let received = try await python.consume(from: hub, count: lines.count)
        let isSame = received.map(\.body) == lines.map { AwkwardPayloads.record(of: $0) }
        #expect(isSame, "\(received.count) of \(lines.count) came")
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    /// Python's `websockets` as the server: it fragments, pings, and refuses whatever is not masked as it should be.
    @Test(arguments: [true, false])
    func ourClientSpeaksToAWebSocketServerThatWeDidNotWrite(usesTLS: Bool) async throws {
        let directory = TemporaryDirectory("bridge")
        let hub = try await hub { $0.isPlain = true }
        let bridge = try await Bridge(to: hub.port, directory, usesTLS: usesTLS)
        var options = EventHubsOptions()
        options.transport = .webSocket
        options.tls = EventHubsTLS(authorities: directory("ca.pem"))
        var string = hub.connectionString.replacing(":\(hub.port);", with: ":\(bridge.port);")
        if usesTLS { string = string.replacing(";UseDevelopmentEmulator=true", with: "") }
        let client = try EventHubProducerClient(connectionString: string, options: options)
        #expect(try await client.partitionIDs() == ["0", "1", "2", "3"])
        for body in AwkwardPayloads.all {
            try await client.send([EventData(body: .init(bytes: body))], partitionID: "0")
        }
        let last = try await client.partitionProperties("0").lastEnqueuedSequenceNumber
        #expect(last == Int64(AwkwardPayloads.all.count - 1))
        await client.close()
        let received = try await Python().consume(
            from: hub, count: AwkwardPayloads.all.count)
        let isSame = received.map(\.body) == AwkwardPayloads.all
        #expect(isSame)
        await hub.stop()
    }
}

/// `Python/websocket_bridge.py`.
private final class Bridge {
    let port: Int
    private let process: ChildProcess

    init(to target: Int, _ directory: TemporaryDirectory, usesTLS: Bool) async throws {
        let python = try Python()
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
        let files = TLSIdentityFiles(certificateChain: directory("server.pem"), privateKey: directory("server.key"))
        try authority.issue(names: ["127.0.0.1"]).write(to: files)
        var arguments = ["\(python.scripts)/websocket_bridge.py", "--to", "127.0.0.1:\(target)"]
        if usesTLS { arguments += ["--certificate", files.certificateChain, "--key", files.privateKey] }
        process = try ChildProcess(python.interpreter, arguments, environment: ["PYTHONDONTWRITEBYTECODE": "1"])
        while true {
            let words = process.output.split(separator: "\n").first?.split(separator: " ") ?? []
            if words.count == 2, words[0] == "port", let port = Int(words[1]) {
                self.port = port
                return
            }
            if !process.errorOutput.isEmpty { throw ChildProcess.Failure(process.errorOutput) }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    deinit {
        process.signal(SIGKILL)
        process.wait()
    }
}
