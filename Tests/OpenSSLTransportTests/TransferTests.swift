import NIOCore
import NIOEmbedded
import OpenSSLTransport
import TestSupport
import Testing

@Suite struct TransferTests {
    private func randomBytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) }
        }
        return Array(bytes.prefix(count))
    }

    /// Writes `bytes` in pieces of random sizes (empty, tiny, around a record, large) with flushes here and there.
    private func write(_ bytes: [UInt8], to channel: any Channel, _ generator: inout SeededGenerator) async throws {
        var pieces: [(end: Int, flush: Bool)] = []
        var index = 0
        while index < bytes.count {
            let size =
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: Int.random(in: 0...40, using: &generator)
                case 1: Int.random(in: 0...3000, using: &generator)
                case 2: Int.random(in: 16380...16390, using: &generator)
                case 3: Int.random(in: 0...70_000, using: &generator)
                default: Int.random(in: 0...400_000, using: &generator)
                }
            index = min(bytes.count, index + size)
            pieces.append((index, Int.random(in: 0..<3, using: &generator) == 0))
        }
        try await channel.eventLoop.submit { [pieces] in
            var start = 0
            for (end, flush) in pieces {
                channel.write(ByteBuffer(bytes: bytes[start..<end]), promise: nil)
                if flush { channel.flush() }
                start = end
            }
            channel.flush()
        }.get()
    }

    @Test(arguments: [(TLSVersion.tls12, 1 as UInt64), (.tls13, 2)])
    func everyByteArrivesBothWays(version: TLSVersion, seed: UInt64) async throws {
        for var generator in [SeededGenerator(seed: seed), .fresh("transfer")] {
            let loopback = try Loopback()
            let toServer = randomBytes(3_000_000, &generator)
            let toClient = randomBytes(2_500_000, &generator)
            let (port, accepted, listener) = try await loopback.listen(
                loopback.server(), expecting: toServer.count)
            let (client, handshake) = try await loopback.connect(
                .client(trust: loopback.trust, versions: (.tls12, version)), "hub.test", port: port,
                expecting: toClient.count)
            // The client does not wait for the handshake; the server does.
            try await write(toServer, to: client.channel, &generator)
            _ = try await handshake.get()
            let server = try await accepted.get()
            try await write(toClient, to: server.channel, &generator)
            #expect(try await server.recorder.received.get() == toServer)
            #expect(try await client.recorder.received.get() == toClient)
            try await server.channel.close().get()
            let report = try await client.recorder.end.get()
            #expect(report.errors == [] && report.closedByPeer == 1)
            try await listener.close().get()
        }
    }

    @Test func writesBeforeACloseArriveAndTheCloseIsClean() async throws {
        let loopback = try Loopback()
        let (port, accepted, listener) = try await loopback.listen(loopback.server())
        let (client, handshake) = try await loopback.connect(.client(trust: loopback.trust), "hub.test", port: port)
        _ = try await handshake.get()
        let bytes = [UInt8](repeating: 7, count: 5_000_000)
        client.write(bytes)
        try await client.channel.close().get()
        let report = try await accepted.get().recorder.end.get()
        #expect(report.bytes == bytes)
        #expect(report.errors == [] && report.closedByPeer == 1)
        try await listener.close().get()
    }

    @Test func aSideThatHasSaidGoodbyeStillReads() async throws {
        let loopback = try Loopback()
        let (port, accepted, listener) = try await loopback.listen(loopback.server()) { channel, bytes in
            channel.writeAndFlush(bytes, promise: nil)
        }
        let (client, handshake) = try await loopback.connect(
            .client(trust: loopback.trust), "hub.test", port: port, expecting: 5)
        _ = try await handshake.get()
        client.write(Array("hello".utf8))
        try await client.channel.close(mode: .output).get()
        #expect(try await client.recorder.received.get() == Array("hello".utf8))
        // Refused by this handler, or by the channel if the server's goodbye has closed it meanwhile.
        await #expect(throws: (any Error).self) {
            try await client.channel.writeAndFlush(ByteBuffer(string: "late"))
        }
        #expect(try await client.recorder.end.get().errors == [])
        #expect(try await accepted.get().recorder.end.get().errors == [])
        try await listener.close().get()
    }

    @Test func anEndWithoutGoodbyeIsTruncation() async throws {
        let loopback = try Loopback()
        for serverCuts in [true, false] {
            let (port, accepted, listener) = try await loopback.listen(loopback.server(), expecting: 1)
            let (client, handshake) = try await loopback.connect(
                .client(trust: loopback.trust), "hub.test", port: port)
            _ = try await handshake.get()
            let server = try await accepted.get()
            client.write([1])
            _ = try await server.recorder.received.get()
            let (cutting, other) = serverCuts ? (server, client) : (client, server)
            cutting.cut()
            let report = try await other.recorder.end.get()
            #expect(report.errors.joined().contains("without TLS close_notify"), "\(report.errors)")
            #expect(report.closedByPeer == 0)
            try await listener.close().get()
        }
    }

    @Test func anEndDuringTheHandshakeIsAFailedHandshake() async throws {
        let loopback = try Loopback()
        let (port, accepted, listener) = try await loopback.listen(nil)
        let (client, handshake) = try await loopback.connect(.client(trust: loopback.trust), "hub.test", port: port)
        let waiting = client.channel.eventLoop.makePromise(of: Void.self)
        client.channel.writeAndFlush(ByteBuffer(string: "waits for the handshake"), promise: waiting)
        try await accepted.get().channel.close().get()
        let expected = TLSError.handshakeFailed(
            peer: "hub.test", reason: "the connection was closed during the handshake")
        await #expect(throws: TLSError.self) { try await handshake.get() }
        await #expect(throws: TLSError.self) { try await waiting.futureResult.get() }
        let report = try await client.recorder.end.get()
        // A reset, where the system reports one, comes before it or after it.
        #expect(report.errors.contains(expected.description), "\(report.errors)")
        try await listener.close().get()
    }

    @Test func garbageIsAnErrorOnBothSides() async throws {
        let loopback = try Loopback()
        for text in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", String(repeating: "\u{16}\u{3}\u{1}", count: 4000)] {
            let (serverPort, accepted, listener) = try await loopback.listen(loopback.server())
            let (plain, _) = try await loopback.connect(nil, "", port: serverPort)
            plain.write(Array(text.utf8))
            let errors = try await accepted.get().recorder.end.get().errors
            #expect(errors.first?.hasPrefix("TLS handshake with the client failed: ") == true, "\(errors)")
            try await listener.close().get()

            let (plainPort, plainAccepted, plainListener) = try await loopback.listen(nil)
            let (_, handshake) = try await loopback.connect(
                .client(trust: loopback.trust), "hub.test", port: plainPort)
            try await plainAccepted.get().write(Array(text.utf8))
            await #expect(throws: TLSError.self) { try await handshake.get() }
            try await plainListener.close().get()
        }
    }

    // MARK: - Without sockets

    /// Two handlers whose bytes a test carries by hand.
    private struct Wire {
        let client: EmbeddedChannel
        let server: EmbeddedChannel
        let clientErrors = ErrorCollector()
        let serverErrors = ErrorCollector()

        init(_ client: TLSContext, _ server: TLSContext) throws {
            self.client = EmbeddedChannel(
                handlers: [try TLSHandler(client: client, serverName: "hub.test"), clientErrors])
            self.server = EmbeddedChannel(handlers: [try TLSHandler(server: server), serverErrors])
            let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
            try self.client.connect(to: address).wait()
            try self.server.connect(to: address).wait()
        }

        /// Carries until nothing moves; true when something did.
        func carry(_ change: (ByteBuffer) -> ByteBuffer = { $0 }) {
            var moved = true
            while moved {
                moved = false
                while let bytes = try? client.readOutbound(as: ByteBuffer.self) {
                    moved = true
                    if server.isActive { _ = try? server.writeInbound(change(bytes)) }
                }
                while let bytes = try? server.readOutbound(as: ByteBuffer.self) {
                    moved = true
                    if client.isActive { _ = try? client.writeInbound(change(bytes)) }
                }
            }
        }
    }

    private final class ErrorCollector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var errors: [any Error] = []
        var handshakes = 0
        func errorCaught(context: ChannelHandlerContext, error: any Error) { errors.append(error) }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .handshakeCompleted? = event as? TLSEvent { handshakes += 1 }
        }
    }

    @Test func smallWritesOfOneFlushShareRecordsAndBuffers() throws {
        let loopback = try Loopback()
        let wire = try Wire(.client(trust: loopback.trust), loopback.server())
        wire.carry()
        #expect(wire.clientErrors.handshakes == 1 && wire.serverErrors.handshakes == 1)
        let promises = (0..<100).map { _ in wire.client.eventLoop.makePromise(of: Void.self) }
        for promise in promises {
            wire.client.write(ByteBuffer(repeating: 9, count: 1000), promise: promise)
        }
        #expect(try wire.client.readOutbound(as: ByteBuffer.self) == nil)
        wire.client.flush()
        let sealed = try #require(try wire.client.readOutbound(as: ByteBuffer.self))
        // 100,000 bytes: six full records and one that is not, 22 bytes more each.
        #expect(sealed.readableBytes == 100_000 + 7 * 22)
        #expect(try wire.client.readOutbound(as: ByteBuffer.self) == nil)
        for promise in promises { #expect(throws: Never.self) { try promise.futureResult.wait() } }
        try wire.server.writeInbound(sealed)
        #expect(try wire.server.readInbound(as: ByteBuffer.self)?.readableBytes == 100_000)
        #expect(try wire.server.readInbound(as: ByteBuffer.self) == nil)
    }

    @Test func ciphertextMayComeByteByByte() throws {
        let loopback = try Loopback()
        let wire = try Wire(.client(trust: loopback.trust), loopback.server())
        func bytewise(_ bytes: ByteBuffer, _ channel: EmbeddedChannel) throws {
            for byte in bytes.readableBytesView { try channel.writeInbound(ByteBuffer(bytes: [byte])) }
        }
        for _ in 0..<3 {
            while let bytes = try wire.client.readOutbound(as: ByteBuffer.self) { try bytewise(bytes, wire.server) }
            while let bytes = try wire.server.readOutbound(as: ByteBuffer.self) { try bytewise(bytes, wire.client) }
        }
        wire.client.writeAndFlush(ByteBuffer(string: "slowly"), promise: nil)
        try bytewise(#require(try wire.client.readOutbound(as: ByteBuffer.self)), wire.server)
        #expect(try wire.server.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "slowly"))
        #expect(wire.clientErrors.errors.isEmpty && wire.serverErrors.errors.isEmpty)
    }

    @Test func changedBytesAreErrorsAndNothingElseIsDelivered() throws {
        let loopback = try Loopback()
        let client = try TLSContext.client(trust: loopback.trust)
        let server = try loopback.server()
        for var generator in [SeededGenerator(seed: 3), .fresh("tls bytes")] {
            for round in 0..<60 {
                let wire = try Wire(client, server)
                let handshakeFirst = round % 2 == 0
                if handshakeFirst { wire.carry() }
                for channel in [wire.client, wire.server] {
                    channel.writeAndFlush(ByteBuffer(repeating: 5, count: 40_000), promise: nil)
                }
                wire.carry { bytes in
                    guard Int.random(in: 0..<2, using: &generator) == 0 else { return bytes }
                    return ByteBuffer(bytes: generator.mutate(Array(bytes.readableBytesView)))
                }
                for channel in [wire.client, wire.server] {
                    while let bytes = try? channel.readInbound(as: ByteBuffer.self) {
                        #expect(bytes.readableBytesView.allSatisfy { $0 == 5 })
                    }
                    _ = try? channel.finish()
                }
            }
        }
    }

    @Test func aCloseDoesNotWaitForeverForAPeerThatReadsNothing() async throws {
        let loopback = try Loopback()
        let (port, accepted, listener) = try await loopback.listen(loopback.server())
        let context = try TLSContext.client(trust: loopback.trust)
        let loop = loopback.group.any()
        let handshake = loop.makePromise(of: TLSSession.self)
        let channel = try await ClientBootstrapForTests.connect(loop, port: port) {
            try TLSHandler(
                client: context, serverName: "hub.test", handshake: handshake, closeTimeout: .milliseconds(50))
        }
        _ = try await handshake.futureResult.get()
        let server = try await accepted.get()
        try await server.channel.setOption(.autoRead, value: false).get()
        channel.writeAndFlush(ByteBuffer(repeating: 1, count: 64_000_000), promise: nil)
        try await channel.close().get()
        try await server.channel.close().get()
        try await listener.close().get()
    }
}
