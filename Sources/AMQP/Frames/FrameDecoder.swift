package import NIOCore

/// Cuts a byte stream into protocol headers and frames (part 2, section 2.3).
///
/// A protocol header is recognised by its first four bytes wherever a frame may start: as a frame size they would be
/// more than a gibibyte, which no limit allows. Whether a header or a kind of frame is welcome at that moment is for
/// the connection to say.
package struct FrameDecoder: NIOSingleStepByteToMessageDecoder {
    package typealias InboundOut = Frame

    /// No `maximumFrameSize` above this is taken at its word.
    package static let largestFrameSize: UInt32 = 0x4000_0000
    /// The least that every peer must accept, and the limit before `open` and during SASL.
    package static let smallestFrameSize: UInt32 = 512

    /// Bytes; a larger frame is an error. It is what our own `open` announced.
    package var maximumFrameSize: UInt32 {
        didSet { maximumFrameSize = min(max(maximumFrameSize, Self.smallestFrameSize), Self.largestFrameSize) }
    }

    package init(maximumFrameSize: UInt32 = 65536) {
        self.maximumFrameSize = min(max(maximumFrameSize, Self.smallestFrameSize), Self.largestFrameSize)
    }

    /// The next whole frame, taken off the front of `buffer`; nil when more bytes are needed.
    ///
    /// After an error the stream has no known frame boundary any more: close the connection.
    package mutating func decode(buffer: inout ByteBuffer) throws(AMQPCodecError) -> Frame? {
        guard let size: UInt32 = buffer.getInteger(at: buffer.readerIndex) else { return nil }
        if size == 0x414D_5150 {
            guard
                let (_, id, major, minor, revision) = buffer.readMultipleIntegers(
                    as: (UInt32, UInt8, UInt8, UInt8, UInt8).self)
            else { return nil }
            return .header(ProtocolHeader(id: id, major: major, minor: minor, revision: revision))
        }
        guard size >= 8 else {
            throw AMQPCodecError(.malformedFrame, "a frame of \(size) bytes: its header alone has 8", at: 0)
        }
        guard size <= maximumFrameSize else {
            throw AMQPCodecError(
                .limitExceeded, "a frame of \(size) bytes exceeds the \(maximumFrameSize) bytes that were agreed", at: 0
            )
        }
        guard let slice = buffer.readSlice(length: Int(size)) else { return nil }
        return try Self.frame(slice)
    }

    package mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws(AMQPCodecError) -> Frame? {
        try decode(buffer: &buffer)
    }

    /// A whole frame, from its size field on.
    private static func frame(_ whole: ByteBuffer) throws(AMQPCodecError) -> Frame {
        var frame = whole
        guard let (_, doff, type, channel) = frame.readMultipleIntegers(as: (UInt32, UInt8, UInt8, UInt16).self) else {
            throw AMQPCodecError(.truncated, "a frame without a whole header", at: 0)
        }
        let extended = Int(doff) * 4 - 8
        guard extended >= 0 else {
            throw AMQPCodecError(
                .malformedFrame, "data offset \(doff); a frame's body starts at 2 words or later", at: 4)
        }
        guard extended <= frame.readableBytes else {
            throw AMQPCodecError(
                .malformedFrame, "data offset \(doff) points behind a frame of \(whole.readableBytes) bytes", at: 4)
        }
        frame.moveReaderIndex(forwardBy: extended)
        do throws(AMQPCodecError) {
            switch type {
            case 0:
                guard frame.readableBytes > 0 else {
                    return .amqp(channel: channel, performative: nil, payload: ByteBuffer())
                }
                let performative = try Performative(from: &frame)
                return .amqp(channel: channel, performative: performative, payload: frame)
            case 1: return .sasl(try SASLFrame(from: frame))
            default:
                throw AMQPCodecError(.malformedFrame, "frame type \(type); it is 0 (AMQP) or 1 (SASL)", at: -3)
            }
        } catch {
            // Positions in errors count from the start of the frame.
            var error = error
            error.offset += error.kind == .malformedFrame ? 8 : 8 + extended
            throw error
        }
    }
}
