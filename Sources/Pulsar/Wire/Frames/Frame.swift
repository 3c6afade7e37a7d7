package import NIOCore

/// A frame: a command, and behind SEND and MESSAGE a payload.
///
/// On the wire, all numbers big-endian: the size of what follows, the size of the command, the command, and then the
/// payload's own parts, see `FramePayload`.
package struct Frame: Equatable, Sendable {
    package var command: Command
    package var payload: FramePayload?

    package init(_ command: Command, payload: FramePayload? = nil) {
        self.command = command
        self.payload = payload
    }

    package func encode(into buffer: inout ByteBuffer) {
        let commandLength = command.encodedLength
        let total = 4 + commandLength + (payload?.encodedLength ?? 0)
        buffer.reserveCapacity(minimumWritableBytes: 4 + total)
        buffer.writeInteger(UInt32(total))
        buffer.writeInteger(UInt32(commandLength))
        command.encode(to: &buffer)
        payload?.encode(into: &buffer)
    }
}
