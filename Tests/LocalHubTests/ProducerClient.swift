import AMQP
import EventHubs
import NIOCore

@testable import LocalHub

/// An idempotent producer without any cleverness: it sends what the test says.
struct NumberedSender {
    let link: AMQPSender
    let answer: Attach

    var id: Int64? {
        guard case .long(let id)? = answer.properties[symbol: EventHubsName.producerID] else { return nil }
        return id
    }
    var epoch: Int16? {
        guard case .short(let epoch)? = answer.properties[symbol: EventHubsName.producerEpoch] else { return nil }
        return epoch
    }
    var last: Int32? {
        guard case .int(let last)? = answer.properties[symbol: EventHubsName.producerSequenceNumber] else { return nil }
        return last
    }

    /// Events with the numbers from `first` on, each with its number as its text.
    func send(_ first: Int32, _ count: Int, epoch: Int16? = nil, id: Int64? = nil) throws
        -> EventLoopFuture<DeliveryResult>
    {
        let numbers = (0..<count).map { PublishingNumber.advanced(first, by: $0) }
        let payload = try Self.batch(numbers, id: id ?? self.id ?? 0, epoch: epoch ?? self.epoch ?? 0)
        return link.send(payload: payload, messageFormat: EventHubsName.batchFormat)
    }

    static func batch(_ numbers: [Int32], id: Int64, epoch: Int16) throws -> ByteBuffer {
        var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
        for number in numbers {
            var event = EventData("\(number)")
            event.annotations = annotations(number, id: id, epoch: epoch)
            guard try batch.tryAdd(event) else { throw LocalHubError("the batch is full") }
        }
        return batch.payload
    }

    static func annotations(_ number: Int32, id: Int64, epoch: Int16) -> AMQPMap {
        var map = AMQPMap()
        map[symbol: EventHubsName.producerID] = .long(id)
        map[symbol: EventHubsName.producerEpoch] = .short(epoch)
        map[symbol: EventHubsName.producerSequenceNumber] = .int(number)
        return map
    }
}

extension HubClient {
    /// Attaches with the capability, and with all three properties when one of them is given.
    func attachNumbered(
        _ address: String = "logs/Partitions/0", id: Int64? = nil, epoch: Int16? = nil, last: Int32? = nil
    ) async throws -> NumberedSender {
        var properties = AMQPMap()
        if id != nil || epoch != nil || last != nil {
            properties[symbol: EventHubsName.producerID] = id.map(AMQPValue.long) ?? .null
            properties[symbol: EventHubsName.producerEpoch] = epoch.map(AMQPValue.short) ?? .null
            properties[symbol: EventHubsName.producerSequenceNumber] = last.map(AMQPValue.int) ?? .null
        }
        return try await attachNumbered(address, properties)
    }

    func attachNumbered(_ address: String, _ properties: AMQPMap) async throws -> NumberedSender {
        var attach = Attach(name: "numbered-\(AMQPUUID())", handle: 0, role: .sender)
        attach.source = Source(address: "me")
        attach.target = Target(address: address)
        attach.desiredCapabilities = [EventHubsName.idempotentProducer]
        attach.properties = properties
        let link = try await session.attachSender(attach).get()
        let answer = try await connection.eventLoop.submit { link.remoteAttach }.get()
        guard let answer else { throw LocalHubError("attached without an answer") }
        return NumberedSender(link: link, answer: answer)
    }

    /// The texts of all events of a partition.
    func texts(_ partition: Int = 0) async throws -> [String] {
        let count = hub.statistics.partitions[partition].nextSequenceNumber
        let (receiver, events) = try await attachReceiver("logs/ConsumerGroups/g/Partitions/\(partition)")
        let texts = await events.first(Int(count)).map(\.text)
        receiver.detach()
        return texts
    }
}

extension DeliveryResult {
    /// The condition of a rejection.
    var rejection: String? {
        guard case .settled(.rejected(let error)?) = self else { return nil }
        return error?.condition
    }
}
