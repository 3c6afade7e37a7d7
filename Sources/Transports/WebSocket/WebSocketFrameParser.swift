package import NIOCore

/// Cuts the byte stream of one side of a WebSocket into what it carries, without waiting for whole frames: payload of
/// binary messages goes on as it comes, so the size of frames and messages costs no memory.
package struct WebSocketFrameParser: Sendable {
    package enum Event: Hashable, Sendable {
        /// The next bytes of binary messages; where a frame or message ends means nothing here.
        case bytes(ByteBuffer)
        case ping(ByteBuffer)
        case pong
        /// Nothing may follow.
        case close(status: UInt16?, reason: String)
    }

    /// Bytes of a frame's payload. Nobody who carries AMQP frames needs more.
    package static let frameLimit: UInt64 = 64 << 20

    /// Frames from a client are masked, those from a server are not (section 5.1).
    private let isFromClient: Bool
    private var head: [UInt8] = []
    private var frame: Frame?
    private var control = ByteBuffer()
    /// A message has begun and its last frame has not come.
    private var isInMessage = false

    private struct Frame {
        var opcode: WebSocketFrame.Opcode
        var remaining: Int
        var mask: UInt32?
        var offset = 0
    }

    package init(isFromClient: Bool) {
        self.isFromClient = isFromClient
        head.reserveCapacity(WebSocketFrame.longestHead)
    }

    /// The next event, its bytes taken off the front of `input`; nil when more input is needed.
    package mutating func next(_ input: inout ByteBuffer) throws(WebSocketError) -> Event? {
        while true {
            if frame == nil {
                guard try readHead(&input) else { return nil }
            }
            guard var current = frame else { return nil }
            guard current.remaining > 0 || current.opcode.isControl else {
                frame = nil
                continue
            }
            let length = min(current.remaining, input.readableBytes)
            guard length > 0 || current.remaining == 0 else { return nil }
            guard var piece = input.readSlice(length: length) else { return nil }
            if let mask = current.mask, length > 0 {
                piece.withUnsafeMutableReadableBytes { WebSocketFrame.applyMask(mask, at: current.offset, to: $0) }
            }
            current.remaining -= length
            current.offset += length
            frame = current.remaining > 0 ? current : nil
            guard current.opcode.isControl else { return .bytes(piece) }
            control.writeBuffer(&piece)
            guard current.remaining == 0 else { return nil }
            defer { control = ByteBuffer() }
            switch current.opcode {
            case .ping: return .ping(control)
            case .pong: return .pong
            default: return try close()
            }
        }
    }

    private func violation(_ text: String, status: UInt16 = 1002) -> WebSocketError {
        .violation(status: status, text)
    }

    /// Collects the head of a frame; true when it is whole and `frame` is set.
    private mutating func readHead(_ input: inout ByteBuffer) throws(WebSocketError) -> Bool {
        while head.count < headLength {
            guard let byte: UInt8 = input.readInteger() else { return false }
            head.append(byte)
            if head.count == 2 { try checkStart() }
        }
        let lengthBytes = extendedLength
        let length =
            lengthBytes == 0
            ? UInt64(head[1] & 0x7F) : head[2..<(2 + lengthBytes)].reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        switch lengthBytes {
        case 2 where length < 126, 8 where length <= 0xFFFF:
            throw violation("a frame's length of \(length) is written with more bytes than it needs")
        default: break
        }
        guard length <= Self.frameLimit else {
            throw violation("a frame of \(length) bytes; at most \(Self.frameLimit) are taken", status: 1009)
        }
        guard let opcode = WebSocketFrame.Opcode(rawValue: head[0] & 0x0F) else { throw violation("unknown opcode") }
        var mask: UInt32?
        if head[1] & 0x80 != 0 {
            mask = head.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 2 + lengthBytes, as: UInt32.self) }
        }
        if !opcode.isControl { isInMessage = head[0] & 0x80 == 0 }
        frame = Frame(opcode: opcode, remaining: Int(length), mask: mask)
        head.removeAll(keepingCapacity: true)
        return true
    }

    /// Bytes of the length field behind the first two.
    private var extendedLength: Int {
        switch head[1] & 0x7F {
        case 126: 2
        case 127: 8
        default: 0
        }
    }

    /// Bytes of the head, as far as they are known.
    private var headLength: Int { head.count < 2 ? 2 : 2 + extendedLength + (head[1] & 0x80 != 0 ? 4 : 0) }

    /// Everything that the first two bytes tell.
    private func checkStart() throws(WebSocketError) {
        guard head[0] & 0x70 == 0 else { throw violation("a frame with reserved bits set, for no agreed extension") }
        guard let opcode = WebSocketFrame.Opcode(rawValue: head[0] & 0x0F) else {
            throw violation("a frame with the unknown opcode \(head[0] & 0x0F)")
        }
        guard (head[1] & 0x80 != 0) == isFromClient else {
            throw violation(isFromClient ? "a client's frame without mask" : "a server's frame with a mask")
        }
        switch opcode {
        case .text: throw violation("a text message; AMQP is carried in binary ones", status: 1003)
        case .continuation:
            guard isInMessage else { throw violation("a continuation of no message") }
        case .binary:
            guard !isInMessage else { throw violation("a new message before the last one ended") }
        case .close, .ping, .pong:
            guard head[0] & 0x80 != 0, head[1] & 0x7F <= UInt8(WebSocketFrame.controlLimit) else {
                throw violation("a control frame in pieces or with more than \(WebSocketFrame.controlLimit) bytes")
            }
        }
    }

    private func close() throws(WebSocketError) -> Event {
        var payload = control
        guard payload.readableBytes > 0 else { return .close(status: nil, reason: "") }
        guard let status: UInt16 = payload.readInteger(), status >= 1000 else {
            throw violation("a close frame with half a status code, or none that exists")
        }
        return .close(status: status, reason: PeerText.printable(String(buffer: payload)))
    }
}
