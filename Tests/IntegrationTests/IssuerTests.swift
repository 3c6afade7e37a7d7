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

/// Every credential from the request for its token to the event in the hub, with issuers played by a server of Python's
/// that the official `azure-identity` takes for the real ones.
@Suite struct IssuerTests {
    fileprivate struct Bench {
        let hub: LocalHub
        let issuers: IssuerDouble
        let python: Python
        let network: EventHubsCredential.Network
        let log: Lines

        func connection(
            _ credential: EventHubsCredential, _ options: EventHubsOptions = EventHubsOptions()
        ) throws -> EventHubConnection {
            var options = options
            if let authority = hub.authorityFile { options.tls = EventHubsTLS(authorities: authority) }
            let endpoint = try EventHubEndpoint(
                namespace: "sb://127.0.0.1:\(hub.port)/", eventHubName: "logs", credential: credential,
                options: options)
            return EventHubConnection(
                endpoint, options: options, eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: log.logger)
        }

        func secret(
            _ run: String, client: String = IssuerDouble.client, secret: String = IssuerDouble.secret
        ) throws -> EventHubsCredential {
            try .clientSecret(
                tenantID: run, clientID: client, clientSecret: secret, authorityHost: issuers.authority,
                network: network)
        }
    }

    /// What was logged.
    final class Lines: Sendable {
        private let lines = Mutex<[(level: Logger.Level, text: String)]>([])
        var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }
        func lines(_ level: Logger.Level) -> [String] { lines.withLock { $0.filter { $0.level == level }.map(\.text) } }
        var all: String { lines.withLock { $0.map(\.text).joined(separator: "\n") } }

        private struct Handler: LogHandler {
            let lines: Lines
            var metadata: Logger.Metadata = [:]
            var logLevel = Logger.Level.trace
            init(lines: Lines) { self.lines = lines }
            subscript(metadataKey key: String) -> Logger.Metadata.Value? {
                get { metadata[key] }
                set { metadata[key] = newValue }
            }
            func log(event: LogEvent) {
                let text = "\(event.message) \(event.metadata ?? [:])"
                lines.lines.withLock { $0.append((event.level, text)) }
            }
        }
    }

    private func withBench(_ body: (Bench) async throws -> Void) async throws {
        let directory = TemporaryDirectory("issuer-hub")
        var configuration = LocalHubConfiguration()
        configuration.segmentSize = 1 << 20
        configuration.partitionSize = 16 << 20
        configuration.certificateDirectory = directory.path
        configuration.acceptsToken = { IssuerDouble.verdict($0) }
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        let result: Result<Void, any Error>
        let log = Lines()
        do {
            let python = try Python()
            let issuers = try await IssuerDouble(python, certificates: directory.path)
            var network = EventHubsCredential.Network()
            if let authority = hub.authorityFile { network.tls = EventHubsTLS(authorities: authority) }
            try await body(Bench(hub: hub, issuers: issuers, python: python, network: network, log: log))
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await hub.stop()
        #expect(!log.all.contains("c4nary"), "\(log.all)")
        try result.get()
    }

    private func send(_ connection: EventHubConnection, _ text: String = "x") async -> SendResult {
        var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
        _ = try? batch.tryAdd(EventData(text))
        let payload = batch.payload
        return await withCheckedContinuation { continuation in
            connection.send(payload: payload, partitionID: "0") { continuation.resume(returning: $0) }
        }
    }

    private func failure(_ bench: Bench, _ credential: EventHubsCredential) async throws -> EventHubsError? {
        let connection = try bench.connection(credential)
        let result = await send(connection)
        try await connection.close().get()
        guard case .failed(let error, _) = result else { return nil }
        for text in ["\(error)", String(reflecting: error), error.message] {
            #expect(!text.contains("c4nary"), "\(text)")
        }
        return error
    }

    // MARK: Every credential

    @Test func everyCredentialOpensTheHubWithOneRequest() async throws {
        try await withBench { bench in
            let file = try bench.issuers.tokenFile("c4nary-assertion-1\n")
            let credentials: [(run: String, requests: [Int], EventHubsCredential)] = [
                ("a1", [200], try bench.issuers.managed("metadata", "a1")),
                ("a2", [200], try bench.issuers.managed("metadata", "a2", .clientID(IssuerDouble.client))),
                ("a3", [200], try bench.issuers.managed("app-service", "a3")),
                ("a4", [200], try bench.issuers.managed("app-service", "a4", .clientID(IssuerDouble.client))),
                ("a5", [401, 200], try bench.issuers.managed("arc", "a5")),
                ("a6", [200], try bench.secret("a6")),
                (
                    "a7", [200],
                    try .workloadIdentity(
                        tenantID: "a7", clientID: IssuerDouble.client, tokenFile: file,
                        authorityHost: bench.issuers.authority, network: bench.network)
                ),
            ]
            for (index, (run, requests, credential)) in credentials.enumerated() {
                let connection = try bench.connection(credential)
                #expect(await send(connection) == .accepted, "\(credential)")
                let partition = try await connection.partitionProperties("0").get()
                #expect(partition.lastEnqueuedSequenceNumber == Int64(index))
                #expect(bench.issuers.statuses(run) == requests, "\(credential)")
                try await connection.close().get()
            }
        }
    }

    @Test func manyClientsOfOneCredentialAskOnce() async throws {
        try await withBench { bench in
            let credential = try bench.secret("b1")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    let connection = try bench.connection(credential)
                    group.addTask {
                        let result = await self.send(connection)
                        #expect(result == .accepted)
                        try await connection.close().get()
                    }
                }
                try await group.waitForAll()
            }
            #expect(bench.issuers.statuses("b1") == [200])
        }
    }

    // MARK: Renewal

    /// Lives of twelve seconds: short enough to see two renewals, and long enough for a machine that is busy.
    @Test func tokensAreRenewedBeforeTheirEndWithoutLosingASend() async throws {
        try await withBench { bench in
            let connection = try bench.connection(try bench.secret("c1.life-12"))
            var sent = 0
            while bench.issuers.statuses("c1.life-12").count < 3 {
                #expect(await send(connection, "\(sent)") == .accepted)
                sent += 1
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(bench.hub.statistics.partitions[0].eventsStored == sent)
            #expect(bench.hub.statistics.connectionsAccepted == 1)
            #expect(bench.log.lines(.warning).isEmpty)
            try await connection.close().get()
        }
    }

    /// A federated token that is not renewed: the old access token serves on, the log says what is wrong, and when the
    /// file is right again nothing needs a hand.
    @Test func theTokenFileIsReadAgainAndTheOldTokenServesMeanwhile() async throws {
        try await withBench { bench in
            let file = try bench.issuers.tokenFile("c4nary-assertion-1")
            let connection = try bench.connection(
                try .workloadIdentity(
                    tenantID: "d1.life-12", clientID: IssuerDouble.client, tokenFile: file,
                    authorityHost: bench.issuers.authority, network: bench.network))
            #expect(await send(connection) == .accepted)
            _ = try bench.issuers.tokenFile("stale")
            while bench.log.lines(.warning).isEmpty {
                #expect(await send(connection) == .accepted)
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(bench.log.lines(.warning)[0].contains("AADSTS700213"))
            #expect(bench.log.lines(.warning)[0].contains("compare both"))
            _ = try bench.issuers.tokenFile("c4nary-assertion-2")
            while bench.issuers.statuses("d1.life-12").filter({ $0 == 200 }).count < 2 {
                #expect(await send(connection) == .accepted)
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(bench.hub.statistics.connectionsAccepted == 1)
            try await connection.close().get()
        }
    }

    // MARK: Failures

    @Test func whatMayPassIsAskedAgainAndWhatMayNotIsNot() async throws {
        try await withBench { bench in
            let run = "e1.status-404.status-429.status-500"
            let connection = try bench.connection(try bench.issuers.managed("metadata", run))
            #expect(await send(connection) == .accepted)
            #expect(bench.issuers.statuses(run) == [404, 429, 500, 200])
            try await connection.close().get()

            let unknown = try await failure(bench, try bench.issuers.managed("metadata", "e2", .clientID("other")))
            #expect(unknown?.code == .unauthorized)
            #expect(unknown?.message.contains("Identity not found") == true)
            #expect(unknown?.message.contains("assign it") == true)
            #expect(bench.issuers.statuses("e2") == [400])

            let broken = "e3" + String(repeating: ".status-503", count: 9)
            let down = try await failure(bench, try bench.issuers.managed("metadata", broken))
            #expect(down?.code == .connectFailed && down?.message.contains("status 503") == true)
            #expect(bench.issuers.statuses(broken).count == 6)
        }
    }

    @Test func anEndpointThatIsDownIsNamed() async throws {
        try await withBench { bench in
            let metadata = try bench.issuers.managed("metadata", "f1")
            let entra = EventHubsCredential.provider(
                try bench.entra("f1", IssuerRetries(delays: [.milliseconds(1)])))
            bench.issuers.end()
            let error = try await failure(bench, metadata)
            #expect(error?.code == .connectFailed)
            #expect(error?.message.contains("instance metadata service") == true)
            #expect(error?.message.contains("127.0.0.1:\(bench.issuers.http)") == true)
            let other = try await failure(bench, entra)
            #expect(other?.code == .connectFailed)
            #expect(other?.message.contains("localhost:\(bench.issuers.https)") == true, "\(String(describing: other))")
        }
    }

    @Test func aMachineThatIsNoneOfAzuresIsToldSoAtOnce() async throws {
        try await withBench { bench in
            bench.issuers.end()
            let tokens = ManagedIdentityTokens(
                .instanceMetadata(base: "http://127.0.0.1:\(bench.issuers.http)", isGiven: false), .systemAssigned,
                IssuerTransport())
            let error = try await failure(bench, .provider(tokens))
            #expect(error?.code == .connectFailed)
            #expect(error?.message.contains("no virtual machine of Azure") == true)
        }
    }

    @Test func refusalsOfEntraComeWithTheirRemedyAndWithoutTheSecret() async throws {
        try await withBench { bench in
            let wrong = try await failure(bench, try bench.secret("g1", secret: "c4nary-wrong"))
            #expect(wrong?.code == .unauthorized)
            #expect(wrong?.message.contains("AADSTS7000215") == true)
            #expect(wrong?.message.contains("give the secret's value, not its ID") == true)
            let expired = try await failure(bench, try bench.secret("expired"))
            #expect(
                expired?.message.contains("AADSTS7000222") == true && expired?.message.contains("a new one") == true)
            let unknown = try await failure(bench, try bench.secret("g2", client: "other"))
            #expect(unknown?.message.contains("AADSTS700016") == true)
            #expect(unknown?.message.contains("check the client ID") == true)
            let tenant = try await failure(bench, try bench.secret("nosuch"))
            #expect(tenant?.message.contains("check the tenant ID") == true)
            for run in ["g1", "expired", "g2", "nosuch"] { #expect(bench.issuers.statuses(run).count == 1) }
        }
    }

    @Test func anUntrustedIssuerIsNotToldTheSecret() async throws {
        try await withBench { bench in
            let credential = try EventHubsCredential.clientSecret(
                tenantID: "h1", clientID: IssuerDouble.client, clientSecret: IssuerDouble.secret,
                authorityHost: bench.issuers.authority)
            let error = try await failure(bench, credential)
            #expect(error?.message.contains("certificate") == true, "\(String(describing: error))")
            #expect(bench.issuers.statuses("h1").isEmpty)
        }
    }

    @Test func entraIsAskedThroughAProxyWhereThereIsOne() async throws {
        try await withBench { bench in
            let proxy = try await ForwardProxy(allowing: bench.issuers.https, user: "agent", password: "c4nary-p4ss")
            var network = bench.network
            network.proxy = EventHubsProxy(
                host: "127.0.0.1", port: proxy.port, user: "agent", password: "c4nary-p4ss")
            func credential() throws -> EventHubsCredential {
                try .clientSecret(
                    tenantID: "l1", clientID: IssuerDouble.client, clientSecret: IssuerDouble.secret,
                    authorityHost: bench.issuers.authority, network: network)
            }
            let connection = try bench.connection(try credential())
            #expect(await send(connection) == .accepted)
            _ = try await proxy.log(until: "CONNECT localhost:\(bench.issuers.https) HTTP/1.1")
            #expect(bench.issuers.statuses("l1") == [200])
            try await connection.close().get()
            network.proxy?.password = "c4nary-wrong"
            let error = try await failure(bench, try credential())
            #expect(error?.message.contains("proxy 127.0.0.1:\(proxy.port) refuses the user name") == true)
        }
    }

    @Test func aWrongClockIsNamed() async throws {
        try await withBench { bench in
            let behind = try await failure(bench, try bench.secret("i1.behind-300", secret: "c4nary-wrong"))
            #expect(behind?.message.contains("s behind: set it right") == true, "\(String(describing: behind))")
            let ahead = try await failure(bench, try bench.secret("i2.ahead-300", secret: "c4nary-wrong"))
            #expect(ahead?.message.contains("s ahead: set it right") == true)
            // A clock that is wrong keeps nobody from working.
            let connection = try bench.connection(try bench.secret("i3.ahead-300"))
            #expect(await send(connection) == .accepted)
            try await connection.close().get()
        }
    }

    @Test func anArcAgentThatDoesNotConfirmAnIdentityIsNotBelieved() async throws {
        try await withBench { bench in
            let error = try await failure(bench, try bench.issuers.managed("arc", "j1", .clientID(IssuerDouble.client)))
            #expect(error?.code == .unauthorized)
            #expect(error?.message.contains("does not confirm the identity") == true)
        }
    }

    // MARK: The double

    private func official(_ bench: Bench, _ arguments: [String], _ environment: [String: String] = [:]) async throws
        -> JSONValue
    {
        let run = try await bench.python.runAlone("identity.py", arguments, environment)
        #expect(run.exit == .code(0), "\(run.errorOutput.suffix(2000))")
        return try JSONValue(Array(run.output.utf8))
    }

    @Test func theOfficialClientTakesTheDoubleForTheRealThing() async throws {
        try await withBench { bench in
            for kind in ["metadata", "app-service", "arc"] {
                let run = "k-\(kind).status-500"
                let result = try await official(
                    bench, ["managed", "--arc-folder", bench.issuers.arcFolder], bench.issuers.environment(kind, run))
                let token = try #require(result["token"]?.text, "\(kind): \(result)")
                // Issuer and client each turn the instant into a duration or back by a look of its own at the clock, in whole
                // seconds: on the turn of one the client names a later second, never an earlier one.
                let expiry = try #require(JWT(token)?.expiry)
                let named = try #require(result["expires_on"]?.integer)
                #expect((expiry...expiry + 60).contains(named), "the token expires at \(expiry), it says \(named)")
                #expect(bench.issuers.statuses(run) == (kind == "arc" ? [500, 401, 200] : [500, 200]))
            }
            let unknown = try await official(
                bench, ["managed", "--client-id", "other"], bench.issuers.environment("metadata", "k1"))
            #expect(unknown["error"]?.text == "CredentialUnavailableError")
            #expect(unknown["message"]?.text?.contains("Identity not found") == true)

            let authority = try #require(bench.hub.authorityFile)
            let https = ["--authority", "https://\(bench.issuers.authority)", "--ca", authority]
            let entra = ["--tenant", "k2", "--client-id", IssuerDouble.client] + https
            let secret = try await official(bench, ["secret", "--secret", IssuerDouble.secret] + entra)
            #expect(secret["token"]?.text != nil, "\(secret)")
            let wrong = try await official(bench, ["secret", "--secret", "wrong"] + entra)
            #expect(wrong["error"]?.text == "ClientAuthenticationError")
            #expect(wrong["message"]?.text?.contains("AADSTS7000215") == true)
            let file = try bench.issuers.tokenFile("c4nary-assertion-1")
            let workload = try await official(bench, ["workload", "--token-file", file] + entra)
            #expect(workload["token"]?.text != nil, "\(workload)")
            // What the official client got opens the hub as ours does.
            struct Given: EventHubsTokenProvider {
                let value: String
                func token(scope: String) async throws -> EventHubsToken {
                    EventHubsToken(value, expiry: JWT(value)?.expiry ?? 0)
                }
            }
            let connection = try bench.connection(.provider(Given(value: workload["token"]?.text ?? "")))
            #expect(await send(connection) == .accepted)
            try await connection.close().get()
        }
    }
}

extension IssuerTests.Bench {
    fileprivate func entra(_ run: String, _ retries: IssuerRetries) throws -> EntraTokens {
        var tokens = try EntraTokens(
            tenantID: run, clientID: IssuerDouble.client, proof: .secret(IssuerDouble.secret),
            authorityHost: issuers.authority, transport: try network.transport())
        tokens.retries = retries
        return tokens
    }
}
