internal import NIOCore
internal import Pulsar
package import TailraceDelivery
package import TailraceSpool

/// Turns records into batches of Pulsar: the body unchanged; `host`, `source`, `input`, `offset`, `timestamp` and the
/// record's own attributes as properties, which are texts; the time as event time; the routing key as partition key.
package struct PulsarEncoder: BatchEncoder {
    package typealias Batch = PulsarBatch

    /// What the records of one source share.
    package struct Header {
        fileprivate let template: MessageTemplate
        fileprivate let key: String
        /// The input that they came from.
        fileprivate let input: Int?
    }

    /// Bytes that the broker takes in one batch.
    private let maximumSize: Int
    /// Bytes of a batch, unless its first record alone has more.
    private let batchSize: Int
    private let account: (any DeliveryAccount)?
    private let storage: EncoderStorage
    private var batch = BatchPayload()
    private var key = ""

    /// - Parameters:
    ///   - maximumSize: bytes that the broker takes in one batch.
    ///   - batchSize: bytes of a batch of more than one record.
    ///   - storage: where buffers come from and go back to.
    ///   - account: told which records went into batches.
    package init(maximumSize: Int, batchSize: Int, storage: EncoderStorage, account: (any DeliveryAccount)?) {
        self.maximumSize = maximumSize
        self.batchSize = min(batchSize, maximumSize)
        self.storage = storage
        self.account = account
    }

    package mutating func prepare(_ context: RecordContext, key: String) -> Header {
        let template = MessageTemplate(
            properties: context.properties, partitionKey: key)
        return Header(template: template, key: key, input: account?.input(of: context))
    }

    package mutating func begin(_ header: Header) {
        batch = BatchPayload(reusing: storage.take() ?? ByteBuffer())
        key = header.key
    }

    package mutating func append(_ run: RecordRun, _ header: Header) -> Int {
        var count = 0
        for index in run.indices {
            let record = run[index]
            let properties = Self.bound(record)
            let limit = batch.count == 0 ? maximumSize : batchSize
            guard size + header.template.bound(body: record.body.count, propertyBytes: properties) <= limit else {
                break
            }
            append(record, header, record.body, propertyBytes: properties, truncatedFrom: nil)
            count += 1
        }
        account?.note(run, count, input: header.input)
        return count
    }

    package mutating func pass(_ run: RecordRun, _ header: Header) {
        account?.note(run, run.count, input: header.input)
    }

    package mutating func appendCut(_ record: DeliveryRecord, _ header: Header) -> Int? {
        // What does not fit either leaves the spool too.
        if let account, let input = header.input { account.note(first: record.sequence, count: 1, input: input) }
        let properties = Self.bound(record) + Self.truncatedBound
        let kept = min(
            maximumSize - size - header.template.bound(body: 0, propertyBytes: properties), record.body.count)
        guard kept >= 0 else { return nil }
        append(
            record, header, UnsafeRawBufferPointer(rebasing: record.body.prefix(kept)), propertyBytes: properties,
            truncatedFrom: record.body.count)
        return kept
    }

    private mutating func append(
        _ record: DeliveryRecord, _ header: Header, _ body: UnsafeRawBufferPointer, propertyBytes: Int,
        truncatedFrom length: Int?
    ) {
        batch.append(
            header.template, id: nil, eventTime: UInt64(clamping: record.time), body: body, propertyBytes: propertyBytes
        ) { properties in
            properties.append("offset", Int64(clamping: record.offset))
            properties.append("timestamp", record.time)
            guard !record.attributes.isEmpty || length != nil else { return }
            Self.appendAttributes(of: record, truncatedFrom: length, to: &properties)
        }
    }

    private static func appendAttributes(
        of record: DeliveryRecord, truncatedFrom length: Int?, to properties: inout PropertyWriter
    ) {
        // What an input has cut already tells the length that the line had at first.
        var isMarked = false
        forEachAttribute(of: record) { name, value in
            if RecordAttributes.truncatedKey.withUTF8Buffer({ name.elementsEqual($0) }) { isMarked = true }
            switch value {
            case .integer(let number): properties.append(name, number)
            case .string(let text): properties.append(name, text)
            }
        }
        if let length, !isMarked { properties.append(RecordAttributes.truncatedKey, Int64(length)) }
    }

    private static func forEachAttribute(
        of record: DeliveryRecord, _ body: (UnsafeRawBufferPointer, RecordAttributes.Value) -> Void
    ) {
        // What comes before damage counts; the input has written it so.
        _ = RecordAttributes.forEach(in: record.attributes, body)
    }

    /// More than the record's own properties take.
    private static func bound(_ record: DeliveryRecord) -> Int {
        var bound = fixedBound
        guard !record.attributes.isEmpty else { return bound }
        forEachAttribute(of: record) { name, value in
            switch value {
            case .integer: bound += PropertyWriter.bound(name.count, PropertyWriter.digits)
            case .string(let text): bound += PropertyWriter.bound(name.count, text.count)
            }
        }
        return bound
    }

    /// Of `offset` and `timestamp`.
    private static let fixedBound =
        PropertyWriter.bound(6, PropertyWriter.digits) + PropertyWriter.bound(9, PropertyWriter.digits)
    private static let truncatedBound = PropertyWriter.bound(
        RecordAttributes.truncatedKey.utf8CodeUnitCount, PropertyWriter.digits)

    package var size: Int { batch.bytes.readableBytes }

    package mutating func seal() -> PulsarBatch {
        defer { batch = BatchPayload() }
        return PulsarBatch(batch, key: key)
    }

    package mutating func reuse(_ batch: PulsarBatch) { storage.putBack(batch.takeStorage()) }

    package mutating func releaseStorage() { storage.removeAll() }
}

extension PropertyWriter {
    /// Characters of a number at most.
    fileprivate static let digits = 20

    fileprivate mutating func append(_ name: StaticString, _ number: Int64) {
        append(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), number)
    }

    /// In decimal digits.
    fileprivate mutating func append(_ name: UnsafeRawBufferPointer, _ number: Int64) {
        withUnsafeTemporaryAllocation(byteCount: Self.digits, alignment: 1) { text in
            var start = text.count
            var rest = number.magnitude
            repeat {
                start -= 1
                text[start] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            if number < 0 {
                start -= 1
                text[start] = UInt8(ascii: "-")
            }
            append(name, UnsafeRawBufferPointer(rebasing: text[start...]))
        }
    }
}
