import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import AMQP

@Suite struct HandlerTests {
    @Test(arguments: [SASLCredential.anonymous, .plain(user: "u", password: "p"), nil])
    func bothSidesOpenAndClose(credential: SASLCredential?) throws {
        let pair = try ConnectionPair(credential: credential)
        pair.run()
        #expect(pair.client.isOpen && pair.server.isOpen)
        #expect(pair.client.remoteOpen?.containerID == "server")
        #expect(pair.serverSide.identities.count == (credential == nil ? 0 : 1))
        pair.client.close()
        pair.run()
        #expect(pair.clientSide.closed == AMQPTermination(scope: .connection, origin: .local))
        #expect(pair.serverSide.closed == AMQPTermination(scope: .connection, origin: .peer))
        #expect(!pair.clientChannel.isActive && !pair.serverChannel.isActive)
    }

    @Test func refusedCredentialsEndTheConnection() throws {
        let pair = try ConnectionPair(credential: .plain(user: "u", password: "wrong"))
        pair.serverSide.verdict = .authentication
        pair.run()
        #expect(pair.clientSide.closed?.error?.condition == AMQPCondition.unauthorizedAccess)
        #expect(pair.serverSide.closed?.error?.condition == AMQPCondition.unauthorizedAccess)
    }

    @Test func aServerThatWantsSASLRefusesPlainAMQP() throws {
        let pair = try ConnectionPair(credential: nil, allowsNoSASL: false)
        pair.run()
        #expect(pair.clientSide.closed?.error?.condition == AMQPCondition.framingError)
    }

    @Test(arguments: [0, 1, 450, 100_000, 1 << 20])
    func deliveriesOfAllSizesArriveWhole(size: Int) throws {
        let pair = try ConnectionPair(server: { $0.maximumFrameSize = size > 60_000 ? 65536 : 512 })
        let link = try #require(pair.openSender())
        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        _ = try pair.send(link, body).get()
        pair.run()
        let delivery = try #require(pair.serverSide.deliveries.first)
        #expect(Array(delivery.payload.readableBytesView) == body)
        #expect(delivery.messageFormat == 0 && !delivery.settled)
        pair.server.settle(pair.serverSide.sessions[0], delivery.id, .accepted)
        pair.run()
        #expect(pair.clientSide.results == [.settled(.accepted)])
        pair.finish()
    }

    @Test func settledDeliveriesAreDoneWhenSent() throws {
        let pair = try ConnectionPair()
        let link = try #require(pair.openSender())
        for i in 0..<300 { _ = try pair.send(link, [UInt8(i & 255)], settled: true).get() }
        pair.run()
        #expect(pair.clientSide.results == Array(repeating: .sentSettled, count: 300))
        #expect(
            pair.serverSide.deliveries.map { $0.payload.getInteger(at: $0.payload.readerIndex, as: UInt8.self) }
                == (0..<300).map { UInt8($0 & 255) })
        pair.finish()
    }

    @Test func deliveriesWaitForCredit() throws {
        let pair = try ConnectionPair()
        let link = try #require(pair.openSender(credit: 10))
        for i in 0..<25 { _ = try pair.send(link, [UInt8(i)]).get() }
        pair.run()
        #expect(pair.serverSide.deliveries.count == 10)
        for delivery in pair.serverSide.deliveries {
            pair.server.settle(pair.serverSide.sessions[0], delivery.id, .accepted)
        }
        pair.run()
        #expect(pair.serverSide.deliveries.count == 20)
        #expect(pair.clientSide.results.count == 10)
        pair.finish()
    }

    @Test func silentPeersAreForcedOut() throws {
        let pair = try ConnectionPair(server: { $0.idleTimeOut = 1000 })
        pair.run()
        // The client's empty frames keep it open.
        for _ in 0..<20 { pair.advance(.milliseconds(250)) }
        #expect(pair.server.isOpen && pair.client.isOpen)
        pair.tamper = { _ in ByteBuffer() }
        for _ in 0..<6 { pair.advance(.milliseconds(250)) }
        #expect(pair.clientSide.closed?.error?.condition == AMQPCondition.connectionForced)
        #expect(pair.clientSide.closed?.origin == .peer)
    }

    /// However the stream is cut into pieces, the same frames come out.
    @Test(arguments: [1, 2, 3, nil] as [UInt64?])
    func piecesOfAnySizeMakeTheSameFrames(seed: UInt64?) throws {
        var generator = seed.map(SeededGenerator.init(seed:)) ?? .fresh("piecesOfAnySizeMakeTheSameFrames")
        let pair = try ConnectionPair(server: { $0.maximumFrameSize = 1024 })
        pair.cut = { bytes in
            var pieces: [ByteBuffer] = []
            var bytes = bytes
            while bytes.readableBytes > 0 {
                let size = [1, 2, 3, 7, 8, 9, 100, 1023, 1024, 5000].randomElement(using: &generator) ?? 1
                if let piece = bytes.readSlice(length: min(size, bytes.readableBytes)) { pieces.append(piece) }
            }
            return pieces
        }
        let link = try #require(pair.openSender())
        let bodies = (0..<40).map { i in
            [UInt8](repeating: UInt8(i), count: Int.random(in: 0...3000, using: &generator))
        }
        for body in bodies { _ = try pair.send(link, body).get() }
        pair.run()
        let arrived = pair.serverSide.deliveries.map { Array($0.payload.readableBytesView) } == bodies
        #expect(arrived)
        pair.finish()
    }
}
