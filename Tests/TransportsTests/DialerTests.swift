import NIOCore
import NIOPosix
import OpenSSLTransport
import TestSupport
import Testing

@testable import Transports

/// The steps of dialling against servers that answer as scripted. Real proxies and servers are in IntegrationTests.
@Suite struct DialerTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    /// Connects, and attaches nothing.
    private func dial(_ route: Route) async throws -> any Channel {
        try await Dialer.dial(route, on: loop) { $0 }.get()
    }

    private func failure(_ route: Route) async -> DialError? {
        do {
            let channel = try await dial(route)
            try? await channel.close()
            return nil
        } catch {
            return error as? DialError
        }
    }

    private func proxied(_ server: ScriptedServer, user: String? = nil, password: String? = nil) -> Route {
        var route = Route(host: "hub.example", port: 5671)
        route.proxy = HTTPProxy(host: "127.0.0.1", port: server.port, user: user, password: password)
        return route
    }

    private func echo(_ text: String, over route: Route, expecting: Int? = nil) async throws -> String {
        let loop = self.loop
        let expected = expecting ?? text.utf8.count
        let (channel, received) = try await Dialer.dial(route, on: loop) {
            channel -> (any Channel, EventLoopFuture<String>) in
            let collector = Collector(expected, on: loop)
            try channel.pipeline.syncOperations.addHandler(collector)
            return (channel, collector.received)
        }.get()
        try await channel.writeAndFlush(ByteBuffer(string: text))
        let result = try await received.get()
        try? await channel.close()
        return result
    }

    @Test func aProxyIsAskedForTheTargetAndThenCarriesTheBytes() async throws {
        // What comes in one piece with the answer is not lost.
        let server = try await ScriptedServer.start([
            { _ in "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nearly" }
        ])
        #expect(try await echo("hello", over: proxied(server), expecting: 10) == "earlyhello")
        #expect(server.requests == ["CONNECT hub.example:5671 HTTP/1.1\r\nHost: hub.example:5671\r\n\r\n"])
        await server.stop()
    }

    @Test func aProxyIsGivenUserAndPassword() async throws {
        let server = try await ScriptedServer.start([{ _ in "HTTP/1.0 200 OK\r\n\r\n" }])
        // RFC 7617's example.
        #expect(try await echo("x", over: proxied(server, user: "Aladdin", password: "open sesame")) == "x")
        #expect(server.requests[0].contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"))
        await server.stop()
    }

    @Test(arguments: [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants a user name and a password", true),
        (
            "HTTP/1.1 403 Filtered\r\nContent-Length: 3\r\n\r\nno\n", "does not allow connections to hub.example:5671",
            true
        ),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "cannot connect to hub.example:5671: it answered 502 Bad Gateway", false),
        ("HTTP/1.1 302 Found\r\n\r\n", "answered CONNECT to hub.example:5671 with 302 Found", false),
        ("HTTP/1.1 oops\r\n\r\n", "answered CONNECT to hub.example:5671 with \"HTTP/1.1 oops\"", false),
        (
            "SSH-2.0-OpenSSH_9.2\r\n", "is no HTTP proxy: its answer to CONNECT begins with \"SSH-2.0-OpenSSH_9.2··\"",
            false
        ),
        ("HTTP/1.1 200 OK\r\nbroken\r\n\r\n", "is no HTTP: \"broken\" is no header field", false),
    ])
    func aProxyThatRefusesIsQuoted(answer: String, expected: String, isPermanent: Bool) async throws {
        let server = try await ScriptedServer.start([{ _ in answer }])
        let error = await failure(proxied(server))
        #expect(error?.step == .proxy)
        #expect(error?.message.contains(expected) == true, "\(String(describing: error))")
        #expect(error?.message.contains("127.0.0.1:\(server.port)") == true)
        #expect(error?.isPermanent == isPermanent)
        await server.stop()
    }

    @Test func aRefusedPasswordIsNotShown() async throws {
        // tinyproxy answers 401 where 407 is due.
        for status in ["407 No", "401 Unauthorized"] {
            let server = try await ScriptedServer.start([{ _ in "HTTP/1.1 \(status)\r\n\r\n" }])
            let route = proxied(server, user: "me", password: "canary-password")
            let error = await failure(route)
            #expect(error?.message.contains("refuses the user name or the password") == true)
            #expect(error?.message.contains("canary") == false)
            #expect("\(route.proxy as Any) \(String(reflecting: route.proxy))".contains("canary") == false)
            await server.stop()
        }
    }

    @Test func aProxyThatSaysNothingIsLeftAtTheDeadline() async throws {
        let silent = try await ScriptedServer.start([{ _ in "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200" }])
        var route = proxied(silent)
        route.handshakeTimeout = .milliseconds(50)
        let error = await failure(route)
        #expect(error?.step == .proxy && error?.message.contains("in 50 ms") == true, "\(String(describing: error))")
        let closing = try await ScriptedServer.start([{ _ in nil }])
        #expect(await failure(proxied(closing))?.message.contains("closed the connection without an answer") == true)
        let endless = try await ScriptedServer.start([
            { _ in "HTTP/1.1 200 OK\r\nA: " + String(repeating: "a", count: HTTPHeadParser.limit) }
        ])
        #expect(await failure(proxied(endless))?.message.contains("more than 16384 bytes of header") == true)
        for server in [silent, closing, endless] { await server.stop() }
    }

    @Test func aPortThatNobodyServesIsNamed() async throws {
        let server = try await ScriptedServer.start([])
        await server.stop()
        let direct = await failure(Route(host: "127.0.0.1", port: server.port))
        #expect(direct?.step == .connect)
        #expect(direct?.message == "cannot connect to 127.0.0.1:\(server.port): 127.0.0.1: Connection refused")
        let proxied = await failure(proxied(server))
        #expect(proxied?.message == "cannot connect to proxy 127.0.0.1:\(server.port): 127.0.0.1: Connection refused")
        for host in ["", "a b", "a\r\nX: y"] {
            let error = await failure(Route(host: host, port: 1))
            #expect(error?.isPermanent == true && error?.message.contains("is no host name") == true)
        }
    }

    @Test func tlsIsRefusedByNameAndBySilence() async throws {
        let directory = TemporaryDirectory("dialer")
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
        let context = try TLSContext.client(trust: .file(directory("ca.pem")))
        // The client's hello is no head: this server stays silent.
        let server = try await ScriptedServer.start([{ _ in nil }])
        var route = Route(host: "127.0.0.1", port: server.port, tls: context, serverName: "hub.test")
        route.handshakeTimeout = .milliseconds(50)
        let error = await failure(route)
        #expect(error?.step == .tls && error?.message.contains("no TLS session with 127.0.0.1") == true)
        await server.stop()
    }

    // MARK: WebSocket

    private func webSocket(_ server: ScriptedServer) -> Route {
        var route = Route(host: "127.0.0.1", port: server.port)
        route.webSocket = WebSocketRoute(path: "/$servicebus/websocket", subprotocol: "AMQPWSB10", host: "hub.example")
        return route
    }

    private static func key(_ request: String) -> String {
        let line = request.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") } ?? ""
        return String(line.dropFirst("Sec-WebSocket-Key: ".count))
    }

    private static func agreement(_ request: String, _ more: String = "Sec-WebSocket-Protocol: AMQPWSB10\r\n") -> String
    {
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n"
            + "sec-websocket-accept: \(WebSocketUpgrade.accept(key(request)))\r\n\(more)\r\n"
    }

    @Test func aWebSocketIsAskedForByPathAndSubProtocol() async throws {
        // A first frame that comes with the answer is not lost.
        let server = try await ScriptedServer.start([{ Self.agreement($0) + "\u{2}\u{2}he" }])
        let loop = self.loop
        let received = try await Dialer.dial(webSocket(server), on: loop) { channel in
            let collector = Collector(2, on: loop)
            try channel.pipeline.syncOperations.addHandler(collector)
            return collector.received
        }.flatMap { $0 }.get()
        #expect(received == "he")
        let request = server.requests[0]
        #expect(request.hasPrefix("GET /$servicebus/websocket HTTP/1.1\r\nHost: hub.example\r\n"))
        for line in [
            "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: AMQPWSB10",
        ] {
            #expect(request.contains("\r\n\(line)\r\n"), "\(request)")
        }
        await server.stop()
    }

    @Test func aChannelThatNothingCouldBeAttachedToIsClosed() async throws {
        struct Refused: Error {}
        let server = try await ScriptedServer.start([{ _ in nil }])
        let loop = self.loop
        let closed = loop.makePromise(of: Void.self)
        await #expect(throws: Refused.self) {
            try await Dialer.dial(Route(host: "127.0.0.1", port: server.port), on: loop) { channel in
                channel.closeFuture.cascade(to: closed)
                throw Refused()
            }.get()
        }
        try await closed.futureResult.get()
        await server.stop()
    }

    @Test func aWebSocketThroughAProxyIsAskedForBehindTheCONNECT() async throws {
        let server = try await ScriptedServer.start([
            { _ in "HTTP/1.1 200 OK\r\n\r\n" }, { Self.agreement($0) + "\u{2}\u{2}hi" },
        ])
        var route = webSocket(server)
        route.proxy = HTTPProxy(host: "127.0.0.1", port: server.port)
        route.host = "hub.example"
        route.port = 443
        let channel = try await dial(route)
        #expect(server.requests.map { $0.prefix(12) } == ["CONNECT hub.", "GET /$servic"])
        try await channel.close()
        await server.stop()
    }

    @Test(arguments: [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "has none at /$servicebus/websocket (404 Not Found)"),
        ("HTTP/1.1 401 Unauthorized\r\n\r\n", "refuses to open it (401 Unauthorized)"),
        ("HTTP/1.1 307 Moved\r\nLocation: https://elsewhere/\r\n\r\n", "redirects to https://elsewhere/ (307 Moved)"),
        ("HTTP/1.1 503 Busy\r\n\r\n", "answers 503 Busy where 101 was due"),
        ("HTTP/1.1 200 OK\r\n\r\n", "answers 200 OK where 101 was due"),
        ("HTTP/1.1 101 X\r\n\r\n", "not with an upgrade to websocket"),
        ("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "Sec-WebSocket-Accept"),
        ("AMQP\u{3}\u{1}\u{0}\u{0}", "does not speak HTTP: its answer begins with \"AMQP····\""),
    ])
    func aServerWithoutWebSocketIsQuoted(answer: String, expected: String) async throws {
        let server = try await ScriptedServer.start([{ _ in answer }])
        let error = await failure(webSocket(server))
        #expect(error?.step == .webSocket)
        #expect(error?.message.contains(expected) == true, "\(String(describing: error))")
        await server.stop()
    }

    @Test func theSubProtocolAndNoExtensionMustBeAgreedOn() async throws {
        for (fields, expected) in [
            ("", "names no sub-protocol, not AMQPWSB10"),
            ("Sec-WebSocket-Protocol: amqp\r\n", "speaks \"amqp\" in it, not AMQPWSB10"),
            (
                "Sec-WebSocket-Protocol: AMQPWSB10\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
                "uses extensions that were not offered"
            ),
        ] {
            let server = try await ScriptedServer.start([{ Self.agreement($0, fields) }])
            let error = await failure(webSocket(server))
            #expect(error?.message.contains(expected) == true, "\(String(describing: error))")
            await server.stop()
        }
        let silent = try await ScriptedServer.start([{ _ in "HTTP/1.1 101" }])
        var route = webSocket(silent)
        route.handshakeTimeout = .milliseconds(50)
        #expect(await failure(route)?.message.contains("did not become a WebSocket within 50 ms") == true)
        let closing = try await ScriptedServer.start([{ _ in nil }])
        #expect(await failure(webSocket(closing))?.message.contains("closed the connection without an answer") == true)
        for server in [silent, closing] { await server.stop() }
    }

    @Test func theStallTimeoutIsTheKernelsUserTimeout() async throws {
        let server = try await ScriptedServer.start([{ _ in nil }])
        var route = Route(host: "127.0.0.1", port: server.port)
        route.stallTimeout = .milliseconds(1500)
        let channel = try await dial(route)
        let provider = try #require(channel as? any SocketOptionProvider)
        let value: CInt = try await provider.unsafeGetSocketOption(level: .tcp, name: .init(rawValue: 18)).get()
        #expect(value == 1500)
        try await channel.close()
        await server.stop()
    }
}
