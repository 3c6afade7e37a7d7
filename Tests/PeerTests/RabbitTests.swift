import AMQP
import NIOCore
import Testing

/// Our client against RabbitMQ, a broker that nobody wrote with our client in mind.
@Suite(.serialized, OneRabbitBroker()) struct RabbitTests {
    let broker: RabbitBroker

    init() throws { broker = try #require(RabbitBroker.current) }

    private func connect(
        tls: Bool = false, frame: UInt32 = 65536, password: String = RabbitBroker.password, idleTimeOut: UInt32? = nil
    ) async throws -> PeerClient {
        try await PeerClient(
            port: tls ? broker.tlsPort : broker.port, authority: tls ? broker.authority : nil,
            .plain(user: RabbitBroker.user, password: password), frame: frame, idleTimeOut: idleTimeOut)
    }

    @Test(arguments: [false, true])
    func messagesOfAllSizesPassTheBroker(tls: Bool) async throws {
        let client = try await connect(tls: tls, frame: 4096)
        let bodies = [0, 1, 4000, 4096, 100_000, 131_072, 1 << 20, 3_000_000].map { ProtonServerTests.pattern($0) }
        let queue = "/queue/sizes-\(tls)"
        let results = try await client.sender(queue).sendAll(bodies.map { AMQPMessage($0) })
        #expect(results == bodies.map { _ in .settled(.accepted) })
        let inbox = Inbox()
        _ = try await client.receiver(queue, into: inbox)
        let same = await inbox.messages(atLeast: bodies.count).map(\.bytes) == bodies
        #expect(same)
        try await client.close()
    }

    /// The broker reads values to find where they end, and dies of lists in lists.
    @Test func everyTypePassesTheBroker() async throws {
        let client = try await connect()
        let bodies = AllTypes.values.filter { value in
            guard case .list(let list) = value else { return value != .null }
            return list.isEmpty
        }
        var messages = bodies.map { AMQPMessage(body: .value($0)) }
        messages += AllTypes.simple.map { name, value in
            var message = AMQPMessage([1])
            message.applicationProperties[string: name] = value
            return message
        }
        var large = AMQPMessage([2])
        for i in 0..<3000 {
            large.applicationProperties.entries.append(.init(.string("property-\(i)"), .int(Int32(i))))
        }
        large.properties = AllTypes.message.properties
        // The broker insists on it.
        large.properties?.userID = ByteBuffer(string: RabbitBroker.user)
        messages.append(large)
        let results = try await client.sender("/queue/types").sendAll(messages)
        #expect(results.allSatisfy { $0 == .settled(.accepted) })
        let inbox = Inbox()
        _ = try await client.receiver("/queue/types", into: inbox)
        for (got, sent) in zip(await inbox.messages(atLeast: messages.count), messages) {
            #expect(got.body == sent.body)
            #expect(got.applicationProperties == sent.applicationProperties)
            if sent.properties != nil { #expect(got.properties == sent.properties) }
        }
        try await client.close()
    }

    @Test(arguments: [false, true])
    func thousandsPassInOrder(settled: Bool) async throws {
        let client = try await connect()
        let queue = "/queue/thousands-\(settled)"
        let inbox = Inbox()
        _ = try await client.receiver(queue, credit: .window(500), into: inbox)
        let sender = try await client.sender(queue)
        let bodies = (0..<5000).map { Array("message \($0)".utf8) }
        let results = try await sender.sendAll(bodies.map { AMQPMessage($0) }, settled: settled)
        #expect(results.allSatisfy { $0 == (settled ? .sentSettled : .settled(.accepted)) })
        let inOrder = await inbox.messages(atLeast: 5000).map(\.bytes) == bodies
        #expect(inOrder)
        try await client.close()
    }

    /// What is released comes again, what is rejected or accepted does not.
    @Test func outcomesDecideWhatTheBrokerKeeps() async throws {
        let client = try await connect()
        let queue = "/queue/outcomes"
        let results = try await client.sender(queue).sendAll((0..<3).map { AMQPMessage([UInt8($0)]) })
        #expect(results.allSatisfy { $0 == .settled(.accepted) })
        let states: [DeliveryState] = [.accepted, .rejected(AMQPError("test:no", "not wanted")), .released]
        let inbox = Inbox { states.indices.contains($0) ? states[$0] : .accepted }
        _ = try await client.receiver(queue, credit: .window(1), into: inbox)
        #expect(await inbox.messages(atLeast: 4).compactMap(\.bytes) == [[0], [1], [2], [2]])
        try await client.close()
    }

    /// Not more than was granted; draining is Qpid Proton's part, as this broker's own queues die of it.
    @Test func noMoreThanTheCreditComes() async throws {
        let client = try await connect()
        let queue = "/queue/credit"
        let sender = try await client.sender(queue)
        _ = try await sender.sendAll((0..<25).map { AMQPMessage([UInt8($0)]) })
        let inbox = Inbox()
        let receiver = try await client.receiver(queue, credit: .manual, into: inbox)
        receiver.grantCredit(10)
        #expect(await inbox.messages(atLeast: 10).count == 10)
        // Whatever came too much would have come before the answer to this.
        #expect(try await sender.send(AMQPMessage([25])) == .settled(.accepted))
        #expect(inbox.messages.count == 10)
        receiver.grantCredit(16)
        #expect(await inbox.messages(atLeast: 26).compactMap(\.bytes) == (0..<26).map { [$0] })
        try await client.close()
    }

    @Test func whatTheBrokerDoesNotHaveIsRefusedWithItsReason() async throws {
        let client = try await connect()
        do {
            _ = try await client.sender("/exchange/nowhere")
            Issue.record("an exchange that does not exist was attached to")
        } catch let termination as AMQPTermination {
            #expect(termination.origin == .peer)
            #expect(termination.error?.condition == "amqp:not-found")
            #expect(termination.error?.text?.contains("nowhere") == true)
        }
        let other = try await connect()
        do {
            _ = try await other.receiver("/amq/queue/nowhere", into: Inbox())
            Issue.record("a queue that does not exist was attached to")
        } catch let termination as AMQPTermination {
            #expect(termination.origin == .peer)
            #expect(termination.error?.condition == "amqp:not-found")
        }
        try await client.close()
        try await other.close()
    }

    @Test(arguments: [false, true])
    func aWrongPasswordIsAClearError(tls: Bool) async throws {
        do {
            _ = try await connect(tls: tls, password: "swordfish")
            Issue.record("a wrong password was let in")
        } catch let termination as AMQPTermination {
            #expect(termination.scope == .connection)
            #expect(termination.error?.condition == "amqp:unauthorized-access")
            #expect(termination.error?.text == "the server refused PLAIN as guest: authentication")
            #expect(!termination.description.contains("swordfish"))
        }
    }

    @Test func aMechanismThatTheBrokerDoesNotOfferIsNamed() async throws {
        do {
            _ = try await PeerClient(port: broker.port, .external())
            Issue.record("EXTERNAL was let in")
        } catch let termination as AMQPTermination {
            #expect(termination.error?.text?.contains("EXTERNAL") == true)
            #expect(termination.error?.text?.contains("PLAIN") == true)
        }
    }

    /// The broker counts in seconds; without its empty frames this side would go after five.
    @Test func theBrokersEmptyFramesAreSignsOfLife() async throws {
        let client = try await connect(idleTimeOut: 5000)
        let inbox = Inbox()
        _ = try await client.receiver("/queue/idle", into: inbox)
        try await Task.sleep(for: .seconds(8))
        #expect(try await client.sender("/queue/idle").send(AMQPMessage([1])) == .settled(.accepted))
        #expect(await inbox.messages(atLeast: 1).count == 1)
        try await client.close()
    }

    @Test func twoSessionsOfOneConnectionKeepApart() async throws {
        let client = try await connect()
        let second = try await client.connection.beginSession().get()
        let sender = try await client.sender("/queue/apart")
        second.end(AMQPError("test:end", "no longer needed"))
        let termination = try await second.closeFuture.get()
        #expect(termination.scope == .session && termination.origin == .local)
        #expect(try await sender.send(AMQPMessage([1])) == .settled(.accepted))
        #expect(try await sender.detach().get().scope == .link)
        try await client.close()
    }
}
