import AMQP
import Glibc
import LocalHub
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing
import Transports

@testable import EventHubs

/// Tokens of an issuer, and signatures that end, over real connections to the package's own hub.
@Suite struct CredentialConnectionTests {
    /// Issues tokens `token-<n>-<expiry>` that the hub of the same test takes.
    final class Issuer: EventHubsTokenProvider {
        struct State {
            var issued = 0
            var failures = 0
            var scopes: Set<String> = []
        }

        let state = Mutex(State())
        let lifetime: Int64

        init(lifetime: Int64 = 3600) { self.lifetime = lifetime }

        func token(scope: String) async throws -> EventHubsToken {
            let number = try state.withLock { state in
                state.scopes.insert(scope)
                if state.failures > 0 {
                    state.failures -= 1
                    throw EventHubsError(.connectFailed, "scripted outage")
                }
                state.issued += 1
                return state.issued
            }
            let expiry = Int64(time(nil)) + lifetime
            return EventHubsToken("c4nary-\(number)-\(expiry)", expiry: expiry)
        }

        static func verdict(_ token: String) -> HubTokenVerdict {
            guard token.hasPrefix("c4nary-"), let expiry = token.split(separator: "-").last.flatMap({ Int64($0) })
            else { return .refused("InvalidToken: not from our issuer") }
            return .accepted(expiry: expiry)
        }
    }

    private struct Bench {
        let hub: LocalHub
        let connection: EventHubConnection
        let log: LogRecorder

        func send(_ text: String = "x", _ partition: String? = "0") async -> SendResult {
            var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
            _ = try? batch.tryAdd(EventData(text))
            let payload = batch.payload
            return await withCheckedContinuation { continuation in
                connection.send(payload: payload, partitionID: partition) { continuation.resume(returning: $0) }
            }
        }

        func failure(_ text: String = "x") async -> EventHubsError? {
            if case .failed(let error, _) = await send(text) { error } else { nil }
        }
    }

    private func withHub(
        _ credential: EventHubsCredential, _ options: EventHubsOptions = EventHubsOptions(),
        accepts: (@Sendable (String) -> HubTokenVerdict)? = { Issuer.verdict($0) },
        _ body: (Bench) async throws -> Void
    ) async throws {
        var configuration = LocalHubConfiguration()
        configuration.segmentSize = 1 << 20
        configuration.partitionSize = 16 << 20
        configuration.acceptsToken = accepts
        let log = LogRecorder()
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        let port = try await hub.start()
        var options = options
        if let file = hub.authorityFile { options.tls = EventHubsTLS(authorities: file) }
        let endpoint = try EventHubEndpoint(
            namespace: "sb://127.0.0.1:\(port)/", eventHubName: "logs", credential: credential, options: options)
        let connection = EventHubConnection(
            endpoint, options: options, eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: log.logger)
        let bench = Bench(hub: hub, connection: connection, log: log)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(bench))
        } catch {
            result = .failure(error)
        }
        try await connection.close().get()
        await hub.stop()
        #expect(!log.all.contains("c4nary") && !log.all.contains("sig="), "\(log.all)")
        try result.get()
    }

    @Test func aProvidersTokenOpensTheHubAndItsManagement() async throws {
        let issuer = Issuer()
        try await withHub(.provider(issuer)) { bench in
            #expect(await bench.send() == .accepted)
            let hub = try await bench.connection.eventHubProperties().get()
            #expect(hub.partitionIDs == ["0", "1", "2", "3"])
            let partition = try await bench.connection.partitionProperties("0").get()
            #expect(partition.lastEnqueuedSequenceNumber == 0)
            #expect(issuer.state.withLock { $0.issued } == 1)
            #expect(issuer.state.withLock { $0.scopes } == ["https://eventhubs.azure.net/.default"])
        }
    }

    /// The hub takes a link away when its claim ends; with a token of three seconds that would be seen.
    @Test func tokensAreRenewedInTheBackgroundWithoutLosingASend() async throws {
        let issuer = Issuer(lifetime: 3)
        try await withHub(.provider(issuer)) { bench in
            var sent = 0
            while issuer.state.withLock({ $0.issued }) < 4 {
                #expect(await bench.send("\(sent)") == .accepted)
                sent += 1
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(bench.hub.statistics.partitions[0].eventsStored == sent)
            #expect(bench.hub.statistics.connectionsAccepted == 1)
            #expect(bench.log.lines(.warning).isEmpty)
        }
    }

    @Test func theOldTokenServesWhileTheRefreshFails() async throws {
        let issuer = Issuer(lifetime: 8)
        try await withHub(.provider(issuer)) { bench in
            #expect(await bench.send() == .accepted)
            issuer.state.withLock { $0.failures = 2 }
            // The timer alone asks; two failures are logged, with the reason, before it succeeds.
            while issuer.state.withLock({ $0.issued }) < 2 {
                #expect(await bench.send() == .accepted)
                try await Task.sleep(for: .milliseconds(20))
            }
            let warnings = bench.log.lines(.warning)
            #expect(warnings.count == 2)
            #expect(warnings.allSatisfy { $0.contains("scripted outage") && $0.contains("trying again") })
        }
    }

    /// While no token is to be had nothing is given up for good, and the reason is the issuer's, not the hub's.
    @Test func anIssuerThatIsDownBeyondTheTokensEndIsTheReasonAndPasses() async throws {
        let issuer = Issuer(lifetime: 4)
        try await withHub(.provider(issuer)) { bench in
            #expect(await bench.send() == .accepted)
            issuer.state.withLock { $0.failures = .max }
            var failure: EventHubsError?
            while failure?.code != .connectFailed {
                switch await bench.send() {
                case .accepted: break
                case .failed(let error, let prospect):
                    failure = error
                    #expect(prospect != .blocked && prospect != .batchRefused, "\(error)")
                }
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(failure?.message.contains("scripted outage") == true)
            issuer.state.withLock { $0.failures = 0 }
            #expect(await bench.send() == .accepted)
        }
    }

    @Test func aRefusedTokenIsToldAndReplaced() async throws {
        let issuer = Issuer()
        let refused = Mutex(1)
        let verdict: @Sendable (String) -> HubTokenVerdict = { token in
            let isRefused = refused.withLock { count in
                count -= 1
                return count >= 0
            }
            return isRefused ? .refused("InvalidIssuer: wrong tenant") : Issuer.verdict(token)
        }
        try await withHub(.provider(issuer), accepts: verdict) { bench in
            let error = await bench.failure()
            #expect(error?.code == .unauthorized)
            #expect(error?.message.contains("InvalidIssuer: wrong tenant") == true)
            #expect(error?.description.contains("c4nary") == false)
            // The same token is not tried again.
            #expect(await bench.send() == .accepted)
            #expect(issuer.state.withLock { $0.issued } == 2)
        }
    }

    @Test func aHubWithoutAnIssuerRefusesTokens() async throws {
        try await withHub(.provider(Issuer()), accepts: nil) { bench in
            let error = await bench.failure()
            #expect(error?.code == .unauthorized)
            #expect(error?.message.contains("jwt") == true)
        }
    }

    // MARK: Deadlines

    private struct Silent: EventHubsTokenProvider {
        func token(scope: String) async throws -> EventHubsToken {
            try await Task.sleep(for: .seconds(3600))
            throw CancellationError()
        }
    }

    @Test func gettingATokenCountsAgainstTheAuthorizationTimeout() async throws {
        var options = EventHubsOptions()
        options.authorizationTimeout = .milliseconds(50)
        try await withHub(.provider(Silent()), options) { bench in
            let error = await bench.failure()
            #expect(error?.code == .timeout)
            #expect(error?.message.contains("getting a token from Silent") == true)
            #expect(error?.message.contains("50 ms") == true)
            // No connection was left waiting for it.
            #expect(bench.hub.statistics.connectionsAccepted == 0)
        }
    }

    @Test func puttingATokenCountsAgainstTheAuthorizationTimeout() async throws {
        var script = ScriptedHub.Script()
        script.answersTokens = false
        let hub = try await ScriptedHub.start(script)
        var options = EventHubsOptions()
        options.authorizationTimeout = .milliseconds(50)
        let endpoint = try EventHubEndpoint(EventHubsConnectionString(hub.plainConnectionString))
        let connection = EventHubConnection(
            endpoint, options: options, eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            logger: LogRecorder().logger)
        let error = await #expect(throws: EventHubsError.self) { try await connection.eventHubProperties().get() }
        #expect(error?.code == .timeout)
        #expect(error?.message.contains("authorising for sb://127.0.0.1/hub") == true)
        #expect(hub.record.withLock { $0.tokens.count } == 1)
        try await connection.close().get()
        await hub.stop()
    }

    @Test func zeroMeansNoAuthorizationTimeout() async throws {
        var options = EventHubsOptions()
        options.authorizationTimeout = .zero
        try await withHub(.provider(Issuer()), options) { bench in
            #expect(await bench.send() == .accepted)
        }
    }

    // MARK: Signatures

    private func signature(seconds: Int64, key: String = "SAS_KEY_VALUE") -> String {
        SharedAccessSignature(
            resource: "sb://127.0.0.1/logs", keyName: "RootManageSharedAccessKey", key: key,
            expiry: Int64(time(nil)) + seconds
        ).token
    }

    @Test func aSignatureThatEndsSoonIsWarnedOfAndItsEndIsToldClearly() async throws {
        try await withHub(try .sharedAccessSignature(signature(seconds: 3))) { bench in
            #expect(await bench.send() == .accepted)
            let warnings = bench.log.lines(.warning)
            #expect(warnings.count == 1)
            #expect(warnings.first?.contains("expires in") == true && warnings.first?.contains("seconds-left") == true)
            // No timer renews it: the hub takes the link away, and nothing more is accepted.
            while bench.log.lines(.error).isEmpty { try await Task.sleep(for: .milliseconds(10)) }
            #expect(bench.log.lines(.error).first?.contains("has expired") == true)
            // The link that is there goes a moment later; what was pending then says the same.
            var error: EventHubsError?
            repeat { error = await bench.failure() } while error == nil
            #expect(error?.code == .unauthorized)
            #expect(
                error?.message.contains("the shared access signature ended") == true, "\(String(describing: error))")
            bench.hub.dropConnections()
            repeat { error = await bench.failure() } while error?.code == .connectionLost
            #expect(error?.code == .unauthorized)
            #expect(
                error?.message.contains("the shared access signature ended") == true, "\(String(describing: error))")
            #expect(error?.message.contains("give a new one") == true)
            #expect(error?.description.contains("sig=") == false)
        }
    }

    @Test func aSignatureWithTimeLeftIsNotWarnedOf() async throws {
        try await withHub(try .sharedAccessSignature(signature(seconds: 7200))) { bench in
            #expect(await bench.send() == .accepted)
            #expect(bench.log.lines(.warning).isEmpty)
        }
    }

    @Test func noticesComeAnHourAndFiveMinutesBeforeTheEnd() {
        #expect(SignatureNotice(left: 200_000).wait(left: 200_000) == 86400)
        #expect(SignatureNotice(left: 4000).wait(left: 4000) == 400)
        #expect(SignatureNotice(left: 3600) == .hour)
        #expect(SignatureNotice(left: 3600).wait(left: 3600) == 3300)
        #expect(SignatureNotice(left: 300) == .minutes)
        #expect(SignatureNotice(left: 300).wait(left: 300) == 300)
        #expect(SignatureNotice(left: 0) == .over)
        #expect(SignatureNotice(left: 0).wait(left: 0) == nil)
    }

    // MARK: Clocks

    private func refusal(_ text: String) -> EventHubsError {
        EventHubsError(AMQPError("amqp:unauthorized-access", text), "authorising")
    }

    @Test func aClockThatIsBehindIsNamedWhenTheServiceFindsAFreshTokenExpired() {
        let token = AccessToken(value: "c4nary", origin: .key, expiry: 1_700_003_600, renewal: nil)
        let error = TokenRefusal.explained(refusal("ExpiredToken: the token is expired"), token, now: 1_700_000_000)
        #expect(error.message.contains("2023-11-14T22:13:20Z"))
        #expect(error.message.contains("another 3600 s"))
        #expect(error.message.contains("behind"))
        #expect(!error.message.contains("c4nary"))
        // Once is enough.
        #expect(TokenRefusal.explained(error, token, now: 1_700_000_000) == error)
    }

    @Test func theIssuersClockIsBelievedFirst() {
        let ahead = AccessToken(value: "x", origin: .issuer(clockSkew: 120), expiry: 1_700_003_600, renewal: nil)
        #expect(
            TokenRefusal.explained(refusal("not yet valid"), ahead, now: 1_700_000_000).message
                .contains("this machine's clock is 120 s ahead"))
        let behind = AccessToken(value: "x", origin: .issuer(clockSkew: -7), expiry: 1_700_003_600, renewal: nil)
        #expect(
            TokenRefusal.explained(
                refusal("IDX10222: lifetime validation failed, the token is not yet valid"), behind, now: 1
            )
            .message.contains("seems to be ahead"))
        let right = AccessToken(value: "x", origin: .issuer(clockSkew: 0), expiry: 1_700_003_600, renewal: nil)
        #expect(
            TokenRefusal.explained(refusal("wrong audience"), right, now: 1_700_000_000) == refusal("wrong audience"))
    }

    // MARK: Names and secrets

    @Test func aNamespaceMayBeANameAHostOrAURI() throws {
        func place(_ namespace: String) throws -> String {
            let endpoint = try EventHubEndpoint(
                namespace: namespace, eventHubName: "h", credential: .sharedKey(name: "n", key: "k"))
            return "\(endpoint.host) \(endpoint.route.port)"
        }
        #expect(try place("contoso") == "contoso.servicebus.windows.net 5671")
        #expect(try place("contoso.servicebus.usgovcloudapi.net") == "contoso.servicebus.usgovcloudapi.net 5671")
        #expect(try place("sb://contoso.servicebus.windows.net/") == "contoso.servicebus.windows.net 5671")
        #expect(try place("sb://hub:99/") == "hub 99")
        #expect(try place("hub:99") == "hub 99")
        #expect(try place("localhost") == "localhost 5671")
        #expect(try place("::1") == "::1 5671")
        #expect(try place("[::1]:99") == "::1 99")
        for bad in ["", "a/b", "sb://", "a:x", "a b", "user@host", "sb://a:0/", "[::1"] {
            #expect(throws: EventHubsError.self, "\(bad)") { try place(bad) }
        }
        #expect(throws: EventHubsError.self) {
            try EventHubEndpoint(namespace: "contoso", eventHubName: "", credential: .sharedKey(name: "n", key: "k"))
        }
    }

    @Test func noSecretShowsInAnyDescription() throws {
        struct Holder: EventHubsTokenProvider {
            let password = "c4nary"
            func token(scope: String) async throws -> EventHubsToken { EventHubsToken("c4nary", expiry: 1) }
        }
        let things: [Any] = [
            EventHubsCredential.sharedKey(name: "n", key: "c4nary"),
            try EventHubsCredential.sharedAccessSignature("SharedAccessSignature sr=x&sig=c4nary&se=1"),
            EventHubsCredential.provider(Holder()), EventHubsToken("c4nary", expiry: 1),
            try EventHubsConnectionString("Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=c4nary"),
            SharedAccessSignature(resource: "sb://h/c4nary", keyName: "n", key: "c4nary", expiry: 1),
            AccessToken(value: "c4nary", origin: .key, expiry: 1, renewal: nil),
            try EventHubEndpoint(
                namespace: "n", eventHubName: "h", credential: .sharedKey(name: "n", key: "c4nary"), usesTLS: false),
        ]
        for thing in things {
            var dumped = ""
            dump(thing, to: &dumped)
            for text in ["\(thing)", String(reflecting: thing), dumped] {
                #expect(!text.contains("c4nary"), "\(text)")
            }
        }
        #expect("\(EventHubsCredential.provider(Holder()))" == "Holder")
    }
}
