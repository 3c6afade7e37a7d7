package import NIOCore

/// What happens on a connection, told on its event loop. The handler's methods may be called from inside.
package protocol AMQPConnectionDelegate: AnyObject {
    /// Server: is this who it says it is? Answer with `AMQPConnectionHandler.decide`, now or later.
    func authenticate(_ identity: SASLIdentity, on connection: AMQPConnectionHandler)
    /// Everything after the handshake.
    func handle(_ event: ConnectionEvent, on connection: AMQPConnectionHandler)
}

extension AMQPConnectionDelegate {
    /// Lets everybody in: authorisation follows elsewhere.
    package func authenticate(_ identity: SASLIdentity, on connection: AMQPConnectionHandler) {
        connection.decide(.ok)
    }
}

/// How a handler runs its connection, in addition to what the protocol needs to know.
package struct AMQPHandlerConfiguration: Sendable {
    package enum Side: Sendable {
        /// Nil: no SASL layer.
        case client(SASLCredential?)
        /// `allowsNoSASL`: clients that start with the AMQP header are let in.
        case server(mechanisms: [String], allowsNoSASL: Bool)
    }

    package var side: Side
    package var connection: ConnectionConfiguration
    /// From the first byte to the peer's `open`.
    package var handshakeTimeout: TimeAmount = .seconds(30)
    /// From our `close` to the peer's; then the transport is closed anyway.
    package var closeTimeout: TimeAmount = .seconds(5)
    /// Transfer bytes that are written between two looks at the channel's writability.
    package var writeBudget = 1 << 20
    /// Frames other than transfers that may wait in an unwritable channel. A peer that does not read its answers but
    /// keeps asking for more is cut off.
    package var unwrittenFrameLimit = 65536
    /// Told of every frame that comes and goes.
    package var frameLog: FrameLog?

    package init(_ side: Side, _ connection: ConnectionConfiguration) {
        self.side = side
        self.connection = connection
    }
}
