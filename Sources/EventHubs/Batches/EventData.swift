public import AMQP
public import NIOCore

/// One event.
///
/// ```swift
/// var event = EventData("21.5", properties: ["sensor": "t-7", "reading": 1042])
/// event.contentType = "text/plain"
/// event.partitionKey = "t-7"
/// ```
///
/// Its body is one run of bytes, as almost every event's, or whatever an `AMQPMessage` can hold: several data sections,
/// sequences, a value (`init(_:)` and `message`).
public struct EventData: Hashable, Sendable {
    /// The single data section; empty when `rest` holds a body of another shape.
    var data: ByteBuffer
    /// All else; nil when there is nothing else, as with most events. They are many, so an event is small.
    private var more: More?

    /// An event of one data section, which may be empty.
    public init(body: ByteBuffer) { data = body }

    /// An event of one data section, which may be empty.
    public init(body: ByteBuffer, properties: AMQPMap) {
        data = body
        if !properties.entries.isEmpty { self.properties = properties }
    }

    /// `text` as UTF-8.
    public init(_ text: String, properties: AMQPMap = AMQPMap()) {
        self.init(body: ByteBuffer(string: text), properties: properties)
    }

    /// `bytes` as they are.
    public init(_ bytes: some Sequence<UInt8>, properties: AMQPMap = AMQPMap()) {
        self.init(body: ByteBuffer(bytes: bytes), properties: properties)
    }

    /// An event of one data section per item. In a batch and alone it keeps its sections.
    public init(sections: [ByteBuffer], properties: AMQPMap = AMQPMap()) {
        self.init(AMQPMessage(body: .data(sections)))
        self.properties = properties
    }

    /// An event as a received message has it.
    ///
    /// - Throws: `AMQPCodecError` for bytes that are no message.
    public init(decoding bytes: ByteBuffer) throws(AMQPCodecError) { self.init(try AMQPMessage(decoding: bytes)) }

    /// What the consumer sees as the event's properties: string keys, values of any simple AMQP type. A whole number as
    /// a literal becomes a long. Empty by default; the section is then left out.
    public var properties: AMQPMap {
        get { more?.details.properties ?? AMQPMap() }
        _modify { yield &details.properties }
    }

    /// The message's annotations; the partition key is one of them, and what the service adds to an event are others.
    public var annotations: AMQPMap {
        get { more?.details.annotations ?? AMQPMap() }
        _modify { yield &details.annotations }
    }

    /// A string, ulong, uuid or binary; `.null`, the default, for none.
    public var messageID: AMQPValue {
        get { more?.details.messageID ?? .null }
        _modify { yield &details.messageID }
    }

    /// A string, ulong, uuid or binary; `.null`, the default, for none.
    public var correlationID: AMQPValue {
        get { more?.details.correlationID ?? .null }
        _modify { yield &details.correlationID }
    }

    /// MIME type of the body, such as `application/json`; nil by default.
    public var contentType: String? {
        get { more?.details.contentType }
        _modify { yield &details.contentType }
    }

    /// The sections that few events have.
    var rest: Rest? {
        get { more?.details.rest }
        _modify { yield &details.rest }
    }

    /// Nothing but its body.
    var isPlain: Bool { more == nil }

    /// The annotation `x-opt-partition-key`: events with the same key go to the same partition, in their order.
    public var partitionKey: String? {
        get {
            guard case .string(let key)? = annotations[symbol: EventHubsName.partitionKey] else { return nil }
            return key
        }
        set { annotations[symbol: EventHubsName.partitionKey] = newValue.map(AMQPValue.string) }
    }

    /// What an event may have beside its single data section.
    fileprivate struct Details: Hashable, Sendable {
        var properties = AMQPMap()
        var annotations = AMQPMap()
        var messageID = AMQPValue.null
        var correlationID = AMQPValue.null
        var contentType: String?
        var rest: Rest?
    }

    /// Copied before it changes when it is shared.
    private final class More: @unchecked Sendable {
        var details: Details
        init(_ details: Details) { self.details = details }
    }

    private var details: Details {
        get { more?.details ?? Details() }
        _modify {
            if more == nil || !isKnownUniquelyReferenced(&more) { more = More(details) }
            yield &more.unsafelyUnwrapped.details
        }
    }

    public static func == (a: EventData, b: EventData) -> Bool { a.data == b.data && a.details == b.details }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(data)
        hasher.combine(details)
    }

    /// The sections that few events have, and bodies that are not one data section.
    final class Rest: Hashable, Sendable {
        /// Without what `EventData` keeps itself.
        let message: AMQPMessage
        /// The event's body is this message's, not `data`.
        let hasBody: Bool

        init(_ message: AMQPMessage, hasBody: Bool) {
            self.message = message
            self.hasBody = hasBody
        }

        static func == (a: Rest, b: Rest) -> Bool { a === b || a.message == b.message && a.hasBody == b.hasBody }

        func hash(into hasher: inout Hasher) {
            hasher.combine(message)
            hasher.combine(hasBody)
        }
    }
}
