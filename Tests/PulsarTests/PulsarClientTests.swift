import NIOCore
import PulsarBroker
import Synchronization
import TestSupport
import Testing

@testable import Pulsar

@Suite struct PulsarClientTests {
    private func refused(_ change: (inout PulsarClientOptions) -> Void) -> PulsarError? {
        var options = PulsarClientOptions()
        change(&options)
        return #expect(throws: PulsarError.self) { try PulsarClient(serviceURL: "pulsar://a", options: options) }
    }

    @Test func optionsThatCannotBeUsedAreNamed() {
        #expect(refused { $0.operationTimeout = .zero }?.message.contains("operationTimeout") == true)
        #expect(refused { $0.connectionTimeout = .zero }?.message.contains("connectionTimeout") == true)
        #expect(refused { $0.keepAliveInterval = .seconds(-1) }?.message.contains("keepAliveInterval") == true)
        #expect(refused { $0.idleConnectionTimeout = .zero }?.message.contains("idleConnectionTimeout") == true)
        #expect(refused { $0.maximumBackoff = .milliseconds(99) }?.message.contains("maximumBackoff") == true)
        #expect(refused { $0.connectionsPerBroker = 0 }?.message.contains("connectionsPerBroker") == true)
        #expect(refused { $0.maximumConcurrentLookups = 0 }?.code == .invalidConfiguration)
        let error = #expect(throws: PulsarError.self) { try PulsarClient(serviceURL: "kafka://a") }
        #expect(error?.code == .invalidServiceURL)
    }

    @Test func aCertificateAsCredentialNeedsTLSAndACertificate() {
        for (url, what) in [("pulsar://a", "has no TLS"), ("pulsar+ssl://a", "tls.clientCertificate names none")] {
            let error = #expect(throws: PulsarError.self) { try PulsarClient(serviceURL: url, authentication: .tls) }
            #expect(error?.code == .invalidConfiguration && error?.message.contains(what) == true)
        }
    }

    @Test func closingDoesNotWaitForAConnectionThatIsBeingMade() async throws {
        // It never answers CONNECT, and has an hour to do so.
        let broker = try await ScriptedBroker.start { command, _ in
            if case .connect = command { [.bytes([])] } else { [] }
        }
        var options = PulsarClientOptions()
        options.connectionTimeout = .seconds(3600)
        options.operationTimeout = .seconds(3600)
        let client = try PulsarClient(serviceURL: broker.url, options: options)
        let question = client.source.partitions(of: try TopicName("t"))
        await broker.hears { !$0.isEmpty }
        await client.close()
        broker.send(.connected(ConnectedCommand(serverVersion: "late", protocolVersion: 20)), to: 0)
        let error = await #expect(throws: PulsarError.self) { try await question.get() }
        #expect(error?.code == .alreadyClosed)
        await broker.stop()
    }

    @Test func closingEndsWhatIsRegisteredAndThenRefuses() async throws {
        let client = try PulsarClient(serviceURL: "pulsar://a")
        let ended = Mutex<[UInt64]>([])
        let ids = try (0..<3).map { _ in
            let id = client.makeProducerID()
            try client.register(id) { ended.withLock { $0.append(id) } }
            return id
        }
        client.unregister(ids[1])
        await client.close()
        #expect(ended.withLock { Set($0) } == [ids[0], ids[2]])
        await client.close()
        #expect(ended.withLock { $0.count } == 2)
        let error = #expect(throws: PulsarError.self) { try client.register(9) {} }
        #expect(error?.code == .alreadyClosed)
        let question = await #expect(throws: PulsarError.self) {
            try await client.source.partitions(of: try TopicName("t")).get()
        }
        #expect(question?.code == .alreadyClosed)
    }

    @Test func aClientThatIsDroppedEndsItsConnections() async throws {
        let broker = try await ScriptedBroker.start()
        func connect() async throws -> PulsarConnection {
            let client = try PulsarClient(serviceURL: broker.url)
            return try await client.source.connection(owning: try TopicName("t")).get()
        }
        try await connect().closeFuture.get()
        await broker.stop()
    }

    @Test func secretsDoNotShow() throws {
        let settings = PulsarOAuth2(issuerURL: "https://issuer", clientID: "me", clientSecret: "c4nary")
        for authentication in [
            PulsarAuthentication.token("c4nary"), .basic(user: "me", password: "c4nary"), .tokenProvider { "c4nary" },
            try .oauth2(settings),
        ] {
            var options = PulsarClientOptions()
            options.listenerName = "x"
            let client = try PulsarClient(
                serviceURL: "pulsar://a", authentication: authentication, options: options)
            var shown = "\(authentication) \(String(reflecting: authentication))"
            dump(authentication, to: &shown)
            dump(client, to: &shown)
            #expect(!shown.contains("c4nary"), "\(shown)")
        }
    }

    // MARK: With the test broker

    private func run(
        _ authentication: PulsarAuthentication = .none, _ change: (inout BrokerConfiguration) -> Void,
        _ body: (PulsarBroker, PulsarClient) async throws -> Void
    ) async throws {
        let directory = TemporaryDirectory("pulsar-client")
        var configuration = BrokerConfiguration(storeDirectory: directory("store"))
        change(&configuration)
        let broker = try PulsarBroker(configuration)
        try await broker.start()
        let url = try await broker.serviceURL() ?? ""
        let client = try PulsarClient(serviceURL: url, authentication: authentication, options: WithBroker.quick)
        try await body(broker, client)
        await client.close()
        try await broker.stop()
    }

    @Test func aTopicThatMovedIsFoundThroughItsRedirect() async throws {
        try await run {
            $0.brokers = 3
        } _: { broker, client in
            let topic = try TopicName("t")
            let first = try await client.source.connection(owning: topic).get()
            try await broker.move(topic.description, to: 2, isTold: false)
            let second = try await client.source.connection(owning: topic).get()
            #expect(first !== second)
            #expect(try await broker.serviceURL(broker: 2) == "pulsar://\(second.address)")
        }
    }

    @Test func whoIsNotLetInIsToldAtOnce() async throws {
        for (authentication, isGood) in [
            (PulsarAuthentication.token("good"), true), (.token("c4nary"), false), (.none, false),
            (.basic(user: "a", password: "good"), false),
        ] {
            try await run(authentication) {
                $0.authentication = .token(["good"])
            } _: { _, client in
                let question = client.source.partitions(of: try TopicName("t"))
                if isGood {
                    #expect(try await question.get() == 0)
                } else {
                    let error = await #expect(throws: PulsarError.self) { try await question.get() }
                    #expect(error?.code == .authenticationFailed && error?.message.contains("c4nary") == false)
                }
            }
        }
    }

    @Test func aChallengeDuringTheHandshakeAndOneLaterAreAnswered() async throws {
        try await run(.tokenProvider { "good" }) {
            $0.authentication = .token(["good"])
            $0.challengesInHandshake = true
            $0.challengeTimeout = .milliseconds(300)
        } _: { broker, client in
            let connection = try await client.source.connection(owning: try TopicName("t")).get()
            try await broker.challenge()
            // The answer to this comes behind the answer to the challenge.
            #expect(try await client.source.partitions(of: try TopicName("t")).get() == 0)
            #expect(!connection.isClosed)
            #expect(try await broker.statistics.connectionsAccepted == 1)
        }
    }

    @Test func theBrokersLimitIsTheConnectionsOwn() async throws {
        try await run {
            $0.maximumMessageSize = 1_000_000
        } _: { _, client in
            let connection = try await client.source.connection(owning: try TopicName("t")).get()
            #expect(connection.maximumMessageSize == 1_000_000)
        }
        try await run { _ in
        } _: { _, client in
            let connection = try await client.source.connection(owning: try TopicName("t")).get()
            #expect(connection.maximumMessageSize == 5_242_880)
        }
    }
}
