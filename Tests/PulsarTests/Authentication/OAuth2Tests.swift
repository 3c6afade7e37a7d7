import Glibc
import Logging
import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization
import TestSupport
import Testing
import Transports

@testable import Pulsar

/// Tokens of an issuer that answers as scripted: section 6 of the protocol notes.
@Suite struct OAuth2Tests {
    private static let secret = "c4nary s3cret+/&=%"
    private static let quick = IssuerRetries(delays: [.milliseconds(1), .milliseconds(1)])
    private let directory = TemporaryDirectory("oauth2")

    /// An issuer whose discovery works; `grant` answers the requests for tokens.
    private static func issuer(
        discovery: @escaping @Sendable (Int) -> String? = { _ in nil }, tls: TLSContext? = nil,
        _ grant: @escaping @Sendable (Int) -> String
    ) async throws -> Issuer {
        let issuer = Issuer()
        let server = try await ScriptedServer.start([
            { request in
                if request.hasPrefix("GET /realm/.well-known/openid-configuration ") {
                    let number = issuer.count(discovery: true)
                    if let answer = discovery(number) { return answer }
                    let scheme = tls == nil ? "http" : "https"
                    return ok(#"{"token_endpoint":"\#(scheme)://127.0.0.1:\#(issuer.port)/token"}"#)
                }
                return grant(issuer.count(discovery: false))
            }
        ]) { channel in
            if let tls { try channel.pipeline.syncOperations.addHandler(TLSHandler(server: tls)) }
        }
        issuer.set(server)
        return issuer
    }

    private final class Issuer: Sendable {
        private struct State {
            var server: ScriptedServer?
            var discoveries = 0
            var grants = 0
        }

        private let state = Mutex(State())
        var port: Int { state.withLock { $0.server?.port ?? 0 } }
        var discoveries: Int { state.withLock { $0.discoveries } }
        var grants: Int { state.withLock { $0.grants } }
        var url: String { "http://127.0.0.1:\(port)/realm/" }
        var requests: [String] { state.withLock { $0.server }?.requests ?? [] }
        func set(_ server: ScriptedServer) { state.withLock { $0.server = server } }
        func stop() async { await state.withLock { $0.server }?.stop() }

        func count(discovery: Bool) -> Int {
            state.withLock { state in
                if discovery { state.discoveries += 1 } else { state.grants += 1 }
                return discovery ? state.discoveries : state.grants
            }
        }
    }

    private static func ok(_ body: String) -> String {
        "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private static func token(_ value: String, lives seconds: Int? = 3600) -> String {
        ok(#"{"access_token":"\#(value)"\#(seconds.map { ",\"expires_in\":\($0)" } ?? "")}"#)
    }

    private func file(_ name: String, _ text: String) -> String {
        let path = directory(name)
        let file = fopen(path, "w")
        fputs(text, file)
        fclose(file)
        return path
    }

    private func data(
        _ authentication: PulsarAuthentication, replacing: AuthData? = nil, within limit: TimeAmount = .seconds(30)
    ) async throws -> AuthData {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        return try await authentication.data(on: loop, within: limit, replacing: replacing).get()
    }

    private func text(_ data: AuthData) -> String { String(decoding: data.authData ?? [], as: UTF8.self) }

    private func failure(_ settings: PulsarOAuth2) async throws -> PulsarError? {
        let authentication = try PulsarAuthentication.oauth2(settings, retries: Self.quick)
        return await #expect(throws: PulsarError.self) { try await data(authentication) }
    }

    private func settings(_ issuer: Issuer) -> PulsarOAuth2 {
        PulsarOAuth2(issuerURL: issuer.url, clientID: "shipper", clientSecret: Self.secret)
    }

    // MARK: Requests

    @Test func theIssuerIsAskedWhereTokensAreAndThenForOne() async throws {
        let issuer = try await Self.issuer { _ in Self.token("t0ken") }
        var settings = settings(issuer)
        settings.audience = "urn:pulsar cluster"
        settings.scope = "a b"
        let given = try await data(try .oauth2(settings, retries: Self.quick))
        #expect(given.authMethodName == "token" && text(given) == "t0ken")
        #expect(issuer.requests.count == 2)
        #expect(issuer.requests[0].contains("\r\nAccept: application/json\r\n"))
        let request = issuer.requests[1]
        #expect(request.hasPrefix("POST /token HTTP/1.1\r\n"))
        #expect(request.contains("\r\nContent-Type: application/x-www-form-urlencoded\r\n"))
        #expect(
            request.hasSuffix(
                "\r\n\r\naudience=urn%3Apulsar+cluster&client_id=shipper&client_secret=c4nary+s3cret%2B%2F%26%3D%25"
                    + "&grant_type=client_credentials&scope=a+b"))
        await issuer.stop()
    }

    @Test func theAudienceIsSentEvenWhenEmptyAndTheScopeIsNot() async throws {
        let issuer = try await Self.issuer { _ in Self.token("t0ken") }
        _ = try await data(try .oauth2(settings(issuer), retries: Self.quick))
        let body = issuer.requests[1].split(separator: "\r\n\r\n").last ?? ""
        #expect(body.hasPrefix("audience=&") && !body.contains("scope"))
        await issuer.stop()
    }

    @Test func theKeyMayBeAFileAFileURLOrADataURL() async throws {
        let issuer = try await Self.issuer { _ in Self.token("t0ken") }
        let json = #"{"type":"sn_service_account","client_id":"me","client_secret":"c4nary","issuer_url":"x"}"# + "\n"
        let path = file("key.json", json)
        for key in [path, "file://\(path)", "data:application/json;base64,\(Base64.encode(json.utf8))"] {
            let settings = PulsarOAuth2(issuerURL: issuer.url, privateKey: key)
            _ = try await data(try .oauth2(settings, retries: Self.quick))
            #expect(issuer.requests.last?.contains("client_id=me&client_secret=c4nary&") == true)
            var shown = "\(settings) \(String(reflecting: settings))"
            dump(settings, to: &shown)
            #expect(!shown.contains("c4nary") && !shown.contains(Base64.encode(json.utf8)))
        }
        await issuer.stop()
    }

    @Test func aKeyThatIsNoneIsNamedWithoutItsContents() async throws {
        let issuer = try await Self.issuer { _ in Self.token("t0ken") }
        for (key, code, what) in [
            (directory("missing"), PulsarError.Code.credentialsUnavailable, "No such file"),
            (file("a", "c4nary"), .credentialsUnavailable, "is no JSON"),
            (file("b", #"{"client_id":"c4nary"}"#), .credentialsUnavailable, "lacks client_id or client_secret"),
            (file("c", String(repeating: "c4nary", count: 20_000)), .credentialsUnavailable, "more than 65536 bytes"),
        ] {
            let error = try await failure(PulsarOAuth2(issuerURL: issuer.url, privateKey: key))
            #expect(error?.code == code && error?.message.contains(what) == true, "\(String(describing: error))")
            #expect(error?.message.contains("c4nary") == false)
        }
        for (key, what) in [
            ("data:text/plain,c4nary", "of another form"), ("data:application/json;base64,c4nary!", "is not base64"),
            ("data:application/json;base64,\(Base64.encode("c4nary".utf8))", "is no JSON"),
        ] {
            let error = #expect(throws: PulsarError.self) {
                try PulsarAuthentication.oauth2(PulsarOAuth2(issuerURL: issuer.url, privateKey: key))
            }
            #expect(error?.code == .invalidConfiguration && error?.message.contains(what) == true)
            #expect(error?.message.contains("c4nary") == false)
        }
        await issuer.stop()
    }

    @Test(arguments: [
        ("issuer", "neither http:// nor https://"), ("http://issuer.example/", "over https alone"),
        ("https://user:c4nary@issuer/", "a port that is no number"),
    ])
    func anIssuerOfNoUseIsRefused(url: String, what: String) {
        let error = #expect(throws: PulsarError.self) {
            try PulsarAuthentication.oauth2(PulsarOAuth2(issuerURL: url, clientID: "a", clientSecret: "b"))
        }
        #expect(error?.code == .invalidConfiguration && error?.message.contains(what) == true)
        #expect(error?.message.contains("c4nary") == false)
    }

    // MARK: Answers

    @Test func aTokenIsKeptUntilABrokerWantsAnother() async throws {
        let issuer = try await Self.issuer { number in Self.token("t0ken-\(number)") }
        let authentication = try PulsarAuthentication.oauth2(settings(issuer), retries: Self.quick)
        let first = try await data(authentication)
        for _ in 0..<5 { #expect(try await data(authentication) == first) }
        let second = try await data(authentication, replacing: first)
        #expect(text(second) == "t0ken-2")
        // Another connection that had the first one gets the second: it is new.
        #expect(try await data(authentication, replacing: first) == second)
        #expect(issuer.grants == 2 && issuer.discoveries == 1)
        await issuer.stop()
    }

    @Test func manyConnectionsMakeOneRequest() async throws {
        let issuer = try await Self.issuer { number in Self.token("t0ken-\(number)") }
        let authentication = try PulsarAuthentication.oauth2(settings(issuer), retries: Self.quick)
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<50 { group.addTask { self.text(try await self.data(authentication)) } }
            for try await value in group { #expect(value == "t0ken-1") }
        }
        #expect(issuer.grants == 1)
        await issuer.stop()
    }

    @Test func aTokenThatDoesNotSayWhenItEndsHasTheUsualLifetime() async throws {
        // The official clients fail here.
        let issuer = try await Self.issuer { number in Self.token("t0ken-\(number)", lives: nil) }
        let issued = try await OAuth2Issuer(settings(issuer), retries: Self.quick).token()
        let left = issued.expiry - Int64(time(nil))
        #expect((3500...3600).contains(left))
        var short = settings(issuer)
        short.usualLifetime = .seconds(60)
        let other = try await OAuth2Issuer(short, retries: Self.quick).token()
        #expect((1...60).contains(other.expiry - Int64(time(nil))))
        // A JSON web token says so itself.
        let payload = Base64.encode(#"{"exp":9999999999}"#.utf8).replacing("=", with: "")
        let web = try await Self.issuer { _ in Self.token("e30.\(payload).x", lives: nil) }
        #expect(try await OAuth2Issuer(settings(web), retries: Self.quick).token().expiry == 9_999_999_999)
        for issuer in [issuer, web] { await issuer.stop() }
    }

    @Test func aRefusalIsQuotedWithoutTheSecret() async throws {
        let issuer = try await Self.issuer { _ in
            let body = #"{"error":"invalid_client","error_description":"no client with \#(Self.secret)\nhere"}"#
            return "HTTP/1.1 401 Unauthorized\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        }
        let error = try await failure(settings(issuer))
        #expect(error?.code == .authenticationFailed)
        #expect(
            error?.message.contains("invalid_client: no client with … here") == true, "\(String(describing: error))")
        #expect(error?.message.contains("OAuth 2 client shipper") == true)
        #expect(issuer.grants == 1)
        await issuer.stop()
    }

    @Test func whatMayPassIsAskedAgain() async throws {
        let issuer = try await Self.issuer(
            discovery: { number in number == 1 ? "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" : nil }
        ) { number in
            number < 3 ? "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n" : Self.token("t0ken")
        }
        let given = try await data(try .oauth2(settings(issuer), retries: Self.quick))
        #expect(text(given) == "t0ken" && issuer.discoveries == 2 && issuer.grants == 3)
        await issuer.stop()
    }

    @Test func strangeAnswersAreNamed() async throws {
        for (discovery, grant, what) in [
            (#"{"issuer":"x"}"#, "", "it names no token_endpoint"),
            (#"{"token_endpoint":"http://elsewhere.example/token"}"#, "", "its token_endpoint is no https:// URL"),
            ("<html>", "", "it is no JSON"),
            (nil, "<html>", "it is no JSON"),
            (nil, #"{"token":"x"}"#, "it holds no access_token"),
            (nil, #"{"access_token":"has space","expires_in":60}"#, "something that cannot be a token"),
            (nil, #"{"access_token":"x","expires_in":0}"#, "got a token that ended at"),
        ] as [(String?, String, String)] {
            let issuer = try await Self.issuer(discovery: { _ in discovery.map(Self.ok) }) { _ in Self.ok(grant) }
            let error = try await failure(settings(issuer))
            #expect(error?.code == .credentialsUnavailable)
            #expect(error?.message.contains(what) == true, "\(String(describing: error))")
            await issuer.stop()
        }
    }

    @Test func anIssuerThatIsNotThereIsTold() async throws {
        let issuer = try await Self.issuer { _ in "" }
        await issuer.stop()
        let error = try await failure(settings(issuer))
        #expect(error?.code == .credentialsUnavailable)
        #expect(error?.message.contains("Connection refused") == true, "\(String(describing: error))")
    }

    @Test func aClientMayBeKnownByItsCertificate() async throws {
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
        let server = TLSIdentityFiles(certificateChain: directory("server.pem"), privateKey: directory("server.key"))
        try authority.issue(names: ["127.0.0.1"]).write(to: server)
        let client = TLSIdentityFiles(certificateChain: directory("client.pem"), privateKey: directory("client.key"))
        try authority.issue(names: ["shipper"]).write(to: client)
        let context = try TLSContext.server(identity: server, clientTrust: .file(directory("ca.pem")))
        let issuer = try await Self.issuer(tls: context) { _ in Self.token("t0ken") }
        var settings = PulsarOAuth2(
            issuerURL: "https://127.0.0.1:\(issuer.port)/realm",
            clientCertificate: .init(chainFile: client.certificateChain, privateKeyFile: client.privateKey))
        settings.tls.trust = .file(directory("ca.pem"))
        let given = try await data(try .oauth2(settings, retries: Self.quick))
        #expect(text(given) == "t0ken")
        #expect(
            issuer.requests.last?.hasSuffix("audience=&client_id=pulsar-client&grant_type=client_credentials") == true)
        // A secret is no substitute for it.
        var without = PulsarOAuth2(issuerURL: settings.issuerURL, clientID: "a", clientSecret: "b")
        without.tls.trust = .file(directory("ca.pem"))
        #expect(try await failure(without)?.code == .credentialsUnavailable)
        await issuer.stop()
    }

    // MARK: With a broker

    @Test func aTokenThatABrokerRefusesIsNotUsedAgain() async throws {
        let issuer = try await Self.issuer { number in Self.token("t0ken-\(number)") }
        let broker = try await ScriptedBroker.start { command, _ in
            guard case .connect(let connect) = command, connect.authData == Array("t0ken-1".utf8) else { return [] }
            return [.send(.error(ErrorCommand(requestID: 0, error: .authenticationError, message: "revoked"))), .close]
        }
        let authentication = try PulsarAuthentication.oauth2(settings(issuer), retries: Self.quick)
        let source = try ConnectionSource(
            try ServiceURL(broker.url), PulsarClientOptions(), authentication, MultiThreadedEventLoopGroup.singleton,
            Logger(label: "test"))
        #expect(try await source.partitions(of: try TopicName("t")).get() == 0)
        #expect(issuer.grants == 2 && broker.connections == 2)
        // The broker wants another one during the session.
        broker.send(.authChallenge(AuthChallengeCommand()), to: 1)
        await broker.hears { heard in
            heard.contains {
                guard case .authResponse(let response) = $0.command else { return false }
                return response.response?.authData == Array("t0ken-3".utf8)
            }
        }
        try await source.close().get()
        await broker.stop()
        await issuer.stop()
    }
}
