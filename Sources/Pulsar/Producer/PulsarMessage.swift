public import NIOCore

/// One message to be published: its payload, and what goes with it.
///
/// What is nil or empty is not sent, and the broker's or the namespace's own setting holds. Zero is a value like any other
/// here: a sequence id, an event time or a delivery time of 0 is sent as such.
public struct PulsarMessage: Sendable {
    /// The payload. All kinds of bytes are sent as they are; a text as its UTF-8.
    public enum Content: Sendable {
        case bytes([UInt8])
        case buffer(ByteBuffer)
        case text(String)
        /// No value at all, which is not the same as no bytes: on a compacted topic it deletes what has the same key.
        case null
    }

    public var content: Content
    /// Texts that consumers see beside the payload, in this order.
    public var properties: [(name: String, value: String)] = []
    /// Decides about the partition, with the producer's hashing; consumers see it, and compaction goes by it. Empty is as
    /// good as nil.
    public var partitionKey: String?
    /// Goes before `partitionKey` where a Key_Shared subscription shares messages out; never decides about the partition.
    /// Empty is as good as nil.
    public var orderingKey: String?
    /// The id under which the broker recognises the message when it comes again; nil: the producer numbers it, one above
    /// the highest id that it has used. At most `Int64.max`.
    ///
    /// With deduplication, an id that is not above all earlier ones of this producer's name is taken for a repetition,
    /// whatever the message says.
    public var sequenceID: UInt64?
    /// Clusters that get the message, instead of those that the namespace says; empty: as the namespace says.
    public var replicationClusters: [String] = []
    /// The message stays in its own cluster, whatever `replicationClusters` has.
    public var disablesReplication = false
    /// When what the message tells of happened: milliseconds since 1970, UTC.
    public var eventTime: UInt64?
    /// Consumers of Shared and Key_Shared subscriptions get it no earlier than this: milliseconds since 1970, UTC. A time
    /// that is over means at once. Such a message goes in no batch.
    public var deliverAt: Int64?
    /// As `deliverAt`, counted from the moment when the producer takes the message; goes before `deliverAt`.
    public var deliverAfter: Duration?

    public init(_ bytes: [UInt8]) { content = .bytes(bytes) }
    public init(_ buffer: ByteBuffer) { content = .buffer(buffer) }
    public init(_ text: String) { content = .text(text) }
    public init(content: Content) { self.content = content }

    /// Bytes of payload.
    var size: Int {
        switch content {
        case .bytes(let bytes): bytes.count
        case .buffer(let buffer): buffer.readableBytes
        case .text(let text): text.utf8.count
        case .null: 0
        }
    }

    var isNull: Bool { if case .null = content { true } else { false } }

    /// Nil when empty.
    var routingKey: String? { partitionKey.flatMap { $0.isEmpty ? nil : $0 } }
    var sharingKey: String? { orderingKey.flatMap { $0.isEmpty ? nil : $0 } }

    /// On the wire, the name of no cluster stands for the cluster itself.
    static func replicateTo(_ clusters: [String], _ isDisabled: Bool) -> [String] {
        isDisabled ? ["__local__"] : clusters
    }

    /// The payload in a buffer of its own.
    var payload: ByteBuffer {
        switch content {
        case .bytes(let bytes): ByteBuffer(bytes: bytes)
        case .buffer(let buffer): buffer
        case .text(let text): ByteBuffer(string: text)
        case .null: ByteBuffer()
        }
    }

    /// When consumers get it, if not at once.
    func deliveryTime(now: UInt64) -> Int64? {
        guard let deliverAfter else { return deliverAt }
        let (seconds, attoseconds) = deliverAfter.components
        let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds > 0 ? .max : .min }
        let wait = milliseconds + attoseconds / 1_000_000_000_000_000
        let (time, isLate) = Int64(clamping: now).addingReportingOverflow(wait)
        return isLate ? .max : time
    }
}
