import AMQP
import Testing

@testable import EventHubs

@Suite struct PropertiesTests {
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
