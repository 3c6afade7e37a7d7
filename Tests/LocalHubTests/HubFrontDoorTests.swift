import Logging
import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization
import TestSupport
import Testing
import Transports

@testable import LocalHub

/// What the hub answers to the first bytes of a connection: AMQP, a WebSocket, or neither.
@Suite struct HubFrontDoorTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func withHub(
        _ change: (inout LocalHubConfiguration) -> Void = { _ in }, _ body: (LocalHub) async throws -> Void
    ) async throws {
        var configuration = LocalHubConfiguration()
        configuration.segmentSize = 1 << 20
        configuration.partitionSize = 16 << 20
        configuration.isPlain = true
        change(&configuration)
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        do {
            try await body(hub)
        } catch {
            await hub.stop()
            throw error
        }
        await hub.stop()
    }

    private func request(
        _ start: String = "GET /$servicebus/websocket HTTP/1.1", without absent: String? = nil, _ more: [String] = []
    ) -> String {
        let fields = [
            "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: amqp2, AMQPWSB10",
        ].filter { field in absent.map { !field.hasPrefix($0) } ?? true }
        return ([start] + fields + more).joined(separator: "\r\n") + "\r\n\r\n"
    }

    /// Sends `pieces` one after the other, and collects the answer until `ending` is there or the connection ends.
    private func exchange(_ hub: LocalHub, _ pieces: [String], until ending: String? = nil) async throws -> String {
        let loop = self.loop
        var route = Route(host: "127.0.0.1", port: hub.port)
        if let file = hub.authorityFile { route.tls = try TLSContext.client(trust: .file(file)) }
        let (channel, answer) = try await Dialer.dial(route, on: loop) { channel in
            let answer = Answer(until: ending, on: loop)
            try channel.pipeline.syncOperations.addHandler(answer)
            return (channel, answer)
        }.get()
        for piece in pieces { try? await channel.writeAndFlush(ByteBuffer(string: piece)) }
        let text = try await answer.text.get()
        try? await channel.close()
        return text
    }

    @Test(arguments: [true, false])
    func aWebSocketIsAgreedOn(plain: Bool) async throws {
        try await withHub({ $0.isPlain = plain }) { hub in
            let answer = try await exchange(hub, [request()], until: "\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
            #expect(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
            #expect(answer.contains("\r\nSec-WebSocket-Protocol: AMQPWSB10\r\n"))
        }
    }

    @Test func theHeadMayComeInAnyPieces() async throws {
        try await withHub { hub in
            let answer = try await exchange(hub, request().unicodeScalars.map { String($0) }, until: "\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 101 "))
            // The trailing slash of the .NET client, a query, and its name for the protocol.
            let other = request("GET /%24servicebus/websocket/?x=1 HTTP/1.1", without: "Sec-WebSocket-Protocol")
            let dotnet = other.dropLast(1) + "Sec-WebSocket-Protocol: amqp\r\n\r\n"
            let agreed = try await exchange(hub, [String(dotnet)], until: "\r\n\r\n")
            #expect(agreed.hasPrefix("HTTP/1.1 101 ") && agreed.contains("Sec-WebSocket-Protocol: amqp\r\n"))
        }
    }

    @Test func whatIsNoWebSocketGetsAnAnswerOfHTTPAndTheConnectionEnds() async throws {
        try await withHub { hub in
            for (text, status, word) in [
                (request("GET / HTTP/1.1"), "404 Not Found", "/$servicebus/websocket"),
                (request("GET /$servicebus/websocket2 HTTP/1.1"), "404 Not Found", ""),
                (request("POST /$servicebus/websocket HTTP/1.1"), "405 Method Not Allowed", "Allow: GET"),
                (request("GET /$servicebus/websocket HTTP/1.0"), "400 Bad Request", "HTTP/1.1"),
                (request("GET /$servicebus/websocket"), "400 Bad Request", ""),
                (request(without: "Host"), "400 Bad Request", "host"),
                (request(without: "Upgrade"), "426 Upgrade Required", "Upgrade: websocket"),
                (request(without: "Connection"), "426 Upgrade Required", ""),
                (request(without: "Sec-WebSocket-Version"), "426 Upgrade Required", "Sec-WebSocket-Version: 13"),
                (request(without: "Sec-WebSocket-Key"), "400 Bad Request", "Sec-WebSocket-Key"),
                (request(without: "Sec-WebSocket-Protocol"), "400 Bad Request", "AMQPWSB10"),
                (request(without: nil, ["no field"]), "400 Bad Request", "no field"),
                (
                    request(without: nil, ["A: " + String(repeating: "a", count: HTTPHeadParser.limit)]),
                    "431 Request Header Fields Too Large", "16384"
                ),
            ] {
                let answer = try await exchange(hub, [text])
                #expect(answer.hasPrefix("HTTP/1.1 \(status)\r\n"), "\(text.prefix(60)): \(answer)")
                #expect(answer.contains(word) && answer.contains("\r\nConnection: close\r\n"), "\(answer)")
            }
            // None of them counts as a connection.
            #expect(hub.statistics.connectionsAccepted == 0 && hub.statistics.connections == 0)
        }
    }

    @Test func aConnectionThatSaysTooLittleEndsAtTheDeadline() async throws {
        try await withHub({ $0.firstBytesTimeout = .milliseconds(60) }) { hub in
            let silent = try await exchange(hub, [])
            #expect(silent == "")
            let half = try await exchange(hub, ["GE"])
            #expect(half == "")
            let slow = try await exchange(hub, ["GET / HTTP/1.1\r\nHost:"])
            #expect(slow.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        }
    }

    @Test func whatIsNeitherIsAnsweredAsAMQP() async throws {
        try await withHub { hub in
            // Not a protocol header: the hub says which one it speaks, and closes.
            let answer = try await exchange(hub, ["\u{16}\u{3}\u{1}hello hello hello"])
            #expect(!answer.hasPrefix("HTTP"))
            #expect(hub.statistics.connectionsAccepted == 1)
        }
    }

    @Test func hostileBeginningsNeverTrap() async throws {
        let valid = Array(request().utf8)
        try await withHub({ $0.firstBytesTimeout = .milliseconds(50) }) { hub in
            for var generator in [SeededGenerator(seed: 7), .fresh("front door")] {
                for _ in 0..<20 {
                    let text = String(decoding: generator.mutate(valid), as: UTF8.self)
                    _ = try await exchange(hub, [text], until: "\r\n\r\n")
                }
            }
            let answer = try await exchange(hub, [request()], until: "\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 101 "))
        }
    }
}

/// What comes, until there is enough of it.
private final class Answer: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    private let ending: String?
    private let promise: EventLoopPromise<String>
    private var collected = ""

    init(until ending: String?, on loop: any EventLoop) {
        self.ending = ending
        promise = loop.makePromise()
    }

    var text: EventLoopFuture<String> { promise.futureResult }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        collected += String(buffer: unwrapInboundIn(data))
        if let ending, collected.contains(ending) { promise.succeed(collected) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) { promise.succeed(collected) }
}
