package import NIOCore

/// Cuts a byte stream into frames.
package struct FrameDecoder: NIOSingleStepByteToMessageDecoder {
    package typealias InboundOut = Frame

    /// Bytes of metadata and payload that both sides take when CONNECTED says nothing else (the broker's default).
    package static let defaultMaximumMessageSize = 5 * 1024 * 1024
    /// Bytes of a frame beyond its metadata and payload: the padding that Java, Go and the broker add to the limit.
    package static let padding = 10 * 1024
    /// No `maximumMessageSize` above this is taken at its word.
    package static let largestMessageSize = 1 << 30

    /// Bytes of metadata and payload; a frame that has more than these and the padding is an error.
    package var maximumMessageSize: Int {
        didSet { maximumMessageSize = Self.bounded(maximumMessageSize) }
    }

    package init(maximumMessageSize: Int = FrameDecoder.defaultMaximumMessageSize) {
        self.maximumMessageSize = Self.bounded(maximumMessageSize)
    }

    private static func bounded(_ size: Int) -> Int { min(max(size, 0), largestMessageSize) }

    /// The next whole frame, taken off the front of `buffer`; nil when more bytes are needed.
    ///
    /// After an error the stream has no known frame boundary any more: close the connection. A checksum that does not
    /// match is no error here, see `FramePayload.checksum`.
    package mutating func decode(buffer: inout ByteBuffer) throws(WireError) -> Frame? {
        guard let size: UInt32 = buffer.getInteger(at: buffer.readerIndex) else { return nil }
        guard size >= 4 else { throw WireError(.malformedFrame, "a frame of \(size) bytes; 4 are the least") }
        guard Int(size) <= maximumMessageSize + Self.padding else {
            throw WireError(
                .limitExceeded,
                "a frame of \(size) bytes; \(maximumMessageSize) and a padding of \(Self.padding) are the limit")
        }
        guard buffer.readableBytes >= 4 + Int(size) else { return nil }
        buffer.moveReaderIndex(forwardBy: 4)
        guard var frame = buffer.readSlice(length: Int(size)), let commandSize: UInt32 = frame.readInteger(),
            let command = frame.readSlice(length: Int(commandSize))
        else { throw WireError(.malformedFrame, "a command that is longer than its frame of \(size) bytes") }
        return try Self.frame(try Command(command), rest: frame)
    }

    package mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws(WireError) -> Frame? {
        try decode(buffer: &buffer)
    }

    private static func frame(_ command: Command, rest: ByteBuffer) throws(WireError) -> Frame {
        switch command {
        case .send, .message:
            guard rest.readableBytes > 0 else {
                throw WireError(.malformedFrame, "a SEND or MESSAGE without a payload behind it")
            }
            return Frame(command, payload: try FramePayload(rest))
        default: return Frame(command)
        }
    }
}
