import NIOCore

@testable import Pulsar

extension ByteBuffer {
    /// Adds one message to a batch.
    mutating func writeMessage(_ metadata: SingleMessageMetadata, payload: ByteBuffer) {
        var metadata = metadata
        metadata.payloadSize = Int32(payload.readableBytes)
        writeInteger(UInt32(metadata.encodedLength))
        metadata.encode(to: &self)
        writeImmutableBuffer(payload)
    }
}
