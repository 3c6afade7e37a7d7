import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import Transports

/// The handler of both roles, without sockets: what it writes is cut at random and fed to the other side.
@Suite struct WebSocketBytesHandlerTests {
    private struct End {
        let channel: EmbeddedChannel
        var errors: [String] = []

        init(_ role: WebSocketBytesHandler.Role) throws {
            channel = EmbeddedChannel(handler: WebSocketBytesHandler(role))
            try channel.connect(to: .init(unixDomainSocketPath: "/x")).wait()
        }

        /// Everything that was written to the wire.
        func output() throws -> [UInt8] {
            var bytes: [UInt8] = []
            while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
            return bytes
        }

        func input() throws -> [UInt8] {
            var bytes: [UInt8] = []
            while let buffer = try channel.readInbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
            return bytes
        }

        /// The error that this input causes, if any.
        mutating func feed(_ bytes: [UInt8]) {
            do {
                try channel.writeInbound(ByteBuffer(bytes: bytes))
            } catch {
                errors.append("\(error)")
            }
        }

        func discard() { _ = try? channel.finish(acceptAlreadyClosed: true) }
    }

    private func random(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    @Test func bytesArriveAsTheyWereSentHoweverTheyAreCut() throws {
        for var generator in (0..<4).map({ SeededGenerator(seed: $0) }) + [.fresh("websocket bytes")] {
            for (from, to) in [
                (WebSocketBytesHandler.Role.client, WebSocketBytesHandler.Role.server), (.server, .client),
            ] {
                var (sender, receiver) = (try End(from), try End(to))
                var sent: [UInt8] = []
                var received: [UInt8] = []
                for _ in 0..<6 {
                    for _ in 0..<Int.random(in: 1...5, using: &generator) {
                        // Around the limits of frames and of copied pieces.
                        let sizes = [0, 1, 125, 126, 4096, 4097, 65535, 65536, 70000, 200_000]
                        let bytes = random(sizes.randomElement(using: &generator) ?? 0, &generator)
                        sent += bytes
                        sender.channel.write(ByteBuffer(bytes: bytes), promise: nil)
                    }
                    sender.channel.flush()
                    var wire = try sender.output()[...]
                    while !wire.isEmpty {
                        let piece = wire.prefix(Int.random(in: 1...50_000, using: &generator))
                        wire = wire.dropFirst(piece.count)
                        receiver.feed(Array(piece))
                        received += try receiver.input()
                    }
                }
                let isSame = sent == received
                #expect(isSame, "seed \(generator.seed)")
                #expect(receiver.errors == [])
                sender.discard()
                receiver.discard()
            }
        }
    }

    @Test func aClientMasksEveryFrameUnderItsOwnKey() throws {
        let client = try End(.client)
        var keys: Set<[UInt8]> = []
        for _ in 0..<50 {
            client.channel.writeAndFlush(ByteBuffer(bytes: [0, 0, 0, 0, 0, 0]), promise: nil)
            let wire = try client.output()
            #expect(wire.count == 12 && wire[0] == 0x82 && wire[1] == 0x86)
            keys.insert(Array(wire[2..<6]))
            #expect(Array(wire[6...]) == Array(wire[2..<6] + wire[2..<4]))
        }
        #expect(keys.count > 45)
        client.discard()
    }

    @Test func aServerHandsLargePiecesOnWithoutACopy() throws {
        let server = try End(.server)
        let large = ByteBuffer(repeating: 7, count: 50_000)
        let address = large.withUnsafeReadableBytes { $0.baseAddress }
        server.channel.write(ByteBuffer(string: "head"), promise: nil)
        server.channel.writeAndFlush(large, promise: nil)
        var addresses: [UnsafeRawPointer?] = []
        while let buffer = try server.channel.readOutbound(as: ByteBuffer.self) {
            addresses.append(buffer.withUnsafeReadableBytes { $0.baseAddress })
        }
        #expect(addresses.contains(address))
        server.discard()
    }

    @Test func nothingLeavesBeforeTheFlush() throws {
        for role in [WebSocketBytesHandler.Role.client, .server] {
            let end = try End(role)
            end.channel.write(ByteBuffer(string: "a"), promise: nil)
            let promise = end.channel.eventLoop.makePromise(of: Void.self)
            end.channel.write(ByteBuffer(string: "b"), promise: promise)
            #expect(try end.output() == [])
            end.channel.flush()
            // Together in one frame.
            let wire = try end.output()
            #expect(wire.count == (role == .client ? 8 : 4) && wire[1] & 0x7F == 2)
            try promise.futureResult.wait()
            end.discard()
        }
    }

    @Test func aPingIsAnsweredOnceItCanBeAndOnlyTheLast() throws {
        var client = try End(.client)
        client.feed([0x89, 0x02, 0x68, 0x69])
        var parser = WebSocketFrameParser(isFromClient: true)
        var wire = ByteBuffer(bytes: try client.output())
        #expect(wire.getBytes(at: 0, length: 2) == [0x8A, 0x82])
        #expect(try parser.next(&wire) == .pong)
        // A peer that does not read gets one answer when it does, not a thousand.
        client.channel.isWritable = false
        for number in 0..<1000 { client.feed([0x89, 0x02, UInt8(number >> 8), UInt8(number & 255)]) }
        #expect(try client.output() == [])
        client.channel.isWritable = true
        client.channel.pipeline.fireChannelWritabilityChanged()
        let answer = try client.output()
        #expect(answer.count == 8)
        #expect(zip(answer[6...], answer[2...]).map { $0 ^ $1 } == [999 >> 8, 999 & 255])
        client.discard()
    }

    @Test func aCloseIsAnsweredAndCloses() throws {
        var server = try End(.server)
        server.feed([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8])
        #expect(try server.output() == [0x88, 0x02, 0x03, 0xE8])
        #expect(server.errors == [])
        #expect(!server.channel.isActive)
        var other = try End(.client)
        // 1011: the server failed; the owner hears why.
        other.feed([0x88, 0x06, 0x03, 0xF3] + Array("oops".utf8))
        #expect(other.errors == ["the peer closed the WebSocket with status 1011: oops"])
        #expect(!other.channel.isActive)
        server.discard()
        other.discard()
    }

    @Test func ourCloseSaysGoodbyeAndFailsWhatWasNotFlushed() throws {
        let server = try End(.server)
        let promise = server.channel.eventLoop.makePromise(of: Void.self)
        server.channel.write(ByteBuffer(string: "never flushed"), promise: promise)
        server.channel.close(promise: nil)
        #expect(try server.output() == [0x88, 0x02, 0x03, 0xE8])
        #expect(throws: ChannelError.ioOnClosedChannel) { try promise.futureResult.wait() }
        #expect(!server.channel.isActive)
        server.discard()
    }

    @Test func aBreachIsToldToBothSidesAndCloses() throws {
        var server = try End(.server)
        server.feed([0x81, 0x81, 0, 0, 0, 0, 0x61])
        #expect(try server.output() == [0x88, 0x02, 0x03, 0xEB])
        #expect(
            server.errors == ["the WebSocket peer broke the protocol: a text message; AMQP is carried in binary ones"])
        #expect(!server.channel.isActive)
        // What comes behind is nobody's.
        server.discard()
    }

    @Test func aReadThatBroughtNothingIsRepeated() throws {
        let counter = ReadCounter()
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(counter)
        try channel.pipeline.syncOperations.addHandler(WebSocketBytesHandler(.client))
        try channel.connect(to: .init(unixDomainSocketPath: "/x")).wait()
        // The one who wants to read asks once; half a frame head is no answer to that.
        try channel.setOption(.autoRead, value: false).wait()
        channel.pipeline.read()
        let before = counter.reads
        try channel.writeInbound(ByteBuffer(bytes: [0x82]))
        #expect(counter.reads == before + 1)
        try channel.writeInbound(ByteBuffer(bytes: [0x01, 0x61]))
        #expect(counter.reads == before + 1)
        #expect(try channel.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "a"))
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    @Test func hostileInputNeverTrapsAndAlwaysEnds() throws {
        var fresh = SeededGenerator.fresh("hostile websocket")
        for seed in 0..<150 as Range<UInt64> {
            var fixed = SeededGenerator(seed: seed)
            for useFresh in [false, true] {
                var generator = useFresh ? fresh : fixed
                let client = try End(.client)
                for size in [3, 200, seed % 10 == 0 ? 70_000 : 1000] {
                    client.channel.writeAndFlush(ByteBuffer(bytes: random(size, &generator)), promise: nil)
                }
                let wire = generator.mutate(try client.output())
                var server = try End(.server)
                var rest = wire[...]
                while !rest.isEmpty, server.channel.isActive {
                    let piece = rest.prefix(Int.random(in: 1...2000, using: &generator))
                    rest = rest.dropFirst(piece.count)
                    server.feed(Array(piece))
                }
                // An error is told once, and closes.
                #expect(server.errors.count <= 1)
                #expect(server.errors.isEmpty || !server.channel.isActive)
                client.discard()
                server.discard()
                if useFresh { fresh = generator } else { fixed = generator }
            }
        }
    }
}

private final class ReadCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var reads = 0

    func read(context: ChannelHandlerContext) {
        reads += 1
        context.read()
    }
}
