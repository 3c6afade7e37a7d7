internal import AMQP
import EventHubs
internal import NIOCore
internal import TailraceSpool

/// Takes messages apart when they arrive.
enum EventMessage {
    /// Bytes: a shorter message is copied, so that it does not keep all that came with it in memory.
    static let copyLimit = 16 << 10

    /// Makes a message's bytes those of `batch` and indexes its events: the data sections of an envelope, or the message
    /// itself. Each event must be a message by itself.
    ///
    /// - Returns: the partition key of the envelope or message.
    static func store(
        _ payload: ByteBuffer, messageFormat: UInt32, in batch: RecordBatch
    ) throws(AMQPCodecError) -> String? {
        let base = payload.readerIndex
        payload.withUnsafeReadableBytesWithStorageManagement { bytes, storage in
            if bytes.count > copyLimit || batch.copyIn(bytes) == nil {
                batch.lend(bytes, by: storage.takeUnretainedValue())
            }
        }
        guard messageFormat == EventHubsName.batchFormat else {
            var key: String?
            var sections = MessageSections(payload)
            while let section = try sections.next() {
                if section.kind == .messageAnnotations { key = partitionKey(payload, section.value) }
            }
            batch.append(RecordEntry(start: 0, length: UInt32(payload.readableBytes)))
            return key
        }
        if let key = index(batch, payload) { return key }
        var key: String?
        var sections = MessageSections(payload)
        while let section = try sections.next() {
            switch section.kind {
            case .messageAnnotations: key = partitionKey(payload, section.value)
            case .data:
                try check(payload, section.content)
                batch.append(
                    RecordEntry(start: UInt32(section.content.lowerBound - base), length: UInt32(section.content.count))
                )
            default: break
            }
        }
        return key
    }

    /// The quick way, for envelopes and events in the usual form: nil, and the batch's index as it was, for any other.
    private static func index(_ batch: RecordBatch, _ payload: ByteBuffer) -> String?? {
        var key: String?
        let bytes = UnsafeRawBufferPointer(start: batch.block, count: batch.length)
        var scanner = SectionScanner(bytes)
        while true {
            switch scanner.next() {
            case .end: return .some(key)
            case .section(.data, _, let content)
            where SectionScanner.isUsual(UnsafeRawBufferPointer(rebasing: bytes[content])):
                batch.append(RecordEntry(start: UInt32(content.lowerBound), length: UInt32(content.count)))
            case .unusual, .section(.data, _, _):
                batch.removeRecords()
                return nil
            case .section(.messageAnnotations, let value, _):
                let start = payload.readerIndex
                key = partitionKey(payload, (start + value.lowerBound)..<(start + value.upperBound))
            case .section: continue
            }
        }
    }

    private static func check(_ payload: ByteBuffer, _ range: Range<Int>) throws(AMQPCodecError) {
        guard let event = payload.getSlice(at: range.lowerBound, length: range.count) else { return }
        var sections = MessageSections(event)
        while try sections.next() != nil {}
    }

    private static func partitionKey(_ payload: ByteBuffer, _ value: Range<Int>) -> String? {
        guard case .string(let key)? = annotations(payload, value)?[symbol: EventHubsName.partitionKey] else {
            return nil
        }
        return key
    }

    private static func annotations(_ payload: ByteBuffer, _ range: Range<Int>) -> AMQPMap? {
        guard var value = payload.getSlice(at: range.lowerBound, length: range.count),
            case .map(let map)? = try? AMQPValue(decoding: &value)
        else { return nil }
        return map
    }

    /// What the hub adds to an event.
    struct Annotations {
        var sequence: UInt64
        /// Milliseconds since 1970.
        var enqueuedTime: Int64
        /// Of the envelope; an event's own wins.
        var partitionKey: String?
    }

    // What is the same for every event, encoded once.
    /// Descriptor and constructor of the section, then room for size and count.
    private static let mapStart: [UInt8] = [0x00, 0x53, 0x72, 0xD1, 0, 0, 0, 0, 0, 0, 0, 0]
    private static let sequenceName = symbol("x-opt-sequence-number")
    private static let offsetName = symbol("x-opt-offset")
    private static let timeName = symbol("x-opt-enqueued-time")

    private static func symbol(_ text: String) -> [UInt8] { [0xA3, UInt8(text.utf8.count)] + Array(text.utf8) }

    private static let ours: Set<String> = ["x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time"]

    /// Appends `event` to `output` with the hub's annotations among its own.
    static func write(_ event: ByteBuffer, _ added: Annotations, into output: inout ByteBuffer) {
        let start = output.writerIndex
        // Without header and annotations (most events), ours go in front of everything.
        if event.readableBytes >= 3, event.getInteger(at: event.readerIndex, as: UInt16.self) == 0x0053,
            let code: UInt8 = event.getInteger(at: event.readerIndex + 2),
            (MessageSection.Kind.properties.rawValue...MessageSection.Kind.footer.rawValue).contains(code)
        {
            write(added, own: AMQPMap(), into: &output)
            output.writeImmutableBuffer(event)
            return
        }
        do throws(AMQPCodecError) {
            var sections = MessageSections(event)
            var own = AMQPMap()
            var rest = event.writerIndex
            while let section = try sections.next() {
                switch section.kind {
                case .header, .deliveryAnnotations:
                    if let slice = event.getSlice(at: section.whole.lowerBound, length: section.whole.count) {
                        output.writeImmutableBuffer(slice)
                    }
                    continue
                case .messageAnnotations:
                    own = annotations(event, section.value) ?? AMQPMap()
                    continue
                default: break
                }
                rest = section.whole.lowerBound
                break
            }
            write(added, own: own, into: &output)
            if let slice = event.getSlice(at: rest, length: event.writerIndex - rest) {
                output.writeImmutableBuffer(slice)
            }
        } catch {
            // Stored by something else than a check of ours: whatever the bytes are, they are the body.
            output.moveWriterIndex(to: start)
            write(added, own: AMQPMap(), into: &output)
            output.writeAMQP(descriptor: MessageSection.Kind.data.rawValue)
            output.writeAMQP(binary: event)
        }
    }

    private static func write(_ added: Annotations, own: AMQPMap, into output: inout ByteBuffer) {
        output.writeBytes(Self.mapStart)
        let size = output.writerIndex - 8
        var count: UInt32 = 6
        output.writeBytes(Self.sequenceName)
        output.writeMultipleIntegers(0x81 as UInt8, Int64(clamping: added.sequence))
        output.writeBytes(Self.offsetName)
        output.writeAMQP(string: String(EventOffset.of(added.sequence)))
        output.writeBytes(Self.timeName)
        output.writeMultipleIntegers(0x83 as UInt8, added.enqueuedTime)
        if let key = added.partitionKey, own[symbol: EventHubsName.partitionKey] == nil {
            output.writeAMQP(symbol: EventHubsName.partitionKey)
            output.writeAMQP(string: key)
            count += 2
        }
        for entry in own.entries {
            if case .symbol(let name) = entry.key, ours.contains(name) { continue }
            entry.key.encode(into: &output)
            entry.value.encode(into: &output)
            count += 2
        }
        output.setInteger(UInt32(output.writerIndex - size - 4), at: size)
        output.setInteger(count, at: size + 4)
    }
}
