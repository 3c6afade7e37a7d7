package import AMQP
package import NIOCore

/// A message that reached the hub, as a fault script sees it.
package struct HubDelivery: Sendable {
    /// Counts messages over the hub's life, from 0.
    package var number: Int
    package var partition: Int
    package var events: Int
    package var bytes: Int
    /// Of the whole message.
    package var payload = ByteBuffer()
}

/// What a fault script can make of a message.
package enum HubFault: Sendable {
    /// Not stored, and answered with this outcome.
    case answer(DeliveryState)
    /// Stored, and answered only after this time.
    case delay(TimeAmount)
    /// Stored, and answered never.
    case silence
    /// Stored, and answered when `LocalHub.releaseHeld` is called.
    case hold
    /// Not stored; the link, session, connection or transport ends instead.
    case end(Cut)
    /// Stored; the link, session, connection or transport ends before the answer.
    case storeThenEnd(Cut)

    package enum Cut: Sendable {
        case detach(AMQPError)
        case endSession(AMQPError)
        case closeConnection(AMQPError)
        case dropTransport
    }
}

/// A link that a client asks for, as a fault script sees it.
package struct HubAttach: Sendable {
    package enum Kind: Sendable {
        case claims
        case management
        case producer
        case receiver
    }

    /// Counts links over the hub's life, from 0.
    package var number: Int
    package var kind: Kind
    /// Nil: the link is not one partition's.
    package var partition: Int?
    /// The producer wants to number its events.
    package var isIdempotent: Bool
}

/// What a fault script can make of a link.
package enum HubAttachFault: Sendable {
    case refuse(AMQPError)
    /// Agreed to, and ended before any credit was given.
    case acceptThenEnd(HubFault.Cut)
    /// Looked at only after this time.
    case delay(TimeAmount)
    /// Never answered.
    case silence
    /// A producer gets this much credit, and more only by `LocalHub.grantCredit`.
    case credit(UInt32)
}

/// What a fault script can make of a token.
package enum HubTokenFault: Sendable {
    case answer(status: Int32, text: String)
    /// Checked only after this time.
    case delay(TimeAmount)
    /// Never answered.
    case silence
}
