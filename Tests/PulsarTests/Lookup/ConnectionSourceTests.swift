import Logging
import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization
import TestSupport
import Testing

@testable import Pulsar

/// Finding a topic's broker and connecting to it, against brokers that answer as scripted.
@Suite struct ConnectionSourceTests {
    private let topic: TopicName
    private var options = PulsarClientOptions()

    /// The first failure is the last: the wait after it is longer than the operation may take.
    private var impatient = PulsarClientOptions()

    init() throws {
        topic = try TopicName("t")
        impatient.initialBackoff = .seconds(60)
        options.initialBackoff = .milliseconds(1)
        options.maximumBackoff = .milliseconds(4)
    }

    private func source(
        _ url: String, _ options: PulsarClientOptions, _ authentication: PulsarAuthentication = .none
    ) throws -> ConnectionSource {
        try ConnectionSource(
            try ServiceURL(url), options, authentication, MultiThreadedEventLoopGroup.singleton, Logger(label: "test"),
            firstHost: 0)
    }

    private func failure<Value: Sendable>(_ future: EventLoopFuture<Value>) async -> PulsarError? {
        do {
            _ = try await future.get()
            return nil
        } catch {
            return error as? PulsarError
        }
    }

    private static func answer(
        _ question: LookupCommand, _ result: LookupResult, _ url: String? = nil, tls: String? = nil,
        authoritative: Bool? = nil, proxied: Bool? = nil, error: ServerError? = nil
    ) -> ScriptedBroker.Reply {
        .send(
            .lookupResponse(
                LookupResponseCommand(
                    brokerServiceURL: url, brokerServiceURLTLS: tls, response: result, requestID: question.requestID,
                    authoritative: authoritative, error: error, message: error.map { "\($0) it is" },
                    proxyThroughServiceURL: proxied)))
    }

    // MARK: Lookup

    @Test func aBrokerThatOwnsTheTopicIsAskedOverOneConnection() async throws {
        let broker = try await ScriptedBroker.start()
        let source = try source(broker.url, options)
        #expect(try await source.partitions(of: topic).get() == 0)
        let connection = try await source.connection(owning: topic).get()
        #expect(connection.address.description == "127.0.0.1:\(broker.port)")
        #expect(broker.connections == 1 && source.pool.count == 1)
        let lookups = broker.heard.compactMap { heard in
            if case .lookup(let lookup) = heard.command { lookup } else { nil }
        }
        #expect(lookups.map(\.topic) == ["persistent://public/default/t"])
        #expect(lookups.first?.authoritative == false && lookups.first?.advertisedListenerName == nil)
        try await source.close().get()
        await broker.stop()
    }

    @Test func partitionsAreCounted() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            guard case .partitionedMetadata(let question) = command else { return [] }
            let count: UInt32 = question.topic.hasSuffix("many") ? 4_000_000_000 : 7
            return [
                .send(
                    .partitionedMetadataResponse(
                        PartitionedMetadataResponseCommand(partitions: count, requestID: question.requestID)))
            ]
        }
        let source = try source(broker.url, impatient)
        #expect(try await source.partitions(of: topic).get() == 7)
        // One partition has none; nobody is asked.
        let count = broker.heard.count
        #expect(try await source.partitions(of: topic.partition(3)).get() == 0)
        #expect(broker.heard.count == count)
        let error = await failure(source.partitions(of: try TopicName("many")))
        #expect(error?.code == .lookupFailed && error?.message.contains("at most 100000 are believed") == true)
        try await source.close().get()
        await broker.stop()
    }

    @Test func redirectsAreFollowedWithTheirAuthority() async throws {
        let owner = try await ScriptedBroker.start()
        let second = try await ScriptedBroker.start { command, _ in
            guard case .lookup(let question) = command else { return [] }
            return [Self.answer(question, .connect, owner.url)]
        }
        let first = try await ScriptedBroker.start { command, _ in
            guard case .lookup(let question) = command else { return [] }
            return [Self.answer(question, .redirect, second.url, authoritative: true)]
        }
        var options = options
        options.listenerName = "outside"
        let source = try source(first.url, options)
        let connection = try await source.connection(owning: topic).get()
        #expect(connection.address.description == "127.0.0.1:\(owner.port)")
        let asked = (first.heard + second.heard).compactMap { heard -> LookupCommand? in
            if case .lookup(let lookup) = heard.command { lookup } else { nil }
        }
        #expect(asked.map(\.authoritative) == [false, true])
        #expect(asked.map(\.advertisedListenerName) == ["outside", "outside"])
        try await source.close().get()
        for broker in [owner, second, first] { await broker.stop() }
    }

    @Test func redirectsEndSomewhere() async throws {
        let broker = try await ScriptedBroker.start { command, broker in
            guard case .lookup(let question) = command else { return [] }
            return [Self.answer(question, .redirect, broker.url)]
        }
        var options = impatient
        options.maximumLookupRedirects = 3
        let source = try source(broker.url, options)
        let error = await failure(source.connection(owning: topic))
        #expect(error?.code == .tooManyLookups && error?.message.contains("more than 3 times") == true)
        #expect(broker.heard.count { if case .lookup = $0.command { true } else { false } } == 4)
        try await source.close().get()
        await broker.stop()
    }

    @Test func aBrokerBehindAProxyHasAConnectionOfItsOwnThroughIt() async throws {
        let proxy = try await ScriptedBroker.start { command, _ in
            guard case .lookup(let question) = command else { return [] }
            return [Self.answer(question, .connect, "pulsar://inner.example:6650", proxied: true)]
        }
        let source = try source(proxy.url, options)
        let connection = try await source.connection(owning: topic).get()
        #expect(connection.address.isProxied)
        #expect(connection.address.description == "inner.example:6650 through 127.0.0.1:\(proxy.port)")
        let connects = proxy.heard.compactMap { heard -> ConnectCommand? in
            if case .connect(let connect) = heard.command { connect } else { nil }
        }
        #expect(connects.map(\.proxyToBrokerURL) == [nil, "inner.example:6650"])
        // A broker that sends its producers on means one behind the same proxy.
        let close = CloseProducerCommand(producerID: 0, requestID: 0, assignedBrokerServiceURL: "pulsar://other:6650")
        #expect(
            source.assigned(close, from: connection.address)?.description
                == "other:6650 through 127.0.0.1:\(proxy.port)")
        try await source.close().get()
        await proxy.stop()
    }

    @Test func anAddressOfNoUseIsNamed() async throws {
        for (url, what) in [
            (nil, "names no address without TLS"), ("", "names no address"), ("http://x:8080", "an address of no use"),
            ("pulsar+ssl://x", "as the broker's address without TLS, which it is not"),
        ] {
            let broker = try await ScriptedBroker.start { command, _ in
                guard case .lookup(let question) = command else { return [] }
                return [Self.answer(question, .connect, url, tls: "pulsar+ssl://x")]
            }
            let source = try source(broker.url, impatient)
            let error = await failure(source.connection(owning: topic))
            #expect(
                error?.code == .lookupFailed && error?.message.contains(what) == true, "\(String(describing: error))")
            try await source.close().get()
            await broker.stop()
        }
    }

    // MARK: Persistence

    @Test func whatMayPassIsAskedAgainAndWhatMayNotIsToldAtOnce() async throws {
        for (error, passes) in [
            (ServerError.serviceNotReady, true), (.metadataError, true), (.tooManyRequests, true),
            (.topicNotFound, false), (.authorizationError, false), (.authenticationError, false),
            (.invalidTopicName, false),
        ] {
            let asked = Mutex(0)
            let broker = try await ScriptedBroker.start { command, broker in
                guard case .lookup(let question) = command else { return [] }
                let count = asked.withLock { count in
                    count += 1
                    return count
                }
                guard count < 4 else { return [] }
                return [Self.answer(question, .failed, error: error)]
            }
            let source = try source(broker.url, options)
            let failure = await failure(source.connection(owning: topic))
            #expect(asked.withLock { $0 } == (passes ? 4 : 1))
            #expect(failure?.code == (passes ? nil : PulsarError.code(of: error)))
            if !passes { #expect(failure?.message.contains("\(error) it is") == true) }
            try await source.close().get()
            await broker.stop()
        }
    }

    @Test func theLastFailureIsTheAnswerWhenTheTimeIsOver() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            guard case .lookup(let question) = command else { return [] }
            return [Self.answer(question, .failed, error: .serviceNotReady)]
        }
        let source = try source(broker.url, impatient)
        let error = await failure(source.connection(owning: topic))
        #expect(error?.code == .serviceNotReady)
        #expect(error?.message.contains("could not be found out in 30 s, tried 1 time; ") == true)
        try await source.close().get()
        await broker.stop()
    }

    @Test func aBrokerThatSaysNothingIsLeftAtTheDeadline() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            if case .lookup = command { [.bytes([])] } else { [] }
        }
        var options = options
        options.operationTimeout = .milliseconds(80)
        let source = try source(broker.url, options)
        #expect(await failure(source.connection(owning: topic))?.code == .timeout)
        try await source.close().get()
        await broker.stop()
    }

    @Test func theNextHostIsAskedWhenTheFirstIsDead() async throws {
        let gone = try await ScriptedBroker.start()
        let port = gone.port
        await gone.stop()
        let broker = try await ScriptedBroker.start()
        let source = try source("pulsar://127.0.0.1:\(port),127.0.0.1:\(broker.port)", options)
        #expect(try await source.partitions(of: topic).get() == 0)
        // It stays with the one that answers.
        _ = try await source.connection(owning: topic).get()
        #expect(broker.connections == 1)
        try await source.close().get()
        await broker.stop()
    }

    @Test func aHostThatIsNoBrokerIsNamed() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            if case .connect = command { [.bytes(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))] } else { [] }
        }
        let source = try source(broker.url, impatient)
        let error = await failure(source.partitions(of: topic))
        #expect(error?.code == .protocolViolation)
        #expect(error?.message.contains("does not speak Pulsar's protocol: a frame of 1213486160 bytes") == true)
        try await source.close().get()
        await broker.stop()
    }

    // MARK: Connections

    @Test func aLostConnectionIsMadeAnewWhenItIsWanted() async throws {
        let broker = try await ScriptedBroker.start()
        let source = try source(broker.url, options)
        let first = try await source.connection(owning: topic).get()
        broker.drop(0)
        try await first.closeFuture.get()
        let second = try await source.connection(owning: topic).get()
        #expect(first !== second && broker.connections == 2 && source.pool.count == 1)
        try await source.close().get()
        #expect(second.isClosed)
        await broker.stop()
    }

    @Test func connectionsToOneBrokerAreAsManyAsAllowed() async throws {
        let broker = try await ScriptedBroker.start()
        var options = options
        options.connectionsPerBroker = 3
        let source = try source(broker.url, options)
        for _ in 0..<9 { _ = try await source.connection(owning: topic).get() }
        #expect(broker.connections == 3)
        try await source.close().get()
        await broker.stop()
    }

    @Test func anUnusedConnectionIsClosed() async throws {
        let broker = try await ScriptedBroker.start()
        var options = options
        options.idleConnectionTimeout = .milliseconds(20)
        let source = try source(broker.url, options)
        let connection = try await source.connection(owning: topic).get()
        try await connection.closeFuture.get()
        #expect(source.pool.count == 0)
        await broker.stop()
    }

    @Test func aClosedSourceRefusesAndEndsWhatIsUnderWay() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            if case .lookup = command { [.bytes([])] } else { [] }
        }
        let source = try source(broker.url, options)
        let question = source.connection(owning: topic)
        await broker.hears { $0.contains { if case .lookup = $0.command { true } else { false } } }
        try await source.close().get()
        #expect(await failure(question)?.code == .alreadyClosed)
        #expect(await failure(source.partitions(of: topic))?.code == .alreadyClosed)
        await broker.stop()
    }

    // MARK: Authentication

    @Test(
        arguments: [
            (PulsarAuthentication.none, "none", nil), (.token("t0ken"), "token", "t0ken"),
            (.basic(user: "me", password: "pass:word"), "basic", "me:pass:word"),
            (.basic(user: "me", password: "x", methodName: "ldap"), "ldap", "me:x"), (.tls, "tls", nil),
            (.tokenProvider { "made" }, "token", "made"),
        ] as [(PulsarAuthentication, String, String?)])
    func everyMethodSaysItsNameAndItsData(_ method: PulsarAuthentication, name: String, data: String?) async throws {
        let broker = try await ScriptedBroker.start()
        let source = try source(broker.url, options, method)
        _ = try await source.partitions(of: topic).get()
        guard case .connect(let connect)? = broker.heard.first?.command else {
            Issue.record("no CONNECT")
            return
        }
        #expect(connect.authMethodName == name && connect.authData == data.map { Array($0.utf8) })
        try await source.close().get()
        await broker.stop()
    }

    @Test func aRefusedTokenIsToldAtOnceAndNotShown() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            guard case .connect(let connect) = command else { return [] }
            let said = "no such token: \(String(decoding: connect.authData ?? [], as: UTF8.self))"
            return [.send(.error(ErrorCommand(requestID: .max, error: .authenticationError, message: said))), .close]
        }
        let source = try source(broker.url, options, .token("c4nary"))
        let error = await failure(source.partitions(of: topic))
        #expect(error?.code == .authenticationFailed && error?.message.contains("c4nary") == false)
        #expect(broker.connections == 1)
        try await source.close().get()
        await broker.stop()
    }

    @Test func aChallengeIsAnsweredWithTheTokenOfThatMoment() async throws {
        let number = Mutex(0)
        let authentication = PulsarAuthentication.tokenProvider {
            number.withLock { number in
                number += 1
                return "token-\(number)"
            }
        }
        let broker = try await ScriptedBroker.start()
        let source = try source(broker.url, options, authentication)
        _ = try await source.connection(owning: topic).get()
        for round in 2...3 {
            broker.send(.authChallenge(AuthChallengeCommand(serverVersion: "x")), to: 0)
            await broker.hears { heard in
                heard.contains {
                    guard case .authResponse(let response) = $0.command else { return false }
                    return response.response
                        == AuthData(authMethodName: "token", authData: Array("token-\(round)".utf8))
                }
            }
        }
        #expect(broker.connections == 1)
        try await source.close().get()
        await broker.stop()
    }

    @Test func aProviderThatFailsOrIsSilentIsTold() async throws {
        struct Odd: Error {}
        let broker = try await ScriptedBroker.start()
        let cases: [(PulsarAuthentication, String)] = [
            (.tokenProvider { throw Odd() }, "the token provider gave no token: Odd()"),
            (.tokenProvider { "" }, "gave an empty token"),
            (
                .tokenProvider {
                    try await Task.sleep(for: .seconds(3600)); return "x"
                }, "gave nothing within 30 ms"
            ),
            (.tokenFile("/nonexistent/token"), "the token cannot be read from /nonexistent/token: No such file"),
            (.tokenEnvironment("TAILRACE_NO_SUCH_VARIABLE"), "TAILRACE_NO_SUCH_VARIABLE, for the token, is not set"),
        ]
        for (authentication, what) in cases {
            var options = options
            if what.contains("30 ms") { options.authenticationTimeout = .milliseconds(30) }
            let source = try source(broker.url, options, authentication)
            let error = await failure(source.partitions(of: topic))
            #expect(error?.code == .credentialsUnavailable)
            #expect(error?.message.contains(what) == true, "\(String(describing: error))")
            try await source.close().get()
        }
        #expect(broker.connections == 0)
        await broker.stop()
    }
}
