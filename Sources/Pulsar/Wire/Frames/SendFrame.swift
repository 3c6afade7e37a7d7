package import NIOCore

/// A SEND around a payload that is encoded already: the payload is read once, for the checksum, and not copied.
package enum SendFrame {
    /// The bytes that go in front of `payload`, which must follow on the wire as it is.
    ///
    /// - Parameter checksum: false only for brokers below protocol version 6.
    package static func head(
        _ command: SendCommand, metadata: MessageMetadata, payload: ByteBuffer, checksum: Bool = true,
        allocator: ByteBufferAllocator = ByteBufferAllocator()
    ) -> ByteBuffer {
        let command = Command.send(command)
        let commandLength = command.encodedLength
        let metadataLength = metadata.encodedLength
        let headLength = 4 + 4 + commandLength + (checksum ? 6 : 0) + 4 + metadataLength
        var head = allocator.buffer(capacity: headLength)
        head.writeInteger(UInt32(headLength - 4 + payload.readableBytes))
        head.writeInteger(UInt32(commandLength))
        command.encode(to: &head)
        var checksumIndex: Int?
        if checksum {
            head.writeInteger(FramePayload.checksumMagic)
            checksumIndex = head.writerIndex
            head.writeInteger(0, as: UInt32.self)
        }
        let covered = head.writerIndex
        head.writeInteger(UInt32(metadataLength))
        metadata.encode(to: &head)
        if let checksumIndex {
            var computed = CRC32C()
            if let bytes = head.getSlice(at: covered, length: head.writerIndex - covered) { computed.update(bytes) }
            computed.update(payload)
            head.setInteger(computed.value, at: checksumIndex)
        }
        return head
    }
}
