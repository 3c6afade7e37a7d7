import OpenSSLTransport
import TestSupport
import Testing
import Transports

@testable import EventHubs

/// What options make of the way to the service; nothing is connected here.
@Suite struct OptionsTests {
    private static let key = "SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=hub"

    private func endpoint(
        _ text: String, _ change: (inout EventHubsOptions) -> Void = { _ in }
    ) throws -> EventHubEndpoint {
        var options = EventHubsOptions()
        change(&options)
        return try EventHubEndpoint(EventHubsConnectionString("\(text);\(Self.key)"), options: options)
    }

    private func refusal(_ change: (inout EventHubsOptions) -> Void) -> EventHubsError? {
        do {
            _ = try endpoint("Endpoint=sb://ns.example", change)
            return nil
        } catch {
            return error as? EventHubsError
        }
    }

    @Test(arguments: [
        ("Endpoint=sb://ns.example", EventHubsOptions.Transport.amqp, 5671),
        ("Endpoint=sb://ns.example", .webSocket, 443),
        ("Endpoint=sb://ns.example:1234", .amqp, 1234),
        ("Endpoint=sb://ns.example:1234", .webSocket, 1234),
        ("Endpoint=sb://ns.example;UseDevelopmentEmulator=true", .amqp, 5672),
        ("Endpoint=sb://ns.example;UseDevelopmentEmulator=true", .webSocket, 80),
        ("Endpoint=sb://ns.example:1234;UseDevelopmentEmulator=true", .amqp, 1234),
    ])
    func thePortIsTheEndpointsOrTheTransportsOwn(
        text: String, transport: EventHubsOptions.Transport, port: Int
    ) throws {
        let route = try endpoint(text) { $0.transport = transport }.route
        #expect(route.port == port && route.host == "ns.example" && route.serverName == "ns.example")
        #expect((route.tls == nil) == text.contains("Emulator"))
        let isOwn = !text.contains("1234")
        let expected = WebSocketRoute(
            path: "/$servicebus/websocket", subprotocol: "AMQPWSB10",
            host: isOwn ? "ns.example" : "ns.example:1234")
        #expect(route.webSocket == (transport == .webSocket ? expected : nil))
    }

    @Test(arguments: [
        ("sb://gateway.example", EventHubsOptions.Transport.amqp, "gateway.example", 5671, ""),
        ("gateway.example", .webSocket, "gateway.example", 443, "gateway.example"),
        ("gateway.example:8443", .webSocket, "gateway.example", 8443, "gateway.example:8443"),
        ("https://gateway.example:8443/path", .amqp, "gateway.example", 8443, ""),
        ("[::1]:8443", .webSocket, "::1", 8443, "[::1]:8443"),
        ("sb://[::1]/", .webSocket, "::1", 443, "[::1]"),
    ])
    func aCustomEndpointMovesTheWayAndNotTheNames(
        text: String, transport: EventHubsOptions.Transport, host: String, port: Int, header: String
    ) throws {
        // The namespace's own port has nothing to do with the custom endpoint's.
        let endpoint = try endpoint("Endpoint=sb://ns.example:1234") {
            $0.customEndpoint = text
            $0.transport = transport
        }
        #expect(endpoint.route.host == host && endpoint.route.port == port && endpoint.route.serverName == host)
        #expect(endpoint.route.webSocket?.host ?? "" == header)
        #expect(endpoint.host == "ns.example")
        #expect(endpoint.audience == "sb://ns.example/hub")
    }

    @Test func aCustomEndpointThatIsNoneIsRefused() {
        for text in ["", "sb://", ":443", "a:0", "a:65536", "a b", "[::1", "[::1]x", "u@h"] {
            let error = refusal { $0.customEndpoint = text }
            #expect(error?.code == .invalidArgument, "\(text)")
            #expect(error?.message.contains("customEndpoint") == true)
        }
    }

    @Test func aProxyLeavesTheTransportAsItIs() throws {
        for (transport, port) in [(EventHubsOptions.Transport.amqp, 5671), (.webSocket, 443)] {
            let route = try endpoint("Endpoint=sb://ns.example") {
                $0.transport = transport
                $0.proxy = EventHubsProxy(host: "proxy.example", port: 3128, user: "u", password: "canary")
            }.route
            #expect(route.proxy == HTTPProxy(host: "proxy.example", port: 3128, user: "u", password: "canary"))
            #expect(route.host == "ns.example" && route.port == port)
            #expect((route.webSocket != nil) == (transport == .webSocket))
        }
    }

    @Test func aProxysPasswordIsInNoDescription() {
        var options = EventHubsOptions()
        options.proxy = EventHubsProxy(host: "p", port: 1, user: "u", password: "canary")
        var dumped = ""
        dump(options, to: &dumped)
        for text in ["\(options)", String(reflecting: options), dumped, "\(options.proxy as Any)"] {
            #expect(text.contains("u@p:1") && !text.contains("canary"), "\(text)")
        }
    }

    @Test func proxiesThatCannotBeAreRefused() {
        for (proxy, word) in [
            (EventHubsProxy(host: "", port: 1), "host"), (EventHubsProxy(host: "http://p", port: 1), "scheme"),
            (EventHubsProxy(host: "p", port: 0), "65535"), (EventHubsProxy(host: "p", port: 65536), "65535"),
            (EventHubsProxy(host: "p", port: 1, user: "a:b", password: "canary"), "colon"),
        ] {
            let error = refusal { $0.proxy = proxy }
            #expect(error?.code == .invalidArgument && error?.message.contains(word) == true)
            #expect(error?.message.contains("canary") == false)
        }
    }

    @Test func aUserAgentOfMoreThan512CharactersIsRefusedAtConstruction() throws {
        let room = 512 - " ".count - EventHubsOptions.product.count
        let longest = String(repeating: "ä", count: room)
        #expect(refusal { $0.userAgent = longest } == nil)
        let error = refusal { $0.userAgent = longest + "x" }
        #expect(error?.code == .invalidArgument && error?.message.contains("513 characters") == true)
        #expect(throws: EventHubsError.self) {
            var options = EventHubsOptions()
            options.userAgent = longest + "x"
            _ = try EventHubProducerClient(
                connectionString: "Endpoint=sb://ns.example;\(Self.key)", options: options)
        }
    }

    @Test func theSocketTimeoutBoundsConnectingAndStalling() throws {
        let usual = try endpoint("Endpoint=sb://ns.example").route
        #expect(usual.stallTimeout == nil && usual.connectTimeout == .seconds(10))
        let short = try endpoint("Endpoint=sb://ns.example") { $0.socketTimeout = .milliseconds(1500) }.route
        #expect(short.stallTimeout == .milliseconds(1500) && short.connectTimeout == .milliseconds(1500))
        let long = try endpoint("Endpoint=sb://ns.example") { $0.socketTimeout = .seconds(60) }.route
        #expect(long.stallTimeout == .seconds(60) && long.connectTimeout == .seconds(10))
    }

    @Test func durationsThatLeaveNoTimeAreRefused() {
        for path: WritableKeyPath<EventHubsOptions, Duration> in [
            \.connectTimeout, \.handshakeTimeout, \.attachTimeout, \.requestTimeout,
            \.sendTimeout,
            \.idleTimeout,
        ] {
            #expect(refusal { $0[keyPath: path] = .zero }?.code == .invalidArgument)
        }
        #expect(refusal { $0.socketTimeout = .seconds(-1) }?.message.contains("socketTimeout") == true)
    }

    @Test func filesThatCannotBeUsedAreNamedBeforeAnythingIsConnected() throws {
        let directory = TemporaryDirectory("options")
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
        #expect(refusal { $0.tls.trust = .file(directory("absent.pem")) }?.message.contains("absent.pem") == true)
        let files = TLSIdentityFiles(certificateChain: directory("me.pem"), privateKey: directory("me.key"))
        try authority.issue(names: ["me"]).write(to: files)
        #expect(
            refusal {
                $0.tls.clientCertificate = .init(chainFile: directory("me.pem"), privateKeyFile: directory("me.key"))
                $0.tls.minimumVersion = .tls13
            } == nil)
        for (chain, key, named) in [
            ("absent.pem", "me.key", "absent.pem"), ("me.pem", "ca.pem", "key file"),
            ("me.pem", "absent.key", "absent.key"),
        ] {
            let error = refusal {
                $0.tls.clientCertificate = .init(chainFile: directory(chain), privateKeyFile: directory(key))
            }
            #expect(error?.code == .invalidArgument && error?.message.contains(named) == true)
        }
    }
}
