package import EventHubs
internal import NIOCore
package import TailraceDelivery
package import TailraceSpool

/// Turns records into batch messages of Event Hubs: the body unchanged; `host`, `source`, `input`, `offset`,
/// `timestamp` and the record's own attributes as properties; the routing key as partition key.
package struct EventHubsEncoder: BatchEncoder {
    package typealias Batch = PublishableBatch

    /// What the records of one source share.
    package struct Header {
        fileprivate let template: EventTemplate
        /// The input that they came from.
        fileprivate let input: Int?
    }

    /// Characters that the service takes for a partition key; records with a longer key go without the annotation, to
    /// the partition of the whole key all the same.
    static let maximumPartitionKey = 128

    private var encoder: EventBatchEncoder
    private var properties = EventProperties()
    private let account: (any DeliveryAccount)?
    private let storage: EncoderStorage

    /// Events have room for the numbers of idempotent publishing.
    private let reservesNumbers: Bool
    private let forecast = PublishingForecast()
    /// Events encoded so far: where the next batch begins.
    private var position = 0

    /// - Parameters:
    ///   - maximumSize: bytes that the service takes in one message.
    ///   - storage: where buffers come from and go back to.
    ///   - account: told which records went into batches.
    package init(
        maximumSize: Int, reservesNumbers: Bool = false, storage: EncoderStorage, account: (any DeliveryAccount)?
    ) {
        encoder = EventBatchEncoder(maximumSize: maximumSize)
        self.reservesNumbers = reservesNumbers
        self.account = account
        self.storage = storage
    }

    package mutating func prepare(_ context: RecordContext, key: String) -> Header {
        let template = EventTemplate(
            partitionKey: key.isEmpty || key.count > Self.maximumPartitionKey ? nil : key,
            properties: context.properties,
            reservesNumbers: reservesNumbers)
        return Header(template: template, input: account?.input(of: context))
    }

    package mutating func begin(_ header: Header) {
        if let buffer = storage.take() { encoder.reuse(buffer) }
        if reservesNumbers, encoder.count == 0 { encoder.number(from: forecast.stamp(at: position)) }
    }

    package mutating func append(_ run: RecordRun, _ header: Header) -> Int {
        let count = run.isPlain ? appendPlain(run, header.template) : appendEach(run, header.template)
        account?.note(run, count, input: header.input)
        return count
    }

    /// Records that have nothing of their own, as nearly all have.
    private mutating func appendPlain(_ run: RecordRun, _ template: EventTemplate) -> Int {
        let (entries, block) = (run.entries, run.block)
        let (base, time) = (run.baseOffset, run.time)
        return encoder.append(template, upTo: entries.count) { index in
            let entry = entries[index]
            let start = Int(entry.start)
            return .init(
                body: UnsafeRawBufferPointer(start: block.map { $0 + start }, count: entry.length),
                offset: Int64(clamping: base &+ UInt64(entry.start)), timestamp: time)
        }
    }

    private mutating func appendEach(_ run: RecordRun, _ template: EventTemplate) -> Int {
        var count = 0
        for index in run.indices {
            guard append(run[index], template, truncatedFrom: nil) else { break }
            count += 1
        }
        return count
    }

    private mutating func append(
        _ record: DeliveryRecord, _ template: EventTemplate, truncatedFrom length: Int?, keeping kept: Int? = nil
    ) -> Bool {
        let body = kept.map { UnsafeRawBufferPointer(rebasing: record.body.prefix($0)) } ?? record.body
        let offset = Int64(clamping: record.offset)
        if record.attributes.isEmpty, length == nil {
            return encoder.append(template, body: body, offset: offset, timestamp: record.time)
        }
        collect(record, truncatedFrom: length)
        return encoder.append(template, body: body, offset: offset, timestamp: record.time, properties: properties)
    }

    /// Encodes the record's own properties.
    private mutating func collect(_ record: DeliveryRecord, truncatedFrom length: Int?) {
        properties.removeAll()
        var isMarked = false
        RecordAttributes.forEach(in: record.attributes) { key, value in
            if key.elementsEqual(Self.truncatedKey) { isMarked = true }
            switch value {
            case .integer(let number): properties.append(key, long: number)
            case .string(let text): properties.append(key, string: text)
            }
        }
        // What an input has cut already tells the length that the line had at first.
        if let length, !isMarked {
            Self.truncatedKey.withUnsafeBytes { properties.append($0, long: Int64(length)) }
        }
    }

    private static let truncatedKey = RecordAttributes.truncatedKey.withUTF8Buffer { Array($0) }

    package mutating func pass(_ run: RecordRun, _ header: Header) {
        account?.note(run, run.count, input: header.input)
    }

    package mutating func appendCut(_ record: DeliveryRecord, _ header: Header) -> Int? {
        // What does not fit either leaves the spool too.
        if let account, let input = header.input { account.note(first: record.sequence, count: 1, input: input) }
        collect(record, truncatedFrom: record.body.count)
        let kept = min(encoder.largestBody(header.template, properties: properties), record.body.count)
        guard kept >= 0, append(record, header.template, truncatedFrom: record.body.count, keeping: kept) else {
            return nil
        }
        return kept
    }

    package var size: Int { encoder.size }

    package mutating func seal() -> PublishableBatch {
        let (count, stamp, begin) = (encoder.count, encoder.stamp, position)
        position += count
        return PublishableBatch(
            encoder.finish(), count: count, written: stamp, forecast: reservesNumbers ? (forecast, begin) : nil)
    }

    package mutating func reuse(_ batch: PublishableBatch) { storage.putBack(batch.takePayload()) }

    package mutating func releaseStorage() { storage.removeAll() }
}
