import AMQP
import Glibc
import NIOCore
import TestSupport
import Testing

/// Our client against Qpid Proton as the server.
struct ProtonServerTests {
    static func pattern(_ size: Int, _ step: Int = 31) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: $0 &* step) }
    }

    @Test(arguments: [false, true])
    func messagesOfAllSizesGoThereAndComeBack(tls: Bool) async throws {
        let server = try await ProtonServer(["--frame", "4096"], tls: tls)
        let client = try await PeerClient(port: server.port, authority: server.authority, frame: 4096)
        let bodies = [0, 1, 3900, 4000, 4096, 100_000, 1 << 20, 3_000_000].map { Self.pattern($0) }
        let sender = try await client.sender("store")
        let results = try await sender.sendAll(bodies.map { AMQPMessage($0) })
        #expect(results == bodies.map { _ in .settled(.accepted) })
        let inbox = Inbox()
        _ = try await client.receiver("stored", into: inbox)
        let same = await inbox.messages(atLeast: bodies.count).map(\.bytes) == bodies
        #expect(same)
        try await client.close()
        _ = try await server.line("closing")
    }

    @Test func everyTypeAndSectionMeansTheSameToBoth() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let result = try await client.sender("values").send(AllTypes.message)
        #expect(result == .settled(.accepted))
        let inbox = Inbox()
        _ = try await client.receiver("values", into: inbox)
        let message = try #require(await inbox.messages(atLeast: 1).first)
        let wanted = AllTypes.message
        #expect(message.header == wanted.header)
        #expect(message.deliveryAnnotations == wanted.deliveryAnnotations)
        #expect(message.messageAnnotations == wanted.messageAnnotations)
        #expect(message.properties == wanted.properties)
        #expect(message.applicationProperties == wanted.applicationProperties)
        #expect(message.body == wanted.body)
        try await client.close()
    }

    @Test func noDeliveryGoesBeyondTheCredit() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let sender = try await client.sender("few")
        let results = try await sender.sendAll((0..<20).map { AMQPMessage([UInt8($0)]) })
        #expect(results == Array(repeating: .settled(.accepted), count: 20))
        #expect(!server.lines.contains { $0.hasPrefix("exceeded") })
        #expect(server.lines.contains("granted 21 received 18"))
        try await client.close()
    }

    @Test func creditThatTheServerDrainsIsGivenBack() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let sender = try await client.sender("drain")
        let first = try await sender.sendAll((0..<10).map { AMQPMessage([UInt8($0)]) })
        #expect(first == Array(repeating: .settled(.accepted), count: 10))
        #expect(try await server.line("drained") == "drained credit 0 received 10")
        // What came before the drain no longer counts: these wait for the five that are granted after it.
        let second = try await sender.sendAll((0..<5).map { AMQPMessage([UInt8($0)]) })
        #expect(second == Array(repeating: .settled(.accepted), count: 5))
        #expect(try await client.connection.eventLoop.submit { sender.availableCredit }.get() == 0)
        try await client.close()
    }

    @Test func creditIsSpentAndDrainedAsThisSideGrantsIt() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let inbox = Inbox()
        let receiver = try await client.receiver("numbers:25", credit: .manual, into: inbox)
        receiver.grantCredit(10)
        _ = await inbox.messages(atLeast: 10)
        receiver.grantCredit(100, drain: true)
        #expect(try await server.line("gave back") == "gave back sent 25")
        #expect(await inbox.messages(atLeast: 25).count == 25)
        for i in 0..<25 { #expect(try await server.line("outcome \(i) ").hasPrefix("outcome \(i) ACCEPTED")) }
        try await client.close()
    }

    @Test func outcomesOfTheServerArrive() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let sender = try await client.sender("dispose")
        var error = AMQPError("test:rejected", "for the test")
        error.info[symbol: "detail"] = .string("more")
        let cases: [(String, DeliveryState?)] = [
            ("accept", .accepted), ("reject", .rejected(error)), ("reject without error", .rejected(nil)),
            ("release", .released),
            (
                "modify",
                .modified(
                    deliveryFailed: true, undeliverableHere: true,
                    annotations: AMQPMap([.init(.symbol("why"), .string("for the test"))]))
            ),
            ("settle", nil),
        ]
        let results = try await sender.sendAll(
            cases.map {
                var message = AMQPMessage([1])
                message.properties = AMQPMessage.Properties()
                message.properties?.subject = $0.0
                return message
            })
        for (result, (name, state)) in zip(results, cases) { #expect(result == .settled(state), "\(name)") }
        try await client.close()
    }

    @Test func outcomesOfThisSideArrive() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let states: [DeliveryState] = [
            .accepted, .rejected(AMQPError("test:no", "not wanted")), .rejected(nil), .released,
            .modified(
                deliveryFailed: true, undeliverableHere: false,
                annotations: AMQPMap([.init(.symbol("why"), .string("because"))])),
            .accepted,
        ]
        let inbox = Inbox { states[$0] }
        _ = try await client.receiver("numbers:6", into: inbox)
        let wanted = [
            "ACCEPTED", "REJECTED test:no not wanted", "REJECTED", "RELEASED",
            "MODIFIED True False {'why': 'because'}", "ACCEPTED",
        ]
        for (i, text) in wanted.enumerated() {
            let line = try await server.line("outcome \(i) ")
            #expect(line.dropFirst("outcome \(i) ".count).trimmed == text)
        }
        try await client.close()
    }

    @Test func outcomesThatTheServerDoesNotSettleAreSettledHere() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let sender = try await client.sender("second", receiverSettles: .second)
        #expect(try await sender.send(AMQPMessage([1])) == .settled(.accepted))
        _ = try await server.line("settled by the sender")
        try await client.close()
    }

    /// 5,000 deliveries in flight; their outcomes come as one range.
    @Test func thousandsInFlightAreAnsweredInRanges() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let sender = try await client.sender("late:5000")
        for _ in 0..<2 {
            let results = try await sender.sendAll((0..<5000).map { AMQPMessage([UInt8($0 & 255)]) })
            #expect(results.count == 5000 && results.allSatisfy { $0 == .settled(.accepted) })
        }
        #expect(server.lines.filter { $0 == "answered 5000" }.count == 2)
        try await client.close()
    }

    @Test(arguments: [false, true])
    func tenThousandArriveInOrder(settled: Bool) async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let sender = try await client.sender("count")
        for round in 0..<2 {
            let messages = (0..<5000).map { AMQPMessage(body: .value(.int(Int32(round * 5000 + $0)))) }
            let results = try await sender.sendAll(messages, settled: settled)
            #expect(results.allSatisfy { $0 == (settled ? .sentSettled : .settled(.accepted)) })
        }
        #expect(try await server.line("counted 10000") == "counted 10000 settled \(settled ? 10000 : 0)")
        #expect(!server.lines.contains { $0.hasPrefix("out of order") })
        try await client.close()
    }

    @Test(arguments: ["numbers:5000", "settled:5000"])
    func thousandsComeInOrder(address: String) async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let inbox = Inbox()
        _ = try await client.receiver(address, credit: .window(500), into: inbox)
        let bodies = await inbox.messages(atLeast: 5000).map(\.body)
        // Proton takes Python's numbers for longs.
        let inOrder = bodies == (0..<5000).map { .value(.long($0)) }
        #expect(inOrder)
        if address.hasPrefix("numbers") { #expect(try await server.line("outcome 4999 ").contains("ACCEPTED")) }
        try await client.close()
    }

    /// A session window of 16 frames: this side waits for it to open again.
    @Test func theSessionWindowOfTheServerIsKept() async throws {
        let server = try await ProtonServer(["--frame", "4096", "--window", "65536"])
        let client = try await PeerClient(port: server.port)
        let sender = try await client.sender("store")
        let results = try await sender.sendAll((0..<500).map { AMQPMessage(Self.pattern(3000 + $0)) })
        #expect(results.count == 500 && results.allSatisfy { $0 == .settled(.accepted) })
        try await client.close()
    }

    @Test func detachesEndsAndClosesSayWhyAndWhatBecameOfTheDeliveries() async throws {
        let server = try await ProtonServer()
        for (address, scope) in [("detach", AMQPTermination.Scope.link), ("end", .session), ("close", .connection)] {
            let client = try await PeerClient(port: server.port)
            let sender = try await client.sender("\(address):3")
            let results = try await sender.sendAll((0..<3).map { AMQPMessage([UInt8($0)]) })
            var error = AMQPError("test:the-end", "after 3")
            // Proton takes Python's numbers for longs.
            error.info[symbol: "count"] = .long(3)
            let wanted = AMQPTermination(scope: scope, origin: .peer, error: error)
            #expect(results == Array(repeating: .unknown(wanted), count: 3))
            #expect(try await sender.closeFuture.get() == wanted)
            if scope != .link { #expect(try await client.session.closeFuture.get() == wanted) }
            if scope == .connection {
                #expect(try await client.connection.closeFuture.get() == wanted)
            } else {
                // What is around it goes on.
                let session =
                    scope == .link ? client.session : try await client.connection.beginSession().get()
                var attach = Attach(name: "again", handle: 0, role: .sender)
                attach.target = Target(address: "store")
                let again = try await session.attachSender(attach).get()
                #expect(try await again.send(AMQPMessage([1])) == .settled(.accepted))
                try await client.close()
            }
        }
    }

    @Test func anAttachThatTheServerRefusesFailsWithItsReason() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let wanted = AMQPTermination(
            scope: .link, origin: .peer, error: AMQPError("amqp:not-found", "no node somewhere"))
        await #expect(throws: wanted) { try await client.sender("unknown:somewhere") }
        await #expect(throws: wanted) { _ = try await client.receiver("unknown:somewhere", into: Inbox()) }
        try await client.close()
    }

    /// Both sides ask for a sign of life at least twice a second and say nothing else for three seconds.
    @Test func emptyFramesKeepAnIdleConnectionOpen() async throws {
        let server = try await ProtonServer(["--idle", "1", "--open-for", "3"])
        let client = try await PeerClient(port: server.port, idleTimeOut: 1000)
        // Proton announces half of what it waits for.
        let announced = try await client.connection.eventLoop.submit { client.connection.remoteOpen?.idleTimeOut }.get()
        #expect(announced == 500)
        #expect(try await client.connection.closeFuture.get() == AMQPTermination(scope: .connection, origin: .peer))
        #expect(!server.lines.contains { $0.hasPrefix("transport") })
    }

    @Test func aServerThatFallsSilentIsGivenUp() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port, idleTimeOut: 500)
        let sender = try await client.sender("few")
        server.child.hold()
        let termination = try await client.connection.closeFuture.get()
        #expect(termination.scope == .connection && termination.origin == .local)
        #expect(termination.error?.condition == "amqp:connection:forced")
        #expect(termination.error?.text?.contains("500 milliseconds") == true)
        #expect(try await sender.closeFuture.get() == termination)
        server.child.signal(SIGCONT)
    }

    @Test func aServerThatDiesTakesTheConnectionWithIt() async throws {
        let server = try await ProtonServer()
        let client = try await PeerClient(port: server.port)
        let sender = try await client.sender("late:10")
        let pending = sender.send(payload: AMQPMessage([1]).encoded())
        // The delivery is on its way once the server has answered something behind it.
        _ = try await client.sender("store").send(AMQPMessage([2]))
        server.child.signal(SIGKILL)
        let termination = try await client.connection.closeFuture.get()
        #expect(termination.origin == .transport)
        #expect(try await pending.get() == .unknown(termination))
    }
}

extension Substring {
    var trimmed: String { String(self.reversed().drop { $0 == " " }.reversed()) }
}
