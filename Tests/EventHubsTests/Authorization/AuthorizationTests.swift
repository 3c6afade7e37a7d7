import OpenSSLTransport
import TestSupport
import Testing

@testable import EventHubs

@Suite struct AuthorizationTests {
    private static let full =
        "Endpoint=sb://ns.servicebus.windows.net:5671/;SharedAccessKeyName=send;SharedAccessKey=a+b/c==;EntityPath=hub"

    // MARK: Connection strings

    @Test func allPartsOfAConnectionStringAreRead() throws {
        let string = try EventHubsConnectionString("  \(Self.full);;\n")
        #expect(string.host == "ns.servicebus.windows.net")
        #expect(string.port == 5671)
        #expect(string.sharedAccessKeyName == "send")
        #expect(string.sharedAccessKey == "a+b/c==")
        #expect(string.eventHubName == "hub")
        #expect(!string.usesDevelopmentEmulator)
    }

    @Test func keysAreCaseInsensitiveAndUnknownOnesIgnored() throws {
        let string = try EventHubsConnectionString(
            "ENDPOINT=sb://localhost;sharedaccesskeyname=n;SHAREDACCESSKEY=k;Colour=red;UseDevelopmentEmulator=true;")
        #expect(string.host == "localhost")
        #expect(string.port == nil)
        #expect(string.usesDevelopmentEmulator)
        #expect(try EventHubsConnectionString("Endpoint=amqps://[::1]:99/x;SharedAccessSignature=s").host == "::1")
        #expect(try EventHubsConnectionString("Endpoint=amqps://[::1]:99/x;SharedAccessSignature=s").port == 99)
    }

    @Test func everyMistakeIsNamedAndNoValueIsShown() {
        let mistakes = [
            ("", "blank"), (" ; ", "blank"), ("Endpoint", "\"=\""), ("=x", "no key"), ("Endpoint=", "no value"),
            ("Endpoint=sb://a/;;SharedAccessKey=secret", "part 2 is empty"),
            ("Endpoint=sb://a/;SharedAccessKey=secret;sharedaccesskey=secret", "repeats"),
            ("SharedAccessKeyName=n;SharedAccessKey=secret", "no Endpoint"),
            ("Endpoint=a;SharedAccessKeyName=n;SharedAccessKey=secret", "scheme"),
            ("Endpoint=sb:///;SharedAccessKeyName=n;SharedAccessKey=secret", "no host"),
            ("Endpoint=sb://a:x/;SharedAccessKeyName=n;SharedAccessKey=secret", "port"),
            ("Endpoint=sb://a:0/;SharedAccessKeyName=n;SharedAccessKey=secret", "port"),
            ("Endpoint=sb://a:65536/;SharedAccessKeyName=n;SharedAccessKey=secret", "port"),
            ("Endpoint=sb://[::1/;SharedAccessKeyName=n;SharedAccessKey=secret", "bracket"),
            ("Endpoint=sb://a/;SharedAccessKey=secret", "SharedAccessKeyName is missing"),
            ("Endpoint=sb://a/;SharedAccessKeyName=secret", "SharedAccessKey is missing"),
            ("Endpoint=sb://a/", "neither"),
            (
                "Endpoint=sb://a/;SharedAccessKeyName=n;SharedAccessKey=secret;UseDevelopmentEmulator=yes",
                "neither true"
            ),
        ]
        for (text, part) in mistakes {
            do {
                _ = try EventHubsConnectionString(text)
                Issue.record("accepted: \(text)")
            } catch {
                #expect(error.code == .invalidConnectionString)
                #expect(error.message.contains(part), "\(text): \(error)")
                #expect(!error.message.contains("secret"))
                #expect(error.message.contains("Endpoint=sb://<host>"))
            }
        }
    }

    @Test func descriptionsHideSecrets() throws {
        let string = try EventHubsConnectionString(
            Self.full + ";SharedAccessSignature=SharedAccessSignature sr=x&sig=s3cret&se=1")
        for text in ["\(string)", String(reflecting: string), "\(try EventHubsCredential(string))"] {
            #expect(!text.contains("a+b/c==") && !text.contains("s3cret"), "\(text)")
        }
    }

    @Test func mutatedConnectionStringsNeverTrap() {
        let samples = [
            Self.full,
            "Endpoint=sb://[::1]:5672/;SharedAccessSignature=SharedAccessSignature sr=x&sig=y&se=1"
                + ";UseDevelopmentEmulator=true",
        ]
        for var generator in [SeededGenerator(seed: 1), .fresh("connection strings")] {
            for sample in samples {
                for _ in 0..<1000 {
                    let text = String(decoding: generator.mutate(Array(sample.utf8)), as: UTF8.self)
                    do {
                        let string = try EventHubsConnectionString(text)
                        #expect(!string.host.isEmpty)
                        #expect(string.port.map { (1...65535).contains($0) } ?? true)
                        #expect(string.sharedAccessSignature != nil || string.sharedAccessKey != nil)
                    } catch {
                        #expect(error.code == .invalidConnectionString)
                    }
                }
            }
        }
    }

    // MARK: Tokens

    @Test func signaturesMatchTheKnownVectors() {
        let first = SharedAccessSignature(
            resource: "sb://ns.servicebus.windows.net/hub", keyName: "RootManageSharedAccessKey", key: "SAS_KEY_VALUE",
            expiry: 1_700_000_000)
        #expect(
            first.token
                == "SharedAccessSignature sr=sb%3A%2F%2Fns.servicebus.windows.net%2Fhub"
                + "&sig=l%2BUgnjvCPLGvtfTpVTnAT3OfaUucrhjs7Fjz5HK%2BeWA%3D&se=1700000000&skn=RootManageSharedAccessKey")
        let second = SharedAccessSignature(
            resource: "sb://ns.servicebus.windows.net/my hub~1", keyName: "send/only", key: "a+b/c==",
            expiry: 1_893_456_000)
        #expect(
            second.token
                == "SharedAccessSignature sr=sb%3A%2F%2Fns.servicebus.windows.net%2Fmy+hub~1"
                + "&sig=kof7bFnx8%2BQOu4R580MatLKkOaaAgMCpu3xUQCX4f7Q%3D&se=1893456000&skn=send%2Fonly")
        #expect(!"\(first)".contains("sig") && !String(reflecting: first).contains("sig"))
    }

    @Test func aReadyTokenTellsItsExpiry() throws {
        let token = "SharedAccessSignature sr=x&sig=y&se=1700000000&skn=n"
        #expect(try SharedAccessSignature(token: token).expiry == 1_700_000_000)
        #expect(try SharedAccessSignature(token: "SharedAccessSignature sr=x&sig=y").expiry == nil)
        for bad in [
            "", "sr=x", "SharedAccessSignature sr=x&se=soon", "SharedAccessSignature sr=x&se=-1",
            "SharedAccessSignature sr=\n",
        ] {
            #expect(throws: EventHubsError.self) { try SharedAccessSignature(token: bad) }
        }
    }
}
