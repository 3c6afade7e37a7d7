package import DequeModule
package import NIOCore

/// Names a session for as long as its connection lives; a reused channel number gives a new id.
package struct SessionID: Hashable, Comparable, Sendable {
    package let channel: UInt16
    let serial: UInt32

    /// The older one.
    package static func < (a: SessionID, b: SessionID) -> Bool { (a.serial, a.channel) < (b.serial, b.channel) }
}

/// Names a link for as long as its connection lives; a reused handle gives a new id.
package struct LinkID: Hashable, Comparable, Sendable {
    package let session: SessionID
    package let handle: UInt32
    let serial: UInt32

    /// That of the older session, or the older one of the same.
    package static func < (a: LinkID, b: LinkID) -> Bool {
        a.session == b.session ? (a.serial, a.handle) < (b.serial, b.handle) : a.session < b.session
    }
}

/// A whole delivery as it came in.
package struct IncomingDelivery: Hashable, Sendable {
    package var id: UInt32
    package var tag: ByteBuffer
    package var messageFormat: UInt32
    /// The sender settled it already: there is nothing to answer.
    package var settled: Bool
    package var payload: ByteBuffer
    /// A state that the sender attached (a transactional one, for example).
    package var state: DeliveryState?
}

/// A delivery to send.
package struct OutgoingDelivery: Hashable, Sendable {
    package var payload: ByteBuffer
    package var messageFormat: UInt32
    package var settled: Bool
    /// At most 32 bytes; nil: the link numbers its deliveries.
    package var tag: ByteBuffer?

    package init(payload: ByteBuffer, messageFormat: UInt32 = 0, settled: Bool = false, tag: ByteBuffer? = nil) {
        self.payload = payload
        self.messageFormat = messageFormat
        self.settled = settled
        self.tag = tag
    }
}

/// What a connection machine tells its owner. Every thing that began ends exactly once.
package enum ConnectionEvent: Hashable, Sendable {
    /// The peer's open arrived (and ours was sent).
    case opened(Open)
    /// The connection is over. Everything inside it has been told before.
    case closed(AMQPTermination)
    case sessionBegun(SessionID, Begin, byPeer: Bool)
    case sessionEnded(SessionID, AMQPTermination)
    /// The peer wants a link: answer with `accept` or `refuse`, now or later.
    case attachRequested(LinkID, Attach)
    /// The peer agreed to our attach.
    case attached(LinkID, Attach)
    case linkEnded(LinkID, AMQPTermination)
    /// A sender link has this much credit now; with `drain`, what is not used at once is lost.
    case credit(LinkID, credit: UInt32, drain: Bool)
    /// The peer used up or gave back the credit of a receiver link.
    case drained(LinkID)
    case delivery(LinkID, IncomingDelivery)
    /// The peer, as sender, settled a delivery that this side had not settled.
    case settledBySender(LinkID, deliveryID: UInt32, state: DeliveryState?)
    /// What became of the delivery that was sent under this token.
    case result(LinkID, token: UInt64, DeliveryResult)
}

/// What the owner of a connection machine has to do, in this order.
package enum ConnectionAction: Hashable, Sendable {
    case send(channel: UInt16, Performative, payload: ByteBuffer?)
    /// An empty frame: it only shows that we live.
    case sendHeartbeat
    case event(ConnectionEvent)
    /// Nothing more will be sent: write what is pending, then close the transport.
    case closeTransport
}

/// The queue of actions that machines append to and the handler takes from.
package typealias ConnectionActions = Deque<ConnectionAction>
