internal import AMQP
package import NIOCore

extension EventData {
    /// Appends the event as a complete message. Events of the usual sections allocate nothing.
    ///
    /// - Parameters:
    ///   - partitionKey: annotated unless the event has a key already.
    ///   - reservesNumbers: adds the annotations of idempotent publishing (protocol notes, section 8.3) in encodings of
    ///     fixed width, so that the real values can be written over them and the size never changes.
    package func encode(into buffer: inout ByteBuffer, partitionKey: String? = nil, reservesNumbers: Bool = false) {
        guard rest == nil else {
            var message = message
            if let partitionKey, self.partitionKey == nil {
                message.messageAnnotations[symbol: EventHubsName.partitionKey] = .string(partitionKey)
            }
            if reservesNumbers { NumberPlaceholders.put(into: &message.messageAnnotations) }
            return message.encode(into: &buffer)
        }
        encodeAnnotations(partitionKey, reservesNumbers, into: &buffer)
        if messageID != .null || correlationID != .null || contentType != nil {
            buffer.writeAMQP(descriptor: MessageSection.Kind.properties.rawValue)
            var fields = FieldWriter(&buffer)
            fields.value(messageID, &buffer)
            // user-id, to, subject, reply-to
            for _ in 0..<4 { fields.null() }
            fields.value(correlationID, &buffer)
            fields.symbol(contentType, &buffer)
            fields.end(&buffer)
        }
        if !properties.entries.isEmpty {
            buffer.writeAMQP(descriptor: MessageSection.Kind.applicationProperties.rawValue)
            buffer.writeAMQP(map: properties)
        }
        buffer.writeAMQP(descriptor: MessageSection.Kind.data.rawValue)
        buffer.writeAMQP(binary: data)
    }

    private func encodeAnnotations(_ partitionKey: String?, _ reservesNumbers: Bool, into buffer: inout ByteBuffer) {
        let addsKey = partitionKey != nil && self.partitionKey == nil
        guard addsKey || reservesNumbers || !annotations.entries.isEmpty else { return }
        buffer.writeAMQP(descriptor: MessageSection.Kind.messageAnnotations.rawValue)
        let start = buffer.beginAMQPCompound(0xC1)
        var count = 0
        for entry in annotations.entries {
            // An event that was received, or that failed, may bear old numbers.
            if reservesNumbers, NumberPlaceholders.isNumber(entry.key) { continue }
            buffer.writeAMQP(entry.key)
            buffer.writeAMQP(entry.value)
            count += 2
        }
        if addsKey, let partitionKey {
            buffer.writeAMQP(symbol: EventHubsName.partitionKey)
            buffer.writeAMQP(string: partitionKey)
            count += 2
        }
        if reservesNumbers {
            NumberPlaceholders.write(into: &buffer)
            count += 6
        }
        buffer.endAMQPCompound(start, count: count, large: 0xD1)
    }
}
