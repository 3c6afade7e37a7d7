package import NIOCore

/// Writes frames into a caller's buffer, so that many of them leave in one write.
package enum FrameEncoder {
    /// Bytes of a frame header without extension.
    package static let headerSize = 8

    /// A frame with `performative` and, behind it, `payload`. The payload is copied: fit for small ones.
    package static func write(
        channel: UInt16, _ performative: Performative, payload: ByteBuffer? = nil, into buffer: inout ByteBuffer
    ) {
        let start = begin(type: 0, channel: channel, &buffer)
        performative.encode(into: &buffer)
        if let payload { buffer.writeImmutableBuffer(payload) }
        end(start, extra: 0, &buffer)
    }

    /// Everything of a transfer frame but its payload: the caller sends `payloadBytes` bytes right behind, as a buffer
    /// of their own, so that large messages are not copied.
    package static func writeHead(
        channel: UInt16, _ transfer: Transfer, payloadBytes: Int, into buffer: inout ByteBuffer
    ) {
        let start = begin(type: 0, channel: channel, &buffer)
        transfer.encode(into: &buffer)
        end(start, extra: payloadBytes, &buffer)
    }

    /// The frame that only shows we live.
    package static func writeEmpty(into buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(8 as UInt32, 2 as UInt8, 0 as UInt8, 0 as UInt16)
    }

    package static func write(_ frame: SASLFrame, into buffer: inout ByteBuffer) {
        let start = begin(type: 1, channel: 0, &buffer)
        frame.encode(into: &buffer)
        end(start, extra: 0, &buffer)
    }

    /// Bytes that a transfer frame has before its payload: what is left of the peer's max-frame-size is payload.
    package static func headSize(_ transfer: Transfer) -> Int {
        var buffer = ByteBufferAllocator().buffer(capacity: 64)
        transfer.encode(into: &buffer)
        return headerSize + buffer.readableBytes
    }

    private static func begin(type: UInt8, channel: UInt16, _ buffer: inout ByteBuffer) -> Int {
        let start = buffer.writerIndex
        buffer.writeMultipleIntegers(0 as UInt32, 2 as UInt8, type, channel)
        return start
    }

    private static func end(_ start: Int, extra: Int, _ buffer: inout ByteBuffer) {
        buffer.setInteger(UInt32(buffer.writerIndex - start + extra), at: start)
    }
}
