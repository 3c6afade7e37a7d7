import Glibc
import OpenSSLTransport
import TestSupport
import Testing
import Transports

@testable import EventHubs

/// What is asked of issuers and what is made of their answers. Whole requests are in IntegrationTests.
@Suite struct IssuerTests {
    private static let now: Int64 = 1_700_000_000

    private func answer(
        _ status: Int, _ body: String, headers: [(name: String, value: String)] = [], secrets: [String] = []
    ) throws -> IssuerAnswer {
        IssuerAnswer(
            response: HTTPResponse(status: status, headers: headers, body: Array(body.utf8)), who: "test",
            request: HTTPRequest("GET", try HTTPURL("http://issuer/token?client_id=x")), secrets: secrets,
            now: Self.now)
    }

    private func refusal(
        _ status: Int, _ body: String, headers: [(name: String, value: String)] = [], secrets: [String] = []
    ) throws -> EventHubsError {
        let answer = try answer(status, body, headers: headers, secrets: secrets)
        do throws(EventHubsError) {
            _ = try answer.token()
            Issue.record("taken for a token: \(body)")
            return EventHubsError(.invalidArgument, "")
        } catch {
            return error
        }
    }

    /// `seconds` after `now`.
    private func date(_ seconds: Int64) -> [(name: String, value: String)] {
        var time = time_t(Self.now + seconds)
        var fields = tm()
        gmtime_r(&time, &fields)
        var buffer = [CChar](repeating: 0, count: 64)
        strftime(&buffer, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &fields)
        return [("Date", String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self))]
    }

    // MARK: Tokens

    @Test func theFormsOfTimesAreUnderstood() throws {
        let entra = try answer(200, #"{"access_token":"t","expires_in":3599,"refresh_in":1800}"#).token()
        #expect(entra.value == "t" && entra.expiry == Self.now + 3599 && entra.refreshAfter == Self.now + 1800)
        let appService = try answer(200, #"{"access_token":"t","expires_on":"1700000100"}"#).token()
        #expect(appService.expiry == 1_700_000_100 && appService.refreshAfter == nil)
        // A metadata service hands a stored token out with the life that it had when it was new.
        let stored = try answer(200, #"{"access_token":"t","expires_in":"86400","expires_on":"1700000100"}"#).token()
        #expect(stored.expiry == 1_700_000_100)
        // 2017's App Service writes a date; the token itself tells.
        let payload = Base64.encode(#"{"exp":1700000200}"#.utf8).replacing("=", with: "")
        let old = try answer(
            200, #"{"access_token":"h.\#(payload).s","expires_on":"11/14/2023 10:16:40 PM +00:00"}"#
        ).token()
        #expect(old.expiry == 1_700_000_200)
    }

    @Test func aWrongClockDoesNotShortenATokensLife() throws {
        let body = #"{"access_token":"t","expires_on":"1700003600"}"#
        // This machine is an hour ahead: the token, which has two hours, would look half its age.
        let ahead = try answer(200, body, headers: date(-3600)).token()
        #expect(ahead.clockSkew == 3600 && ahead.expiry == 1_700_007_200)
        let behind = try answer(200, body, headers: date(1800)).token()
        #expect(behind.clockSkew == -1800 && behind.expiry == 1_700_001_800)
        // A second or two are the way.
        #expect(try answer(200, body, headers: date(2)).token().expiry == 1_700_003_600)
    }

    @Test func whatIsNoTokenIsRefused() throws {
        for (body, part) in [
            ("<html>", "no JSON"), ("{}", "no access_token"), (#"{"access_token":""}"#, "no access_token"),
            (#"{"access_token":"c4nary"}"#, "when the token ends"),
            (#"{"access_token":"c4nary","expires_in":-1}"#, "when the token ends"),
        ] {
            let error = try refusal(200, body)
            #expect(error.code == .connectFailed && error.message.contains(part), "\(error)")
            #expect(!error.message.contains("c4nary") && !error.message.contains("client_id"))
        }
    }

    // MARK: Refusals

    @Test func theFormsOfErrorsAreShownWithTheirRemedy() throws {
        let entra = try refusal(
            401,
            #"{"error":"invalid_client","error_description":"AADSTS7000222: keys are expired.\r\nTrace ID: 1"}"#)
        #expect(entra.code == .unauthorized)
        #expect(entra.message.contains("status 401: invalid_client: AADSTS7000222: keys are expired.  Trace ID: 1"))
        #expect(entra.message.contains("make a new one"))
        let metadata = try refusal(400, #"{"error":"invalid_request","error_description":"Identity not found"}"#)
        #expect(metadata.code == .unauthorized && metadata.message.contains("assign it"))
        #expect(try refusal(400, #"{"statusCode":400,"message":"No identity"}"#).message.contains("400: No identity"))
        #expect(try refusal(500, #"{"error":{"code":"oops","message":"broken"}}"#).message.contains("oops: broken"))
        #expect(try refusal(502, "<html>").code == .connectFailed)
        #expect(try refusal(429, "").code == .connectFailed)
        #expect(try refusal(403, "").code == .unauthorized)
    }

    @Test func aWrongClockIsNamedWithARefusal() throws {
        let text = #"{"error":"invalid_client","error_description":"AADSTS700024: not within its valid time range"}"#
        let error = try refusal(401, text, headers: date(420))
        #expect(error.message.contains("this machine's clock is 420 s behind"))
        #expect(try refusal(401, text, headers: date(-420)).message.contains("this machine's clock is 420 s ahead"))
        #expect(try !refusal(401, text, headers: date(3)).message.contains("this machine's clock"))
    }

    @Test func anIssuerThatRepeatsASecretDoesNotGetItShown() throws {
        let error = try refusal(
            400, #"{"error_description":"you sent c4nary s3/cret and c4nary+s3%2Fcret"}"#, secrets: ["c4nary s3/cret"])
        #expect(error.message.contains("you sent … and …"))
        let long = try refusal(400, #"{"message":"\#(String(repeating: "x", count: 5000))"}"#)
        #expect(long.message.utf8.count < 1500)
    }

    @Test func everyRemedyIsFoundByItsCode() {
        #expect(IssuerRemedy.text("AADSTS700016: Application not found")?.contains("no application") == true)
        #expect(IssuerRemedy.text("AADSTS700021: ?") == nil)
        #expect(IssuerRemedy.text("") == nil)
    }

    // MARK: Retries

    @Test func onlyWhatMayPassIsAskedAgain() {
        let retries = IssuerRetries.metadata
        for status in [404, 408, 410, 429, 500, 503] {
            #expect(retries.delay(before: 0, status: status, retryAfter: nil) != nil)
        }
        for status in [200, 400, 401, 403] { #expect(retries.delay(before: 0, status: status, retryAfter: nil) == nil) }
        #expect(retries.delay(before: 4, status: 500, retryAfter: nil) != nil)
        #expect(retries.delay(before: 5, status: 500, retryAfter: nil) == nil)
        #expect(IssuerRetries.remote.delay(before: 0, status: 404, retryAfter: nil) == nil)
        #expect(retries.delay(before: 0, status: nil, retryAfter: nil) != nil)
    }

    @Test func aRenewedMetadataServiceIsWaitedForLonger() throws {
        let retries = IssuerRetries.metadata
        let waits = (0..<5).compactMap { retries.delay(before: $0, status: 410, retryAfter: nil) }
        #expect(waits.count == 5)
        #expect(waits.reduce(.zero, +) >= .seconds(70))
        // The issuer's wish counts, up to a minute.
        let wish = try #require(retries.delay(before: 0, status: 429, retryAfter: "7"))
        #expect(wish >= .seconds(7) && wish <= .seconds(9))
        let long = try #require(retries.delay(before: 0, status: 429, retryAfter: "99999999"))
        #expect(long <= .seconds(75))
    }

    // MARK: The environment

    private func chosen(
        _ variables: [String: String], _ identity: EventHubsCredential.ManagedIdentity = .systemAssigned
    ) throws -> String {
        "\(try EventHubsCredential.managedTokens(identity, CredentialEnvironment(variables), IssuerTransport()))"
    }

    @Test func theEnvironmentChoosesTheEndpoint() throws {
        let endpoint = ["IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi"]
        #expect(try chosen([:]) == "managed identity (instance metadata service)")
        #expect(try chosen([:], .clientID("x")) == "managed identity x (instance metadata service)")
        let appService = endpoint.merging(["IDENTITY_HEADER": "c4nary"]) { $1 }
        #expect(try chosen(appService, .resourceID("/s/x")) == "managed identity /s/x (App Service)")
        // The header wins, as with the official clients.
        #expect(try chosen(appService.merging(["IMDS_ENDPOINT": "http://a"]) { $1 }).contains("App Service"))
        #expect(try chosen(endpoint.merging(["IMDS_ENDPOINT": "http://a"]) { $1 }) == "managed identity (Azure Arc)")
        let learning = ["MSI_ENDPOINT": "http://127.0.0.1:1", "MSI_SECRET": "c4nary"]
        #expect(try chosen(learning).contains("Machine Learning"))
        let kubernetes = [
            "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_FEDERATED_TOKEN_FILE": "/f",
            "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.us/",
        ]
        #expect(try chosen(kubernetes) == "workload identity of application c")
        #expect(try chosen(kubernetes, .clientID("d")) == "workload identity of application d")
        #expect(try chosen(["IDENTITY_ENDPOINT": "", "AZURE_TENANT_ID": "t"]).contains("instance metadata"))
        for bad in [
            endpoint, ["MSI_ENDPOINT": "http://a"], ["IDENTITY_ENDPOINT": "file:///x", "IDENTITY_HEADER": "x"],
            appService.merging(["IDENTITY_SERVER_THUMBPRINT": "x"]) { $1 },
        ] {
            let error = #expect(throws: EventHubsError.self) { try chosen(bad) }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains("c4nary") == false)
        }
    }

    @Test func whatIsMissingForWorkloadIdentityIsNamed() {
        let environment = CredentialEnvironment(["AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"])
        let error = #expect(throws: EventHubsError.self) {
            try EventHubsCredential.workloadTokens(nil, nil, nil, nil, environment, IssuerTransport())
        }
        #expect(error?.message.contains("AZURE_FEDERATED_TOKEN_FILE") == true)
    }

    private func entra(_ tenant: String, _ client: String, _ secret: String, _ host: String?) throws(EventHubsError)
        -> String
    {
        try EntraTokens(
            tenantID: tenant, clientID: client, proof: .secret(secret), authorityHost: host,
            transport: IssuerTransport()
        ).url.description
    }

    @Test func authoritiesOfEveryCloudAreTaken() throws {
        #expect(try entra("t", "c", "s", nil) == "https://login.microsoftonline.com/t/oauth2/v2.0/token")
        #expect(try entra("t", "c", "s", "login.microsoftonline.us").hasPrefix("https://login.microsoftonline.us/t/"))
        #expect(try entra("a.b", "c", "s", "https://login.chinacloudapi.cn/").contains("login.chinacloudapi.cn/a.b/"))
        #expect(try entra("t", "c", "s", "localhost:8443").hasPrefix("https://localhost:8443/"))
        for bad in [
            ("", "c", "s", nil), ("t/x", "c", "s", nil), ("t", "", "s", nil), ("t", "c", "", nil),
            ("t", "c", "s", "http://login"), ("t", "c", "s", ""), ("t", "c", "s", "a/b"), ("t", "c", "s", "a b"),
        ] as [(String, String, String, String?)] {
            #expect(throws: EventHubsError.self, "\(bad)") { try entra(bad.0, bad.1, bad.2, bad.3) }
        }
    }

    // MARK: Arc

    @Test func onlyAKeyInTheAgentsFolderIsRead() throws {
        func file(_ header: String?) throws(EventHubsError) -> String {
            try ArcChallenge(header, folder: "/var/opt/azcmagent/tokens").file
        }
        #expect(try file("Basic realm=/var/opt/azcmagent/tokens/a.key") == "/var/opt/azcmagent/tokens/a.key")
        #expect(try file("basic REALM=\"/var/opt/azcmagent/tokens/a.key\"") == "/var/opt/azcmagent/tokens/a.key")
        for bad in [
            nil, "", "Basic", "Bearer realm=/var/opt/azcmagent/tokens/a.key", "Basic realm=/etc/shadow",
            "Basic realm=/var/opt/azcmagent/tokens/a.txt", "Basic realm=/var/opt/azcmagent/tokens/.key",
            "Basic realm=/var/opt/azcmagent/tokens/../../../../etc/x.key",
            "Basic realm=/var/opt/azcmagent/tokensx/a.key",
            "Basic realm=/var/opt/azcmagent/tokens/sub/a.key", "Basic realm=a.key",
        ] {
            let error = #expect(throws: EventHubsError.self, "\(bad ?? "nil")") { try file(bad) }
            #expect(error?.code == .unauthorized)
        }
    }

    @Test func aFileThatIsNoSmallPlainFileIsNotRead() throws {
        let directory = TemporaryDirectory("small-files")
        func write(_ name: String, _ text: String) {
            let file = fopen(directory(name), "w")
            fputs(text, file)
            fclose(file)
        }
        func read(_ name: String, following: Bool = false) throws(EventHubsError) -> String {
            try SecretFile.text(directory(name), limit: 4096, what: "it", following: following)
        }
        write("a.key", " c4nary \n")
        #expect(try read("a.key") == "c4nary")
        write("full.key", String(repeating: "x", count: 4096))
        #expect(try read("full.key").utf8.count == 4096)
        write("long.key", String(repeating: "c4nary", count: 683))
        write("empty.key", "\n")
        write("lines.key", "c4nary\nc4nary")
        symlink(directory("a.key"), directory("link.key"))
        mkdir(directory("directory.key"), 0o700)
        mkfifo(directory("pipe.key"), 0o600)
        for bad in ["long.key", "empty.key", "lines.key", "link.key", "directory.key", "pipe.key", "missing.key"] {
            let error = #expect(throws: EventHubsError.self, "\(bad)") { try read(bad) }
            #expect(error?.message.contains(directory(bad)) == true && error?.message.contains("c4nary") == false)
        }
        // Kubernetes replaces a projected token by a link.
        #expect(try read("link.key", following: true) == "c4nary")
    }

    // MARK: Secrets

    @Test func noIssuerShowsItsSecret() throws {
        let environment = CredentialEnvironment([
            "IDENTITY_ENDPOINT": "http://127.0.0.1:1", "IDENTITY_HEADER": "c4nary",
        ])
        let tokens = try EventHubsCredential.managedTokens(.systemAssigned, environment, IssuerTransport())
        let things: [Any] = [
            tokens, EventHubsCredential.provider(tokens),
            try EventHubsCredential.clientSecret(
                tenantID: "t", clientID: "app", clientSecret: "c4nary", authorityHost: "a"),
            try EntraTokens(
                tenantID: "t", clientID: "app", proof: .secret("c4nary"), authorityHost: nil,
                transport: IssuerTransport()),
        ]
        for thing in things {
            var dumped = ""
            dump(thing, to: &dumped)
            for text in ["\(thing)", String(reflecting: thing), dumped] { #expect(!text.contains("c4nary"), "\(text)") }
        }
        #expect("\(things[2])" == "client secret of application app")
    }
}
