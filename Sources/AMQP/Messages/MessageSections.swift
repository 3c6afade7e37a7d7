package import NIOCore

/// Where one section of a message lies. Ranges are indices of the buffer that was walked.
package struct MessageSection: Hashable, Sendable {
    /// The sections by the codes of their descriptors.
    package enum Kind: UInt8, Hashable, Sendable {
        case header = 0x70
        case deliveryAnnotations = 0x71
        case messageAnnotations = 0x72
        case properties = 0x73
        case applicationProperties = 0x74
        case data = 0x75
        case sequence = 0x76
        case value = 0x77
        case footer = 0x78
    }

    package var kind: Kind
    /// Descriptor and value.
    package var whole: Range<Int>
    /// The value with its constructor.
    package var value: Range<Int>
    /// What the value's bytes mean: for a data section the data, without constructor and length.
    package var content: Range<Int>
}

/// Walks over the sections of a message without decoding them: a batch envelope splits into its events this way.
package struct MessageSections {
    private var reader: AMQPReader

    package init(_ message: ByteBuffer) { reader = AMQPReader(message) }

    /// The next section; nil at the end of the message.
    package mutating func next() throws(AMQPCodecError) -> MessageSection? {
        guard !reader.isAtEnd else { return nil }
        let start = reader.position
        guard let descriptor = try reader.descriptor() else {
            throw reader.failure(.unexpectedType, "a value without descriptor where a message section belongs")
        }
        guard let code = descriptor.code, let kind = UInt8(exactly: code).flatMap(MessageSection.Kind.init(rawValue:))
        else {
            throw reader.failure(.unexpectedType, "descriptor \(descriptor.description) is no message section")
        }
        let value = reader.position
        guard kind == .data else {
            try reader.skip()
            let end = reader.position
            return MessageSection(kind: kind, whole: start..<end, value: value..<end, content: value..<end)
        }
        let count: Int
        switch try reader.byte() {
        case 0xA0: count = Int(try reader.byte())
        case 0xB0: count = Int(try reader.integer(UInt32.self))
        case let code: throw reader.unexpected(code, "the binary of a data section")
        }
        let content = reader.position
        try reader.advance(count)
        let end = reader.position
        return MessageSection(kind: kind, whole: start..<end, value: value..<end, content: content..<end)
    }
}
