internal import AMQP
package import NIOCore

/// Events that go to the service as one message, all or none.
public struct EventDataBatch: Sendable {
    /// Bytes that the message may have.
    public let maximumSizeInBytes: Int
    /// The partition that the batch must go to.
    public let partitionID: String?
    /// The key that all its events share; the service picks their partition by it.
    public let partitionKey: String?
    /// How many events are in it.
    public private(set) var count = 0
    /// The message's bytes so far.
    package private(set) var payload: ByteBuffer

    package init(maximumSizeInBytes: Int, partitionID: String? = nil, partitionKey: String? = nil) {
        self.maximumSizeInBytes = maximumSizeInBytes
        self.partitionID = partitionID
        self.partitionKey = partitionKey
        payload = ByteBuffer()
        BatchEnvelope.writeStart(partitionKey: partitionKey, into: &payload)
    }

    /// Bytes of the message as it stands; exact, with the envelope's own.
    public var sizeInBytes: Int { payload.readableBytes }

    /// Adds `event` if it fits.
    ///
    /// - Returns: false when the batch would become larger than `maximumSizeInBytes`; it is then unchanged.
    /// - Throws: `EventHubsError` with code `invalidArgument` when the event carries another partition key.
    public mutating func tryAdd(_ event: EventData) throws(EventHubsError) -> Bool {
        var event = event
        if let partitionKey {
            if let own = event.partitionKey, own != partitionKey {
                throw EventHubsError(
                    .invalidArgument,
                    "the event's partition key differs from the batch's; remove it, or use another batch")
            }
            event.partitionKey = partitionKey
        }
        let encoded = event.message.encoded()
        let size = encoded.readableBytes + BatchEnvelope.overhead(of: encoded.readableBytes)
        guard size <= maximumSizeInBytes - payload.readableBytes else { return false }
        payload.writeAMQP(descriptor: 0x75)
        payload.writeAMQP(binary: encoded)
        count += 1
        return true
    }
}

/// The message around the events of a batch.
package enum BatchEnvelope {
    /// Bytes that an event of `size` bytes needs beyond its own: `00 53 75 a0 n` or `00 53 75 b0 nnnn`.
    package static func overhead(of size: Int) -> Int { size < 256 ? 5 : 8 }

    /// What comes before the first event: the partition key as an annotation, if there is one. The durable header that
    /// the Python client adds is not needed.
    package static func writeStart(partitionKey: String?, into buffer: inout ByteBuffer) {
        guard let partitionKey else { return }
        var message = AMQPMessage()
        message.messageAnnotations[symbol: EventHubsName.partitionKey] = .string(partitionKey)
        message.encode(into: &buffer)
    }
}
