public import AMQP

/// What the service adds to an event, for the events that a consumer received. All of it is nil, or empty, on events that
/// were made here.
extension EventData {
    /// The event's number in its partition (annotation `x-opt-sequence-number`).
    public var sequenceNumber: Int64? { annotations[symbol: "x-opt-sequence-number"]?.integer.map(Int64.init) }

    /// The event's place in its partition (annotation `x-opt-offset`): text, not always a number.
    public var offset: String? { annotations[symbol: "x-opt-offset"]?.text }

    /// When the service took the event, in milliseconds since 1970 (annotation `x-opt-enqueued-time`).
    public var enqueuedTime: Int64? {
        guard case .timestamp(let milliseconds)? = annotations[symbol: "x-opt-enqueued-time"] else { return nil }
        return milliseconds
    }

    /// Everything that is neither body nor application property, under symbols as keys: the message's properties by
    /// their names in the AMQP specification (part 3, section 3.2.4), such as `message-id`, then all annotations.
    public var systemProperties: AMQPMap {
        var map = AMQPMap()
        func add(_ name: String, _ value: AMQPValue?) {
            if let value, value != .null { map.entries.append(.init(.symbol(name), value)) }
        }
        let others = rest?.message.properties
        add("message-id", messageID)
        add("user-id", others?.userID.map(AMQPValue.binary))
        add("to", others?.to)
        add("subject", others?.subject.map(AMQPValue.string))
        add("reply-to", others?.replyTo)
        add("correlation-id", correlationID)
        add("content-type", contentType.map(AMQPValue.symbol))
        add("content-encoding", others?.contentEncoding.map(AMQPValue.symbol))
        add("absolute-expiry-time", others?.absoluteExpiryTime.map(AMQPValue.timestamp))
        add("creation-time", others?.creationTime.map(AMQPValue.timestamp))
        add("group-id", others?.groupID.map(AMQPValue.string))
        add("group-sequence", others?.groupSequence.map(AMQPValue.uint))
        add("reply-to-group-id", others?.replyToGroupID.map(AMQPValue.string))
        map.entries += annotations.entries
        return map
    }
}
