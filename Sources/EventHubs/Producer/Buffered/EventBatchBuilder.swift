internal import NIOCore
internal import Producing

/// An event on its way into a buffer.
struct BufferedEvent: Sendable {
    let event: EventData
    /// Annotated on the event.
    let partitionKey: String?
}

/// A batch on its way to a partition.
struct OutgoingBatch: Sendable {
    let payload: ByteBuffer
    let events: [EventData]
    /// With idempotent publishing: the payload under numbers that stay the same for every attempt.
    let numbered: PublishableBatch?

    init(_ payload: ByteBuffer, _ events: [EventData], isNumbered: Bool) {
        // Either holds the bytes: both would make a copy when the numbers are written.
        self.payload = isNumbered ? ByteBuffer() : payload
        self.events = events
        numbered = isNumbered ? PublishableBatch(payload, count: events.count) : nil
    }

    /// The message's bytes, for their storage to be used again.
    func takePayload() -> ByteBuffer { numbered?.takePayload() ?? payload }
}

/// Encodes the events of one partition into batches, straight into the bytes that are sent.
struct EventBatchBuilder: BatchBuilder {
    private let maximumSize: Int
    private let reservesNumbers: Bool
    private let storage: BatchStorage
    private var payload = ByteBuffer()
    private var events: [EventData] = []
    /// Of the batch before: the next one is likely to be like it.
    private var lastSize = 0
    private var lastCount = 0

    init(maximumSize: Int, reservesNumbers: Bool, storage: BatchStorage) {
        self.maximumSize = maximumSize
        self.reservesNumbers = reservesNumbers
        self.storage = storage
    }

    var count: Int { events.count }
    var size: Int { payload.readableBytes }

    mutating func add(_ item: BufferedEvent) throws(EventHubsError) -> Bool {
        if events.isEmpty { begin() }
        guard
            BatchEnvelope.append(
                item.event, to: &payload, limit: maximumSize, partitionKey: item.partitionKey,
                reservesNumbers: reservesNumbers)
        else { return false }
        events.append(item.event)
        return true
    }

    private mutating func begin() {
        if payload.capacity == 0 { payload = storage.take() }
        // Room for as much as the batch before had, and some more; a buffer rounds it up to a power of two.
        payload.reserveCapacity(min(lastSize + lastSize / 8, maximumSize))
        events.reserveCapacity(lastCount + lastCount / 8)
    }

    func tooLarge(_ item: BufferedEvent) -> EventHubsError {
        EventHubsError(
            .messageTooLarge, "the event does not fit into a batch of \(maximumSize) bytes of its own; make it smaller")
    }

    mutating func seal() -> OutgoingBatch {
        lastSize = payload.readableBytes
        lastCount = events.count
        defer {
            payload = ByteBuffer()
            events = []
        }
        return OutgoingBatch(payload, events, isNumbered: reservesNumbers)
    }
}
