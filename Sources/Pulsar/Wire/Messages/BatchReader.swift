package import NIOCore

/// Reads the messages of a batch, whose payload must not be compressed any more.
package struct BatchReader {
    package struct Message: Equatable, Sendable {
        package var metadata: SingleMessageMetadata
        package var payload: ByteBuffer
    }

    private var rest: ByteBuffer

    package init(_ payload: ByteBuffer) {
        rest = payload
    }

    /// The next message; nil at the end of the batch.
    package mutating func next() throws(WireError) -> Message? {
        guard rest.readableBytes > 0 else { return nil }
        guard let length: UInt32 = rest.readInteger(), let bytes = rest.readSlice(length: Int(length)) else {
            throw WireError(.truncated, "a batch ends inside the metadata of a message")
        }
        let metadata = try SingleMessageMetadata(bytes)
        guard metadata.payloadSize >= 0, let payload = rest.readSlice(length: Int(metadata.payloadSize)) else {
            throw WireError(
                .truncated, "a message of \(metadata.payloadSize) bytes in a batch, \(rest.readableBytes) are left")
        }
        return Message(metadata: metadata, payload: payload)
    }
}
