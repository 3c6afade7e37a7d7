import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import AMQP

@Suite struct EndingsTests {
    enum Ending: CaseIterable {
        case clientDetach, serverDetach, clientEnd, serverEnd, clientClose, serverClose, transport
    }

    /// Whatever ends, and after however many deliveries: each of them gets exactly one result.
    @Test(arguments: Ending.allCases)
    func everyDeliveryHasOneResultWhereverTheEndCuts(ending: Ending) throws {
        for step in 0..<12 {
            let pair = try ConnectionPair(server: { $0.maximumFrameSize = 512 })
            let link = try #require(pair.openSender(credit: 4))
            var tokens: Set<UInt64> = []
            let error = AMQPError("amqp:internal-error", "script")
            for i in 0..<12 {
                if i == step {
                    let serverSession = pair.serverSide.sessions[0]
                    let serverLink = pair.serverSide.links[0]
                    switch ending {
                    case .clientDetach: pair.client.detach(link, error)
                    case .serverDetach: pair.server.detach(serverLink, error)
                    case .clientEnd: pair.client.end(pair.clientSide.sessions[0], error)
                    case .serverEnd: pair.server.end(serverSession, error)
                    case .clientClose: pair.client.close(error)
                    case .serverClose: pair.server.close(error)
                    case .transport: pair.server.dropTransport()
                    }
                    if i % 2 == 0 { pair.run() }
                }
                if case .success(let token) = pair.send(link, Array(repeating: 1, count: 1500)) { tokens.insert(token) }
                if i % 3 == 0 { pair.run() }
                if i % 4 == 0, let delivery = pair.serverSide.deliveries.last,
                    let session = pair.serverSide.sessions.first
                {
                    pair.server.settle(session, delivery.id, .accepted)
                }
            }
            pair.run()
            var told: [UInt64] = []
            for case .result(_, let token, let result) in pair.clientSide.events {
                told.append(token)
                switch result {
                case .unknown(let termination), .notSent(let termination):
                    #expect(ending == .transport || termination.error == error)
                default: break
                }
            }
            #expect(Set(told) == tokens && told.count == tokens.count)
            #expect(pair.clientSide.linkEnds.count == 1 && pair.serverSide.linkEnds.count == 1)
            let scope = try #require(pair.clientSide.linkEnds.first).scope
            switch ending {
            case .clientDetach, .serverDetach: #expect(scope == .link)
            case .clientEnd, .serverEnd: #expect(scope == .session)
            case .clientClose, .serverClose, .transport: #expect(scope == .connection)
            }
            pair.finish()
        }
    }

    @Test func aMebibyteLeavesInOneFlush() throws {
        final class FlushCounter: ChannelOutboundHandler {
            typealias OutboundIn = ByteBuffer
            var flushes = 0
            func flush(context: ChannelHandlerContext) {
                flushes += 1
                context.flush()
            }
        }
        let pair = try ConnectionPair()
        let link = try #require(pair.openSender())
        let counter = FlushCounter()
        try pair.clientChannel.pipeline.syncOperations.addHandler(counter, position: .first)
        _ = try pair.send(link, Array(repeating: 1, count: 1_000_000)).get()
        pair.run()
        #expect(counter.flushes == 1)
        #expect(pair.serverSide.deliveries.count == 1)
        pair.finish()
    }

    @Test func theClientObjectsTellTheirEnds() throws {
        let pair = try ConnectionPair()
        pair.run()
        let loop = EmbeddedEventLoop()
        let clientChannel = EmbeddedChannel(loop: loop)
        let opening = AMQPClientConnection.open(
            on: clientChannel,
            AMQPHandlerConfiguration(.client(.anonymous), ConnectionConfiguration(containerID: "c")))
        try clientChannel.connect(to: SocketAddress(unixDomainSocketPath: "/c")).wait()
        loop.run()
        _ = try clientChannel.finish(acceptAlreadyClosed: true)
        #expect(throws: AMQPTermination.self) { _ = try opening.wait() }
        pair.finish()
    }

    /// Mutated traffic on an open connection ends in an error of some scope or in nothing, never in a trap.
    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8, nil] as [UInt64?])
    func mutatedFramesNeverTrap(seed: UInt64?) throws {
        var generator = seed.map(SeededGenerator.init(seed:)) ?? .fresh("mutatedFramesNeverTrap")
        for _ in 0..<40 {
            let pair = try ConnectionPair(server: { $0.maximumFrameSize = 512 })
            let link = try #require(pair.openSender(credit: 20))
            pair.tamper = { bytes in
                Bool.random(using: &generator)
                    ? bytes : ByteBuffer(bytes: generator.mutate(Array(bytes.readableBytesView)))
            }
            for i in 0..<6 {
                _ = pair.send(link, Array(repeating: UInt8(i), count: Int.random(in: 0...1200, using: &generator)))
                pair.run()
                if let delivery = pair.serverSide.deliveries.last, let session = pair.serverSide.sessions.first {
                    pair.server.settle(session, delivery.id, .accepted)
                }
            }
            pair.run()
            pair.finish()
        }
    }

    /// Well-formed performatives with random fields, in any order.
    @Test(arguments: [11, 12, 13, 14, nil] as [UInt64?])
    func randomPerformativesNeverTrap(seed: UInt64?) {
        var generator = seed.map(SeededGenerator.init(seed:)) ?? .fresh("randomPerformativesNeverTrap")
        func number() -> UInt32 {
            [0, 1, 2, 3, 4, 5, 9, 200, 0x7FFF_FFFF, 0x8000_0000, .max].randomElement(using: &generator) ?? 0
        }
        for _ in 0..<400 {
            var script = MachineScript.withSession { $0.session.reassemblyLimit = 5000 }
            script.receiverLink(handle: 0, credit: .window(50), maxMessageSize: 3000)
            let sender = script.senderLink(handle: 1, credit: 5)
            for _ in 0..<40 {
                if script.machine.isClosed { break }
                let frame: Performative
                switch Int.random(in: 0..<12, using: &generator) {
                case 0:
                    frame = .begin(Begin(nextOutgoingID: number(), incomingWindow: number(), outgoingWindow: number()))
                case 1:
                    var attach = Attach(
                        name: "l\(number())", handle: number(),
                        role: Bool.random(using: &generator) ? .sender : .receiver)
                    attach.initialDeliveryCount = number()
                    attach.maxMessageSize = UInt64(number())
                    frame = .attach(attach)
                case 2, 3, 4:
                    var flow = Flow(
                        nextIncomingID: number(), incomingWindow: number(), nextOutgoingID: number(),
                        outgoingWindow: number())
                    flow.handle = Bool.random(using: &generator) ? number() & 3 : nil
                    flow.deliveryCount = number()
                    flow.linkCredit = number()
                    flow.drain = Bool.random(using: &generator)
                    flow.echo = Bool.random(using: &generator)
                    frame = .flow(flow)
                case 5, 6, 7:
                    frame = MachineScript.transfer(
                        number() & 1, Bool.random(using: &generator) ? number() : nil,
                        more: Bool.random(using: &generator), settled: Bool.random(using: &generator))
                case 8, 9:
                    frame = MachineScript.disposition(
                        number(), number(), .accepted, settled: Bool.random(using: &generator),
                        role: Bool.random(using: &generator) ? .sender : .receiver)
                case 10: frame = .detach(Detach(handle: number() & 3))
                default: frame = Bool.random(using: &generator) ? .end(End()) : .close(Close())
                }
                script.receive(frame, payload: Array(repeating: 1, count: Int(number() % 1000)))
                _ = script.machine.send(sender, OutgoingDelivery(payload: ByteBuffer(repeating: 1, count: 100)))
                for event in script.events {
                    if case .attachRequested(let id, _) = event {
                        script.machine.accept(id, Attach(name: "", handle: 0, role: .sender), credit: .window(number()))
                    }
                }
                _ = script.machine.pump(budget: 1000)
                script.take()
                script.events.removeAll()
            }
        }
    }
}
