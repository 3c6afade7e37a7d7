internal import AMQP
internal import NIOCore

/// Room for the three annotations of idempotent publishing (protocol notes, section 8.3) in an event's message.
///
/// The values stand in encodings of fixed width, so that the real ones can be written over them and the message keeps its
/// size. They are the largest ones, as placeholders that nobody can take for real numbers of a young producer.
enum NumberPlaceholders {
    /// Appends them as entries of a map: three keys and values.
    static func write(into buffer: inout ByteBuffer) { buffer.writeBytes(entries) }

    /// Puts them into a map, over what is there.
    static func put(into annotations: inout AMQPMap) {
        annotations.entries.removeAll { isNumber($0.key) }
        annotations.entries.append(.init(.symbol(EventHubsName.producerID), .long(.max)))
        annotations.entries.append(.init(.symbol(EventHubsName.producerEpoch), .short(.max)))
        annotations.entries.append(.init(.symbol(EventHubsName.producerSequenceNumber), .int(.max)))
    }

    /// `key` names one of the three.
    static func isNumber(_ key: AMQPValue) -> Bool {
        guard case .symbol(let name) = key else { return false }
        return name == EventHubsName.producerID || name == EventHubsName.producerEpoch
            || name == EventHubsName.producerSequenceNumber
    }

    private static let entries: [UInt8] = {
        var map = AMQPMap()
        put(into: &map)
        var buffer = ByteBuffer()
        for entry in map.entries {
            buffer.writeAMQP(entry.key)
            buffer.writeAMQP(entry.value)
        }
        return Array(buffer.readableBytesView)
    }()
}
