import AMQP
import Logging
import NIOCore
import NIOPosix
import Producing
import Testing

@testable import EventHubs

@Suite struct EventHubServiceTests {
    @Test func batchesGoToNumberedPartitionsOverSeveralConnections() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.accept, .accept, .state(.rejected(AMQPError("com.microsoft:entity-disabled"))), .drop]
        let hub = try await ScriptedHub.start(script)
        let endpoint = try EventHubEndpoint(try EventHubsConnectionString(hub.plainConnectionString))
        let service = try await EventHubService.connect(
            endpoint, connectionCount: 2, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test"))
        #expect(service.partitionIDs == ["0", "1"])
        #expect(service.maximumMessageSize == 262_144)

        let template = EventTemplate(partitionKey: "web-1", properties: [("host", "web-1")])
        func send(_ text: String, _ partition: Int) async -> SendOutcome {
            var encoder = EventBatchEncoder(maximumSize: service.maximumMessageSize)
            var text = text
            _ = text.withUTF8 { encoder.append(template, body: UnsafeRawBufferPointer($0), offset: 7, timestamp: 8) }
            let batch = encoder.finish()
            return await withCheckedContinuation { continuation in
                service.send(batch, partition: partition) { continuation.resume(returning: $0) }
            }
        }
        #expect(await send("a", 0) == .accepted)
        #expect(await send("b", 1) == .accepted)
        guard case .retry(let reason, nil) = await send("c", 1), reason.contains("entity-disabled") else {
            Issue.record("a disabled hub is waited for")
            return
        }
        guard case .unknown = await send("d", 0) else {
            Issue.record("a lost connection leaves the outcome unknown")
            return
        }
        #expect(await send("e", 0) == .accepted)
        let record = hub.record.withLock { $0 }
        #expect(record.connections == 3)
        let expected = ["0", "1", "1", "0", "0"].map { "/hub/Partitions/\($0)" }
        #expect(record.deliveries.map(\.address) == expected)
        let event = try BatchTests.events(record.deliveries[0].payload).events[0]
        #expect(event.body == .data([ByteBuffer(string: "a")]))
        #expect(event.applicationProperties[string: "offset"] == .long(7))
        #expect(try await service.properties(ofPartition: 0).get().lastEnqueuedSequenceNumber == 41)
        await service.close()
        await hub.stop()
    }

    @Test func malformedAnswersAreErrors() throws {
        var answer = AMQPMessage(body: .value(.map(AMQPMap())))
        #expect(throws: EventHubsError.self) { try EventHubProperties(answer) }
        answer.applicationProperties[string: "status-code"] = .int(200)
        #expect(throws: EventHubsError.self) { try EventHubProperties(answer) }
        #expect(throws: EventHubsError.self) { try PartitionProperties(answer) }
        var map = AMQPMap([
            .init(.string("name"), .string("hub")), .init(.string("created_at"), .timestamp(1)),
            .init(.string("partition_ids"), .array([])),
        ])
        answer.body = .value(.map(map))
        #expect(throws: EventHubsError.self) { try EventHubProperties(answer) }
        map[string: "partition_ids"] = .array([.int(1)])
        answer.body = .value(.map(map))
        #expect(throws: EventHubsError.self) { try EventHubProperties(answer) }
        map[string: "partition_ids"] = .array([.string("0")])
        answer.body = .value(.map(map))
        #expect(try EventHubProperties(answer).partitionIDs == ["0"])
        answer.body = .value(.string("no map"))
        #expect(throws: EventHubsError.self) { try EventHubProperties(answer) }
        answer.applicationProperties[string: "status-code"] = .ulong(.max)
        #expect(throws: EventHubsError.self) { try EventHubProperties(answer) }
    }
}
