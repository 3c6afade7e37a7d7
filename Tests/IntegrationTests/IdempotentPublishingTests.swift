import Glibc
import LocalHub
import Logging
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import EventHubs
@testable import tailrace

/// Idempotent publishing between parts that do not know each other, and across kills.
@Suite(.serialized) struct IdempotentPublishingTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private func texts(_ store: String, _ partition: Int) throws -> [String] {
        var texts: [String] = []
        try HubStore.forEachBody(directory: store, partition: partition, logger: Self.silent) {
            texts.append(String(decoding: $0, as: UTF8.self))
        }
        return texts
    }

    /// The beta of the official client numbers from the number that it is told, fences and is fenced.
    @Test func theOfficialBetaPublishesFencesAndIsFenced() async throws {
        let python = try Python(environment: "venv-idempotent")
        let directory = TemporaryDirectory("official-beta")
        var configuration = LocalHubConfiguration()
        configuration.partitionCount = 1
        configuration.storeDirectory = directory("store")
        let hub = try LocalHub(configuration, logger: Self.silent)
        _ = try await hub.start()
        let run = try await python.runAlone(
            "publish_idempotent.py",
            [
                "--connection-string", hub.connectionString.replacing("127.0.0.1:\(hub.port)", with: "localhost"),
                "--ca", hub.authorityFile ?? "", "--port", "\(hub.port)",
            ])
        await hub.stop()
        #expect(run.exit == .code(0), "\(run.errorOutput.suffix(3000))")
        let lines = run.output.split(separator: "\n").map(String.init)
        #expect(
            lines == ["A 5 6", "A 7 7", "B 100 101", "A error producer-epoch-stolen", "B 102 102"])
        #expect(try texts(directory("store"), 0) == ["a", "b", "c", "d", "e", "f"])
    }

    /// The hub is killed with SIGKILL again and again while batches are in flight: what it then knows of the producer is
    /// what it stored, so nothing is lost, doubled or out of order.
    @Test func aHubThatIsKilledStoresEveryBatchOnce() async throws {
        var random = SeededGenerator.fresh("killed hub")
        let directory = TemporaryDirectory("killed-hub")
        let program = try ChildProcess.built("tailrace")
        let key = "a2V5LW9mLXRoZS1raWxsZWQtaHVi"
        var hub = try DemoHub.start(in: directory.path, key: key, program: program)
        var options = EventHubsOptions()
        options.tls = EventHubsTLS(authorities: hub.authorityFile)
        let connection = EventHubConnection(
            try EventHubEndpoint(EventHubsConnectionString(hub.connectionString), options: options), options: options,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: Self.silent)
        let publisher = PartitionPublisher(connection, partitionID: "1")
        let mayEnd = Mutex(false)
        async let published = publish(publisher) { mayEnd.withLock { $0 } }
        for _ in 0..<6 {
            try await Task.sleep(for: .milliseconds(Int.random(in: 30...300, using: &random)))
            // Some batches have gone through since the last kill, however busy the machine is.
            let before = publisher.state?.lastSequenceNumber
            while publisher.state?.lastSequenceNumber == before { try await Task.sleep(for: .milliseconds(5)) }
            hub.process.kill()
            hub = try DemoHub.start(in: directory.path, address: hub.address, key: key, program: program)
        }
        mayEnd.withLock { $0 = true }
        let count = try await published
        _ = try await connection.close().get()
        hub.process.kill()
        let stored = try texts(directory("hub-store"), 1)
        let isExact = stored == (0..<(count * 3)).map { "\($0)" }
        #expect(isExact, "\(stored.count) events of \(count * 3), seed \(random.seed)")
        #expect(count > 8)
    }

    /// Batches of three events, eight in flight, until `mayEnd`; returns how many were accepted.
    private func publish(_ publisher: PartitionPublisher, _ mayEnd: @Sendable () -> Bool) async throws -> Int {
        let window = 8
        var waiting: [PublishableBatch] = []
        var made = 0
        while !mayEnd() || !waiting.isEmpty {
            while waiting.count < window, !mayEnd() {
                var batch = EventDataBatch(maximumSizeInBytes: 1 << 20, partitionID: "1", reservesNumbers: true)
                for index in 0..<3 { _ = try batch.tryAdd(EventData("\(made * 3 + index)")) }
                waiting.append(PublishableBatch(batch.payload, count: 3))
                made += 1
            }
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            let results = waiting.map { batch in
                let promise = loop.makePromise(of: SendResult.self)
                publisher.publish(batch) { promise.succeed($0) }
                return promise.futureResult
            }
            var rest: [PublishableBatch] = []
            for (batch, result) in zip(waiting, results) {
                switch try await result.get() {
                case .accepted: break
                case .failed(_, .retriable), .failed(_, .unknown): rest.append(batch)
                case .failed(let error, _): throw error
                }
            }
            // A hub that is not there is asked again in a moment.
            if rest.count == waiting.count { try await Task.sleep(for: .milliseconds(5)) }
            waiting = rest
        }
        return made
    }
}
