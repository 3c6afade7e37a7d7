public import NIOCore

extension AMQPMessage {
    /// Appends the message's bytes, sections in the specification's order, to `buffer`.
    public func encode(into buffer: inout ByteBuffer) {
        header?.encode(into: &buffer)
        Self.encode(deliveryAnnotations, .deliveryAnnotations, into: &buffer)
        Self.encode(messageAnnotations, .messageAnnotations, into: &buffer)
        properties?.encode(into: &buffer)
        Self.encode(applicationProperties, .applicationProperties, into: &buffer)
        switch body {
        case .none: break
        case .data(let pieces):
            for piece in pieces {
                buffer.writeAMQP(descriptor: MessageSection.Kind.data.rawValue)
                buffer.writeAMQP(binary: piece)
            }
        case .sequence(let lists):
            for list in lists {
                buffer.writeAMQP(descriptor: MessageSection.Kind.sequence.rawValue)
                buffer.writeAMQP(.list(list))
            }
        case .value(let value):
            buffer.writeAMQP(descriptor: MessageSection.Kind.value.rawValue)
            buffer.writeAMQP(value)
        }
        Self.encode(footer, .footer, into: &buffer)
    }

    /// The message's bytes in a buffer of their own.
    public func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        encode(into: &buffer)
        return buffer
    }

    private static func encode(_ map: AMQPMap, _ kind: MessageSection.Kind, into buffer: inout ByteBuffer) {
        guard !map.entries.isEmpty else { return }
        buffer.writeAMQP(descriptor: kind.rawValue)
        buffer.writeAMQP(map: map)
    }

    /// Reads a message that fills `bytes`. Sections may be absent and come in any order; data and sequence sections may
    /// repeat. Binary bodies are slices of `bytes`, not copies.
    ///
    /// - Throws: `AMQPCodecError` for malformed bytes, sections that are no sections, and bodies of two shapes.
    public init(decoding bytes: ByteBuffer) throws(AMQPCodecError) {
        self.init()
        var sections = MessageSections(bytes)
        while let section = try sections.next() {
            guard let slice = bytes.getSlice(at: section.value.lowerBound, length: section.value.count) else { break }
            var reader = AMQPReader(slice)
            do throws(AMQPCodecError) {
                try read(section.kind, from: &reader)
            } catch {
                var error = error
                error.offset += section.value.lowerBound - bytes.readerIndex
                throw error
            }
        }
    }

    private mutating func read(_ kind: MessageSection.Kind, from reader: inout AMQPReader) throws(AMQPCodecError) {
        switch kind {
        case .header: header = try Header(from: &reader)
        case .deliveryAnnotations: deliveryAnnotations = try reader.optionalMap() ?? AMQPMap()
        case .messageAnnotations: messageAnnotations = try reader.optionalMap() ?? AMQPMap()
        case .properties: properties = try Properties(from: &reader)
        case .applicationProperties: applicationProperties = try reader.optionalMap() ?? AMQPMap()
        case .footer: footer = try reader.optionalMap() ?? AMQPMap()
        case .data:
            let piece = try reader.require(try reader.optionalBinary(), "the content of a data section")
            switch body {
            case .none: body = .data([piece])
            case .data(var pieces):
                // Taken out first, so that a message of thousands of pieces is not copied for each of them.
                body = .none
                pieces.append(piece)
                body = .data(pieces)
            default: throw reader.failure(.invalidValue, "a data section beside a body of another shape")
            }
        case .sequence:
            guard case .list(let list) = try reader.value() else {
                throw reader.failure(.unexpectedType, "a sequence section that holds no list")
            }
            switch body {
            case .none: body = .sequence([list])
            case .sequence(var lists):
                body = .none
                lists.append(list)
                body = .sequence(lists)
            default: throw reader.failure(.invalidValue, "a sequence section beside a body of another shape")
            }
        case .value:
            guard body == .none else { throw reader.failure(.invalidValue, "a value section beside another body") }
            body = .value(try reader.value())
        }
    }
}

extension AMQPMessage.Header {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: MessageSection.Kind.header.rawValue)
        var fields = FieldWriter(&buffer)
        fields.boolean(durable, absent: false, &buffer)
        fields.ubyte(priority == 4 ? nil : priority, &buffer)
        fields.uint(timeToLive, &buffer)
        fields.boolean(firstAcquirer, absent: false, &buffer)
        fields.uint(deliveryCount == 0 ? nil : deliveryCount, &buffer)
        fields.end(&buffer)
    }

    init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        var fields = try reader.enter()
        self.init()
        durable = try reader.boolean(&fields) ?? false
        priority = try reader.ubyte(&fields) ?? 4
        timeToLive = try reader.uint(&fields)
        firstAcquirer = try reader.boolean(&fields) ?? false
        deliveryCount = try reader.uint(&fields) ?? 0
        try reader.leave(fields)
    }
}

extension AMQPMessage.Properties {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: MessageSection.Kind.properties.rawValue)
        var fields = FieldWriter(&buffer)
        fields.value(messageID, &buffer)
        fields.binary(userID, &buffer)
        fields.value(to, &buffer)
        fields.string(subject, &buffer)
        fields.value(replyTo, &buffer)
        fields.value(correlationID, &buffer)
        fields.symbol(contentType, &buffer)
        fields.symbol(contentEncoding, &buffer)
        fields.timestamp(absoluteExpiryTime, &buffer)
        fields.timestamp(creationTime, &buffer)
        fields.string(groupID, &buffer)
        fields.uint(groupSequence, &buffer)
        fields.string(replyToGroupID, &buffer)
        fields.end(&buffer)
    }

    init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        var fields = try reader.enter()
        self.init()
        messageID = try reader.value(&fields)
        userID = try reader.binary(&fields)
        to = try reader.value(&fields)
        subject = try reader.text(&fields)
        replyTo = try reader.value(&fields)
        correlationID = try reader.value(&fields)
        contentType = try reader.text(&fields)
        contentEncoding = try reader.text(&fields)
        absoluteExpiryTime = try reader.timestamp(&fields)
        creationTime = try reader.timestamp(&fields)
        groupID = try reader.text(&fields)
        groupSequence = try reader.uint(&fields)
        replyToGroupID = try reader.text(&fields)
        try reader.leave(fields)
    }
}

extension AMQPValue {
    /// Appends the value in its smallest encoding to `buffer`.
    ///
    /// - Precondition: the elements of every array inside have one type.
    public func encode(into buffer: inout ByteBuffer) { buffer.writeAMQP(self) }

    /// Reads one value off the front of `buffer`.
    ///
    /// - Throws: `AMQPCodecError`; `buffer` is then left as it was.
    public init(decoding buffer: inout ByteBuffer) throws(AMQPCodecError) {
        var reader = AMQPReader(buffer)
        self = try reader.value()
        buffer.moveReaderIndex(to: reader.position)
    }
}
