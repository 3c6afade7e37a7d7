package import NIOCore

/// Writes one message of a batch (section "Batching" of the protocol: the length of its metadata, the metadata, the
/// payload) straight into the batch's buffer; nothing is allocated but the buffer's own growth.
///
/// First the properties, one by one, then `end`. The bytes of texts are UTF-8, which `String.utf8` gives without a copy.
package struct BatchEntryWriter {
    /// Where the length of the metadata goes.
    private let start: Int

    package init(in batch: inout ByteBuffer) {
        start = batch.writerIndex
        batch.writeInteger(0, as: UInt32.self)
    }

    package func property(
        _ key: some Collection<UInt8>, _ value: some Collection<UInt8>, in batch: inout ByteBuffer
    ) {
        let (keyCount, valueCount) = (key.count, value.count)
        batch.head(1, length: Self.length(keyCount) + Self.length(valueCount))
        batch.field(1, bytes: key, count: keyCount)
        batch.field(2, bytes: value, count: valueCount)
    }

    /// Of a string or bytes with a field number below 16.
    private static func length(_ count: Int) -> Int { 1 + ProtobufLength.varint(UInt64(count)) + count }

    /// - Parameters:
    ///   - partitionKey: empty: none. So is `orderingKey`.
    ///   - eventTime: milliseconds since 1970; nil: not set.
    ///   - hasNullValue: true for a message without a value, which is not the same as an empty one; `payload` is then empty.
    package func end(
        partitionKey: some Collection<UInt8>, orderingKey: some Collection<UInt8>, eventTime: UInt64? = nil,
        sequenceID: UInt64?, hasNullValue: Bool = false, payload: some Collection<UInt8>, in batch: inout ByteBuffer
    ) {
        if !partitionKey.isEmpty { batch.field(2, bytes: partitionKey, count: partitionKey.count) }
        batch.field(3, Int32(payload.count))
        batch.field(5, eventTime)
        if !orderingKey.isEmpty { batch.field(7, bytes: orderingKey, count: orderingKey.count) }
        batch.field(8, sequenceID)
        if hasNullValue { batch.field(9, true) }
        batch.setInteger(UInt32(batch.writerIndex - start - 4), at: start)
        batch.writeBytes(payload)
    }

    /// A message of which all is at hand as values.
    package static func write(
        _ metadata: SingleMessageMetadata, payload: ByteBuffer, into batch: inout ByteBuffer
    ) {
        var metadata = metadata
        metadata.payloadSize = Int32(payload.readableBytes)
        batch.writeInteger(UInt32(metadata.encodedLength))
        metadata.encode(to: &batch)
        batch.writeImmutableBuffer(payload)
    }
}

extension ByteBuffer {
    fileprivate mutating func field(_ number: Int, bytes: some Collection<UInt8>, count: Int) {
        head(number, length: count)
        writeBytes(bytes)
    }
}
