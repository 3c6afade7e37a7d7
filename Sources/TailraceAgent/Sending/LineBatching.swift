internal import EventHubs

/// Puts lines into batches of Event Hubs, and the batches into a queue.
struct LineBatching: LineSink {
    private let queue: LineQueue
    private let template: EventTemplate
    private let maximumBatchEvents: Int
    private let maximumWait: Duration
    private var encoder: EventBatchEncoder
    /// Of the open batch's lines.
    private var bytes = 0
    private(set) var due: ContinuousClock.Instant?
    private(set) var unsent = 0
    let maximumLine: Int

    init(
        _ queue: LineQueue, template: EventTemplate, partitionKey: String?, maximumBatchBytes: Int,
        maximumBatchEvents: Int, maximumWait: Duration
    ) {
        self.queue = queue
        self.template = template
        self.maximumBatchEvents = maximumBatchEvents
        self.maximumWait = maximumWait
        encoder = EventBatchEncoder(maximumSize: maximumBatchBytes, partitionKey: partitionKey)
        maximumLine = encoder.largestBody(template, properties: EventProperties())
    }

    var isClosed: Bool { queue.isClosed }

    mutating func take(_ count: Int, of scanner: LineScanner) -> Bool {
        var next = 0
        while next < count {
            let start = next
            let limit = min(count - start, maximumBatchEvents - encoder.count)
            let taken = encoder.append(template, upTo: limit) { number in
                .init(body: scanner.line(start + number), offset: 0, timestamp: 0)
            }
            for number in start..<(start + taken) { bytes += scanner.line(number).count }
            next += taken
            if next < count || encoder.count == maximumBatchEvents {
                precondition(encoder.count > 0, "every line fits into an empty batch")
                guard seal() else {
                    unsent += count - next
                    return false
                }
            }
        }
        if encoder.count > 0, due == nil { due = .now.advanced(by: maximumWait) }
        return true
    }

    mutating func timeOver() -> Bool { seal() }

    mutating func end() {
        _ = seal()
        queue.end()
    }

    private mutating func seal() -> Bool {
        guard encoder.count > 0 else { return true }
        let events = encoder.count
        let batch = LineBatch(encoder.finish(), events: events, bytes: bytes)
        bytes = 0
        due = nil
        if let spare = queue.takeSpare() { encoder.reuse(spare) }
        guard queue.put(batch) else {
            unsent += events
            return false
        }
        return true
    }
}
