package import NIOCore

/// The frames of RFC 6455 section 5, as they are written.
package enum WebSocketFrame {
    package enum Opcode: UInt8, Sendable {
        case continuation = 0
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10

        var isControl: Bool { rawValue >= 8 }
    }

    /// Bytes of the longest head.
    static let longestHead = 14
    /// Bytes of the payload of a control frame.
    static let controlLimit = 125

    /// The head of a whole message in one frame.
    ///
    /// - Parameter mask: a client's; its bytes in memory are the bytes on the wire.
    package static func writeHead(_ opcode: Opcode, length: Int, mask: UInt32?, into buffer: inout ByteBuffer) {
        buffer.writeInteger(0x80 | opcode.rawValue)
        let flag: UInt8 = mask == nil ? 0 : 0x80
        switch length {
        case ...125: buffer.writeInteger(flag | UInt8(length))
        case ...0xFFFF:
            buffer.writeMultipleIntegers(flag | 126, UInt16(length))
        default: buffer.writeMultipleIntegers(flag | 127, UInt64(length))
        }
        if let mask { buffer.writeInteger(mask, endianness: .host) }
    }

    /// A control frame; `payload` is cut to what fits.
    package static func writeControl(
        _ opcode: Opcode, _ payload: ByteBuffer, mask: UInt32?, into buffer: inout ByteBuffer
    ) {
        var payload =
            payload.getSlice(at: payload.readerIndex, length: min(payload.readableBytes, controlLimit)) ?? ByteBuffer()
        writeHead(opcode, length: payload.readableBytes, mask: mask, into: &buffer)
        let start = buffer.readableBytes
        buffer.writeBuffer(&payload)
        guard let mask else { return }
        buffer.withUnsafeMutableReadableBytes { bytes in
            applyMask(mask, at: 0, to: .init(rebasing: bytes[start...]))
        }
    }

    /// Masks, or removes the mask: the two are the same.
    ///
    /// - Parameter offset: of these bytes in the frame's payload.
    static func applyMask(_ mask: UInt32, at offset: Int, to bytes: UnsafeMutableRawBufferPointer) {
        // The first byte in memory is the least significant one.
        let key = UInt32(littleEndian: mask)
        let turn = UInt32(offset % 4 * 8)
        let turned = key >> turn | key << (32 - turn)
        let word = UInt64(turned) << 32 | UInt64(turned)
        var index = 0
        while index + 8 <= bytes.count {
            let value = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            bytes.storeBytes(of: value ^ word.littleEndian, toByteOffset: index, as: UInt64.self)
            index += 8
        }
        while index < bytes.count {
            bytes[index] ^= UInt8(truncatingIfNeeded: turned >> UInt32(index % 4 * 8))
            index += 1
        }
    }
}

/// How a WebSocket went wrong.
package enum WebSocketError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The peer broke the protocol; the status code is what it was told.
    case violation(status: UInt16, String)
    /// The peer closed, and not because it was done.
    case closedByPeer(status: UInt16?, reason: String)

    package var description: String {
        switch self {
        case .violation(_, let text): "the WebSocket peer broke the protocol: \(text)"
        case .closedByPeer(let status, let reason):
            "the peer closed the WebSocket" + (status.map { " with status \($0)" } ?? "")
                + (reason.isEmpty ? "" : ": \(reason)")
        }
    }
}
