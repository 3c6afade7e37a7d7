import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Pulsar

/// A connection beside a broker that answers as scripted: who hears what, and who is told of its end.
@Suite struct PulsarConnectionTests {
    private let topic = "persistent://public/default/t"

    /// A producer that writes down what it hears.
    private final class Session: ProducerSession {
        enum Event: Equatable, Sendable {
            case receipt(UInt64)
            case sendError(ServerError)
            case closed(String?)
            case migrated(String?)
            case ready(String)
            case lost(PulsarError.Code)
        }

        private struct State {
            var events: [Event] = []
            var waiters: [(Int, CheckedContinuation<[Event], Never>)] = []
        }

        private let state = Mutex(State())
        var events: [Event] { state.withLock { $0.events } }

        private func hear(_ event: Event) {
            let ready = state.withLock { state in
                state.events.append(event)
                let count = state.events.count
                let ready = state.waiters.filter { $0.0 <= count }.map { ($0.1, state.events) }
                state.waiters.removeAll { $0.0 <= count }
                return ready
            }
            for (continuation, events) in ready { continuation.resume(returning: events) }
        }

        func hears(_ count: Int) async -> [Event] {
            await withCheckedContinuation { continuation in
                let events = state.withLock { state -> [Event]? in
                    if state.events.count >= count { return state.events }
                    state.waiters.append((count, continuation))
                    return nil
                }
                if let events { continuation.resume(returning: events) }
            }
        }

        func receipt(_ receipt: SendReceiptCommand) { hear(.receipt(receipt.sequenceID)) }
        func sendError(_ error: SendErrorCommand) { hear(.sendError(error.error)) }
        func closedByBroker(_ command: CloseProducerCommand) { hear(.closed(command.assignedBrokerServiceURL)) }
        func migrated(_ command: TopicMigratedCommand) { hear(.migrated(command.brokerServiceURL)) }
        func producerReady(_ success: ProducerSuccessCommand) { hear(.ready(success.producerName)) }
        func connectionClosed(_ error: PulsarError) { hear(.lost(error.code)) }
    }

    private func connect(
        _ broker: ScriptedBroker, _ change: (inout PulsarClientOptions) -> Void = { _ in }
    ) async throws -> (ConnectionSource, PulsarConnection) {
        var options = PulsarClientOptions()
        change(&options)
        let source = try ConnectionSource(
            try ServiceURL(broker.url), options, .none, MultiThreadedEventLoopGroup.singleton, Logger(label: "test"))
        return (source, try await source.connection(owning: try TopicName(topic)).get())
    }

    private func open(
        _ connection: PulsarConnection, _ id: UInt64, _ session: Session, deadline: NIODeadline = .distantFuture
    ) async throws -> ProducerSuccessCommand {
        let command = ProducerCommand(topic: topic, producerID: id, requestID: 0, producerName: "p\(id)")
        return try await connection.openProducer(command, session, deadline: deadline).get()
    }

    private func connectionOf(_ broker: ScriptedBroker) -> Int? {
        broker.heard.last { if case .producer = $0.command { true } else { false } }?.connection
    }

    @Test func eachProducerHearsWhatIsForIt() async throws {
        let broker = try await ScriptedBroker.start()
        let (source, connection) = try await connect(broker)
        let (first, second) = (Session(), Session())
        #expect(try await open(connection, 1, first).producerName == "p1")
        #expect(try await open(connection, 2, second).producerName == "p2")
        let number = try #require(connectionOf(broker))
        for command in [
            Command.sendReceipt(SendReceiptCommand(producerID: 2, sequenceID: 20)),
            // For nobody.
            .sendReceipt(SendReceiptCommand(producerID: 3, sequenceID: 30)),
            .unknown(type: 99),
            .sendReceipt(SendReceiptCommand(producerID: 1, sequenceID: 10)),
            .sendError(SendErrorCommand(producerID: 1, sequenceID: 11, error: .checksumError, message: "")),
            .sendReceipt(SendReceiptCommand(producerID: 2, sequenceID: 21)),
        ] {
            if case .unknown = command { continue }
            broker.send(command, to: number)
        }
        #expect(await second.hears(2) == [.receipt(20), .receipt(21)])
        #expect(await first.hears(2) == [.receipt(10), .sendError(.checksumError)])
        try await source.close().get()
        // The end is told once.
        #expect(await first.hears(3).last == .lost(.alreadyClosed))
        #expect(await second.hears(3).last == .lost(.alreadyClosed))
        await broker.stop()
    }

    @Test func framesAreSentAsTheyAreGiven() async throws {
        let broker = try await ScriptedBroker.start()
        let (source, connection) = try await connect(broker)
        let session = Session()
        _ = try await open(connection, 1, session)
        let payload = ByteBuffer(string: "hello")
        let metadata = MessageMetadata(producerName: "p1", sequenceID: 7, publishTime: 1)
        let command = SendCommand(producerID: 1, sequenceID: 7)
        try await connection.eventLoop.submit {
            #expect(connection.isWritable)
            let head = SendFrame.head(command, metadata: metadata, payload: payload)
            connection.write(head, payload, flush: false)
            connection.write(head, payload, flush: true)
        }.get()
        await broker.hears { $0.filter { $0.command == .send(command) }.count == 2 }
        try await source.close().get()
        await broker.stop()
    }

    @Test func aProducerThatIsClosedHearsNothingMore() async throws {
        let broker = try await ScriptedBroker.start()
        let (source, connection) = try await connect(broker)
        let (leaving, staying) = (Session(), Session())
        _ = try await open(connection, 1, leaving)
        _ = try await open(connection, 2, staying)
        try await connection.closeProducer(1, deadline: .distantFuture).get()
        let number = try #require(connectionOf(broker))
        broker.send(.sendReceipt(SendReceiptCommand(producerID: 1, sequenceID: 1)), to: number)
        broker.send(.sendReceipt(SendReceiptCommand(producerID: 2, sequenceID: 2)), to: number)
        #expect(await staying.hears(1) == [.receipt(2)])
        #expect(leaving.events.isEmpty)
        try await source.close().get()
        await broker.stop()
    }

    @Test func whatTheBrokerEndsIsToldOnceAndTheConnectionStays() async throws {
        let broker = try await ScriptedBroker.start()
        let (source, connection) = try await connect(broker)
        let (closed, migrated, staying) = (Session(), Session(), Session())
        for (id, session) in [(1, closed), (2, migrated), (3, staying)] {
            _ = try await open(connection, UInt64(id), session)
        }
        let number = try #require(connectionOf(broker))
        let close = CloseProducerCommand(producerID: 1, requestID: 0, assignedBrokerServiceURL: "pulsar://other:6650")
        let migration = TopicMigratedCommand(
            resourceID: 2, resourceType: .producer, brokerServiceURL: "pulsar://blue:6650")
        for command in [Command.closeProducer(close), .topicMigrated(migration)] {
            broker.send(command, to: number)
            broker.send(command, to: number)
        }
        broker.send(.sendReceipt(SendReceiptCommand(producerID: 3, sequenceID: 1)), to: number)
        #expect(await staying.hears(1) == [.receipt(1)])
        #expect(closed.events == [.closed("pulsar://other:6650")])
        #expect(migrated.events == [.migrated("pulsar://blue:6650")])
        #expect(!connection.isClosed)
        // Where they are to go.
        #expect(source.assigned(close, from: connection.address)?.description == "other:6650")
        #expect(source.cluster(migration)?.description == "pulsar://blue:6650")
        // A broker that names none of use leaves it to the lookup.
        for odd in [nil, "", "other:6650", "pulsar+ssl://other:6651", "http://other"] {
            let close = CloseProducerCommand(producerID: 1, requestID: 0, assignedBrokerServiceURL: odd)
            #expect(source.assigned(close, from: connection.address) == nil)
        }
        try await source.close().get()
        await broker.stop()
    }

    @Test func aRefusedProducerIsNoSession() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            guard case .producer(let producer) = command, producer.producerID == 1 else { return [] }
            return [
                .send(
                    .error(
                        ErrorCommand(requestID: producer.requestID, error: .producerBusy, message: "is here already")))
            ]
        }
        let (source, connection) = try await connect(broker)
        let refused = Session()
        let error = await #expect(throws: PulsarError.self) { try await open(connection, 1, refused) }
        #expect(error?.code == .producerBusy && error?.message.contains("is here already") == true)
        try await source.close().get()
        #expect(refused.events.isEmpty)
        await broker.stop()
    }

    @Test func aProducerThatGetsNoAnswerIsWithdrawn() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            if case .producer = command { [.bytes([])] } else { [] }
        }
        let (source, connection) = try await connect(broker)
        let session = Session()
        let error = await #expect(throws: PulsarError.self) {
            try await open(connection, 9, session, deadline: .now() + .milliseconds(20))
        }
        #expect(error?.code == .timeout)
        await broker.hears {
            $0.contains { if case .closeProducer(let close) = $0.command { close.producerID == 9 } else { false } }
        }
        try await source.close().get()
        await broker.stop()
    }

    @Test func aWaitForTheTopicEndsWithASecondAnswer() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            guard case .producer(let producer) = command else { return [] }
            let answer = { ready in
                ScriptedBroker.Reply.send(
                    .producerSuccess(
                        ProducerSuccessCommand(
                            requestID: producer.requestID, producerName: ready ? "second" : "first",
                            producerReady: ready)))
            }
            return [answer(false), answer(true)]
        }
        let (source, connection) = try await connect(broker)
        let session = Session()
        let first = try await open(connection, 1, session)
        #expect(first.producerReady == false && first.producerName == "first")
        #expect(await session.hears(1) == [.ready("second")])
        try await source.close().get()
        await broker.stop()
    }

    @Test func everythingUnderWayFailsWhenTheBrokerIsGone() async throws {
        let broker = try await ScriptedBroker.start { command, _ in
            switch command {
            case .producer(let producer) where producer.producerID == 2: [.bytes([])]
            case .closeProducer: [.close]
            default: []
            }
        }
        let (source, connection) = try await connect(broker)
        let (open, opening) = (Session(), Session())
        _ = try await self.open(connection, 1, open)
        let command = ProducerCommand(topic: topic, producerID: 2, requestID: 0)
        let question = connection.openProducer(command, opening, deadline: .distantFuture)
        let close = await #expect(throws: PulsarError.self) {
            try await connection.closeProducer(1, deadline: .distantFuture).get()
        }
        #expect(close?.code == .connectionLost && close?.message.contains("closed the connection") == true)
        let error = await #expect(throws: PulsarError.self) { try await question.get() }
        #expect(error?.code == .connectionLost)
        #expect(open.events == [.lost(.connectionLost)])
        #expect(connection.isClosed)
        // Nothing can be asked any more.
        await #expect(throws: PulsarError.self) { try await self.open(connection, 3, Session()) }
        try await source.close().get()
        await broker.stop()
    }

    @Test func aBrokerThatFallsSilentIsLeft() async throws {
        let broker = try await ScriptedBroker.start { command, _ in command == .ping ? [.bytes([])] : [] }
        let (source, connection) = try await connect(broker) { $0.keepAliveInterval = .milliseconds(20) }
        let session = Session()
        _ = try await open(connection, 1, session)
        #expect(await session.hears(1) == [.lost(.connectionLost)])
        #expect(broker.heard.contains { $0.command == .ping })
        try await source.close().get()
        await broker.stop()
    }

    @Test func aBrokersPingIsAnswered() async throws {
        let broker = try await ScriptedBroker.start()
        let (source, _) = try await connect(broker)
        broker.send(.ping, to: 0)
        await broker.hears { $0.contains { $0.command == .pong } }
        try await source.close().get()
        await broker.stop()
    }

    @Test func framesComeInPiecesOrManyAtOnce() async throws {
        var generator = SeededGenerator.fresh("pieces of frames")
        var bytes = ByteBuffer()
        for id in 0..<40 {
            Frame(.sendReceipt(SendReceiptCommand(producerID: 1, sequenceID: UInt64(id)))).encode(into: &bytes)
        }
        var pieces: [ScriptedBroker.Reply] = []
        while bytes.readableBytes > 0 {
            let length = min(Int.random(in: 1...60, using: &generator), bytes.readableBytes)
            pieces.append(.bytes(bytes.readBytes(length: length) ?? []))
        }
        let broker = try await ScriptedBroker.start { [pieces] command, _ in
            if case .authResponse = command { pieces } else { [] }
        }
        let (source, connection) = try await connect(broker)
        let session = Session()
        _ = try await open(connection, 1, session)
        broker.send(.authChallenge(AuthChallengeCommand()), to: 0)
        #expect(await session.hears(40) == (0..<40).map { .receipt($0) })
        try await source.close().get()
        await broker.stop()
    }

    @Test func mutatedFramesEndInACommandOrAClosedConnection() async throws {
        for generator in [SeededGenerator(seed: 51), .fresh("frames to a connection")] {
            var generator = generator
            for _ in 0..<40 {
                var frame = ByteBuffer()
                Frame(.connected(ConnectedCommand(serverVersion: "x", protocolVersion: 20, maxMessageSize: 1 << 20)))
                    .encode(into: &frame)
                Frame(.sendReceipt(SendReceiptCommand(producerID: 1, sequenceID: 1))).encode(into: &frame)
                let bytes = generator.mutate(Array(frame.readableBytesView))
                let broker = try await ScriptedBroker.start { command, _ in
                    if case .connect = command { [.bytes(bytes), .close] } else { [] }
                }
                var options = PulsarClientOptions()
                options.initialBackoff = .seconds(60)
                let source = try ConnectionSource(
                    try ServiceURL(broker.url), options, .none, MultiThreadedEventLoopGroup.singleton,
                    Logger(label: "test"))
                // Whatever comes of it, it comes.
                await #expect(throws: PulsarError.self) {
                    try await source.partitions(of: try TopicName("t")).get()
                }
                try await source.close().get()
                await broker.stop()
            }
        }
    }
}
