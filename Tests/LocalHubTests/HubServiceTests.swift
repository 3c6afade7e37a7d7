import AMQP
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import LocalHub

@Suite struct HubServiceTests {
    @Test func keysGoWhereTheServiceSendsThem() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            #expect(try await client.send(["a", "b"], key: "abc") == .settled(.accepted))
            // The service's hash of "abc" for four partitions is 1; the Python client's own would be 3.
            let (_, events) = try await client.attachReceiver("logs/ConsumerGroups/$Default/Partitions/1")
            let received = await events.first(2)
            #expect(received.map(\.text) == ["a", "b"])
            #expect(received.map(\.sequenceNumber) == [0, 1])
            #expect(received.first?.messageAnnotations[symbol: "x-opt-partition-key"] == .string("abc"))
            client.connection.close()
        }
    }

    @Test func receiversAtTheEndGetWhatComesThen() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            _ = try await client.send(["before"], to: "logs/Partitions/0")
            let (_, events) = try await client.attachReceiver(
                "logs/ConsumerGroups/g/Partitions/0", selector: "amqp.annotation.x-opt-offset > '@latest'")
            let (_, all) = try await client.attachReceiver("logs/ConsumerGroups/g/Partitions/0")
            #expect(await all.first(1).map(\.text) == ["before"])
            for i in 0..<20 { _ = try await client.send(["after \(i)"], to: "/logs/Partitions/0") }
            // The reader began somewhere between its attach and now: the rest comes in order and without gaps.
            let received = await events.first(10)
            let numbers = received.compactMap(\.sequenceNumber)
            #expect(numbers == (0..<10).map { (numbers.first ?? 0) + $0 } && !received.contains { $0.text == "before" })
            client.connection.close()
        }
    }

    @Test func creditBoundsWhatAReceiverGets() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            _ = try await client.send((0..<100).map { "e\($0)" }, to: "logs/Partitions/2")
            let (receiver, events) = try await client.attachReceiver(
                "logs/ConsumerGroups/g/Partitions/2", selector: "amqp.annotation.x-opt-sequence-number >= '10'",
                credit: .manual)
            receiver.grantCredit(3)
            #expect(await events.first(3).map(\.text) == ["e10", "e11", "e12"])
            receiver.grantCredit(2)
            #expect(await events.first(2).map(\.text) == ["e13", "e14"])
            client.connection.close()
        }
    }

    @Test func positionsBehindTheEndAndBadSelectorsAreRefused() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let (receiver, _) = try await client.attachReceiver(
                "logs/ConsumerGroups/g/Partitions/0", selector: "amqp.annotation.x-opt-sequence-number > '10'")
            #expect(try await receiver.closeFuture.get().error?.condition == "com.microsoft:argument-error")
            await #expect(throws: AMQPTermination.self) {
                _ = try await client.attachReceiver("logs/ConsumerGroups/g/Partitions/0", selector: "color = 'red'")
            }
            client.connection.close()
        }
    }

    @Test func managementDescribesHubAndPartitions() async throws {
        try await withHub({ $0.partitionCount = 3 }) { hub in
            let client = try await HubClient.authorized(hub)
            func read(_ type: String, _ fields: [(String, String)]) async throws -> HubClient.Answer {
                var request = AMQPMessage()
                request.applicationProperties[string: "operation"] = .string("READ")
                request.applicationProperties[string: "type"] = .string(type)
                for (key, value) in fields { request.applicationProperties[string: key] = .string(value) }
                return try await client.ask("$management", request)
            }
            let about = try await read("com.microsoft:eventhub", [("name", "logs")])
            #expect(about.status == 200 && about.correlation == .string("q1"))
            #expect(about.body[string: "partition_ids"] == .array([.string("0"), .string("1"), .string("2")]))
            let empty = try await read("com.microsoft:partition", [("name", "logs"), ("partition", "1")])
            #expect(empty.body[string: "is_partition_empty"] == .boolean(true))
            #expect(empty.body[string: "last_enqueued_sequence_number"] == .long(-1))
            #expect(empty.body[string: "last_enqueued_offset"] == .string("-1"))
            _ = try await client.send(["a", "b"], to: "logs/Partitions/1")
            let full = try await read("com.microsoft:partition", [("name", "logs"), ("partition", "1")])
            #expect(full.body[string: "last_enqueued_sequence_number"] == .long(1))
            #expect(full.body[string: "last_enqueued_offset"] == .string("8"))
            #expect(try await read("com.microsoft:partition", [("name", "logs"), ("partition", "9")]).status == 404)
            #expect(try await read("com.microsoft:eventhub", [("name", "other")]).status == 404)
            #expect(try await read("com.microsoft:else", [("name", "logs")]).status == 400)
            let token = client.token(key: "wrong")
            #expect(
                try await read("com.microsoft:eventhub", [("name", "logs"), ("security_token", token)]).status == 401)
            client.connection.close()
        }
    }

    // MARK: - Rights

    @Test func linksWithoutAClaimAreRefused() async throws {
        try await withHub { hub in
            let client = try await HubClient(hub)
            for address in ["logs", "logs/Partitions/1", "$management"] {
                await #expect(throws: AMQPTermination.self) { _ = try await client.attachSender(address) }
            }
            #expect(try await client.put(token: client.token(key: "wrong")) == 401)
            #expect(try await client.put(token: "nonsense") == 400)
            #expect(try await client.put(token: client.token(), audience: "sb://localhost/other") == 401)
            do {
                _ = try await client.attachSender("logs")
                Issue.record("attached without a claim")
            } catch let termination as AMQPTermination {
                #expect(termination.scope == .link && termination.origin == .peer)
                #expect(termination.error?.condition == AMQPCondition.unauthorizedAccess)
            }
            #expect(try await client.put(token: client.token()) == 202)
            _ = try await client.attachSender("logs")
            client.connection.close()
        }
    }

    @Test func passwordsOpenTheDoorToo() async throws {
        try await withHub { hub in
            let client = try await HubClient(
                hub, credential: .plain(user: "RootManageSharedAccessKey", password: "SAS_KEY_VALUE"))
            _ = try await client.attachSender("logs")
            client.connection.close()
            await #expect(throws: AMQPTermination.self) {
                _ = try await HubClient(hub, credential: .plain(user: "RootManageSharedAccessKey", password: "no"))
            }
            await #expect(throws: AMQPTermination.self) { _ = try await HubClient(hub, credential: nil) }
        }
    }

    private final class Remains: @unchecked Sendable {
        weak var connection: AMQPClientConnection?
        weak var session: AMQPClientSession?
        weak var sender: AMQPSender?
        var isGone: Bool { connection == nil && session == nil && sender == nil }
    }

    /// An agent that connects again a thousand times a day has no more in memory for it.
    @Test(arguments: [false, true]) func aConnectionThatIsOverLeavesNothingInMemory(_ isDropped: Bool) async throws {
        try await withHub { hub in
            let remains = Remains()
            func use() async throws {
                let client = try await HubClient.authorized(hub)
                remains.connection = client.connection
                remains.session = client.session
                remains.sender = try await client.attachSender("logs")
                if isDropped { client.connection.drop() } else { client.connection.close() }
                _ = try await client.connection.closeFuture.get()
            }
            try await use()
            for _ in 0..<5000 where !remains.isGone { try await Task.sleep(for: .milliseconds(1)) }
            #expect(remains.connection == nil)
            #expect(remains.session == nil)
            #expect(remains.sender == nil)
        }
    }

    @Test func linksAreDetachedWhenTheirClaimEnds() async throws {
        try await withHub { hub in
            let client = try await HubClient(hub)
            #expect(try await client.put(token: client.token()) == 202)
            let sender = try await client.attachSender("logs")
            // The newest claim counts. On a busy machine a token this short may be too old when it arrives.
            while try await client.put(token: client.token(lifetime: 2)) != 202 {}
            let end = try await sender.closeFuture.get()
            #expect(end.scope == .link && end.error?.condition == AMQPCondition.unauthorizedAccess)
            client.connection.close()
        }
    }

    @Test func unknownEntitiesAndPartitionsAreNamed() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            for (address, condition) in [
                ("other", AMQPCondition.notFound), ("logs/Partitions/4", "com.microsoft:argument-out-of-range"),
                ("logs/ConsumerGroups/g/Partitions/0", AMQPCondition.notAllowed),
            ] {
                do {
                    _ = try await client.attachSender(address)
                    Issue.record("attached to \(address)")
                } catch let termination as AMQPTermination {
                    #expect(termination.error?.condition == condition)
                }
            }
            client.connection.close()
        }
    }

    // MARK: - Owner levels

    @Test func higherOwnerLevelsTakePartitionsOver() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let place = "logs/ConsumerGroups/g/Partitions/0"
            let (plain, _) = try await client.attachReceiver(place)
            let (low, _) = try await client.attachReceiver(place, ownerLevel: 1)
            #expect(try await plain.closeFuture.get().error?.condition == AMQPCondition.stolen)
            let (_, _) = try await client.attachReceiver(place, ownerLevel: 2)
            #expect(try await low.closeFuture.get().error?.condition == AMQPCondition.stolen)
            await #expect(throws: AMQPTermination.self) { _ = try await client.attachReceiver(place, ownerLevel: 1) }
            await #expect(throws: AMQPTermination.self) { _ = try await client.attachReceiver(place) }
            // Another group is another world, and has room for five without level.
            for _ in 0..<5 { _ = try await client.attachReceiver("logs/ConsumerGroups/h/Partitions/0") }
            await #expect(throws: AMQPTermination.self) {
                _ = try await client.attachReceiver("logs/ConsumerGroups/h/Partitions/0")
            }
            client.connection.close()
        }
    }

    // MARK: - Limits and faults

    @Test func messagesAboveTheLimitDetachTheLink() async throws {
        try await withHub({ $0.maximumMessageSize = 10_000 }) { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachSender("logs")
            #expect(await sender.maximumMessageSizeOnLoop() == 10_000)
            await #expect(throws: SendRefusal.tooLarge(limit: 10_000)) {
                _ = try await sender.send(payload: ByteBuffer(repeating: 0, count: 10_001)).get()
            }
            client.connection.close()
        }
    }

    @Test func brokenMessagesAreRejectedAndTheLinkLivesOn() async throws {
        try await withHub { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachSender("logs/Partitions/0")
            guard
                case .settled(.rejected(let error)) =
                    try await sender.send(payload: ByteBuffer(string: "nonsense"), messageFormat: 0x8001_3700).get()
            else {
                Issue.record("not rejected")
                return
            }
            #expect(error?.condition == AMQPCondition.decodeError)
            let good = try await sender.send(payload: HubClient.batch(["x"]), messageFormat: 0x8001_3700).get()
            #expect(good == .settled(.accepted))
            client.connection.close()
        }
    }

    @Test func faultScriptsDecideWhatBecomesOfAMessage() async throws {
        let busy = AMQPError("com.microsoft:server-busy", "50002")
        let cut = AMQPError("amqp:internal-error", "script")
        let script: [HubFault?] = [
            nil, .answer(.rejected(busy)), .answer(.released), .delay(.milliseconds(20)), .storeThenEnd(.detach(cut)),
            .end(.detach(cut)), .storeThenEnd(.endSession(cut)), .storeThenEnd(.closeConnection(cut)),
            .storeThenEnd(.dropTransport), .end(.dropTransport),
        ]
        try await withHub({ $0.onDelivery = { $0.number < script.count ? script[$0.number] : nil } }) { hub in
            var results: [DeliveryResult] = []
            for i in script.indices {
                let client = try await HubClient.authorized(hub)
                let sender = try await client.attachSender("logs/Partitions/0")
                results.append(
                    try await sender.send(payload: HubClient.batch(["e\(i)"]), messageFormat: 0x8001_3700).get())
                client.connection.close()
            }
            func unknown(_ scope: AMQPTermination.Scope) -> DeliveryResult {
                .unknown(AMQPTermination(scope: scope, origin: .peer, error: cut))
            }
            let dropped = DeliveryResult.unknown(AMQPTermination(scope: .connection, origin: .transport))
            #expect(
                results == [
                    .settled(.accepted), .settled(.rejected(busy)), .settled(.released), .settled(.accepted),
                    unknown(.link),
                    unknown(.link), unknown(.session), unknown(.connection), dropped, dropped,
                ])
            let client = try await HubClient.authorized(hub)
            let (_, events) = try await client.attachReceiver("logs/ConsumerGroups/g/Partitions/0")
            #expect(await events.first(6).map(\.text) == ["e0", "e3", "e4", "e6", "e7", "e8"])
            #expect(hub.statistics.partitions[0].eventsStored == 6)
            client.connection.close()
        }
    }

    @Test func theOldestEventsGoWhenAPartitionIsFull() async throws {
        try await withHub({
            $0.partitionCount = 1
            $0.partitionSize = 1 << 20
            $0.segmentSize = 64 << 10
        }) { hub in
            let client = try await HubClient.authorized(hub)
            let sender = try await client.attachSender("logs")
            let text = String(repeating: "x", count: 10_000)
            for i in 0..<300 {
                let result = try await sender.send(
                    payload: HubClient.batch(["\(i) \(text)"]), messageFormat: 0x8001_3700
                ).get()
                #expect(result == .settled(.accepted))
            }
            let statistics = hub.statistics.partitions[0]
            #expect(statistics.nextSequenceNumber == 300 && statistics.firstSequenceNumber > 100)
            let (_, events) = try await client.attachReceiver("logs/ConsumerGroups/g/Partitions/0")
            let first = await events.first(1).first?.sequenceNumber
            #expect(first == statistics.firstSequenceNumber)
            client.connection.close()
        }
    }

    @Test(arguments: [1, 2, 3, nil] as [UInt64?])
    func noBytesBringTheHubDown(seed: UInt64?) async throws {
        var generator = seed.map(SeededGenerator.init(seed:)) ?? .fresh("noBytesBringTheHubDown")
        try await withHub { hub in
            for _ in 0..<30 {
                let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connect(host: "127.0.0.1", port: hub.port).get()
                var bytes: [UInt8] = Array("AMQP".utf8) + [3, 1, 0, 0]
                for _ in 0..<4 {
                    let body = generator.mutate(
                        Array(repeating: 0x41, count: Int.random(in: 0...60, using: &generator)))
                    bytes += [0, 0, 0, UInt8(8 + min(body.count, 200)), 2, 1, 0, 0] + body.prefix(200)
                }
                try? await channel.writeAndFlush(ByteBuffer(bytes: generator.mutate(bytes)))
                try? await channel.close()
            }
            let client = try await HubClient.authorized(hub)
            #expect(try await client.send(["alive"]) == .settled(.accepted))
            client.connection.close()
        }
    }

    @Test func producersOnManyConnectionsGetDenseNumbers() async throws {
        try await withHub({
            $0.partitionCount = 1
            $0.threads = 2
        }) { hub in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for producer in 0..<4 {
                    group.addTask {
                        let client = try await HubClient.authorized(hub)
                        let sender = try await client.attachSender("logs")
                        var results: [EventLoopFuture<DeliveryResult>] = []
                        for i in 0..<100 {
                            let batch = try HubClient.batch((0..<5).map { "\(producer) \(i * 5 + $0)" })
                            results.append(sender.send(payload: batch, messageFormat: 0x8001_3700))
                        }
                        for result in results { #expect(try await result.get() == .settled(.accepted)) }
                        client.connection.close()
                    }
                }
                try await group.waitForAll()
            }
            let client = try await HubClient.authorized(hub)
            let (_, events) = try await client.attachReceiver("logs/ConsumerGroups/g/Partitions/0")
            let received = await events.first(2000)
            let isDense = received.map(\.sequenceNumber) == (0..<2000).map { Int64($0) }
            #expect(isDense)
            for producer in 0..<4 {
                let own = received.map(\.text).filter { $0.hasPrefix("\(producer) ") }
                let inOrder = own == (0..<500).map { "\(producer) \($0)" }
                #expect(inOrder)
            }
            client.connection.close()
        }
    }
}

extension AMQPSender {
    fileprivate func maximumMessageSizeOnLoop() async -> UInt64? {
        try? await eventLoop.submit { self.maximumMessageSize }.get()
    }
}
