package import NIOCore

/// What arrives between two frame boundaries.
package enum Frame: Hashable, Sendable {
    case header(ProtocolHeader)
    /// Without a performative: an empty frame, which only shows that the peer lives.
    /// `payload` is what follows the performative: the message bytes of a transfer.
    case amqp(channel: UInt16, performative: Performative?, payload: ByteBuffer)
    case sasl(SASLFrame)
}
